# `make demo` and `make test` share one build profile, so a fresh clone compiles its dependencies
# once.

.PHONY: help build demo tools check proto-baseline audit databases test test-clients conformance prove bench clean

TOOLS := target/tools/bin
# As in the names of cargo's variables.
HOST := $(shell rustc -vV | sed -n 's/^host: //p' | tr a-z- A-Z_)

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

build: ## Build all binaries into target/debug
	cargo build --locked --workspace

demo: build ## Run the demo on an embedded database
	@target/debug/synapsor-runner demo

tools: ## Install the pinned tools of check and audit into target/tools
	tools/install.sh

check: tools ## Check format, lints, crate boundaries, language, schemas, protocol, licenses and unused dependencies
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo xtask boundaries
	cargo xtask schemas --check
	cargo xtask error-codes --check
	cargo xtask tidy
	$(TOOLS)/cargo-deny --log-level error check --hide-inclusion-graph licenses bans sources
	$(TOOLS)/cargo-shear
	cd proto && ../$(TOOLS)/buf lint
	cd proto && ../$(TOOLS)/buf breaking --against baseline.json

proto-baseline: tools ## Accept a deliberate change of the protocol; name it in CHANGELOG.md
	cd proto && ../$(TOOLS)/buf build --exclude-source-info -o baseline.json

audit: tools ## Check dependencies against the advisory database in SYNAPSOR_ADVISORY_DB
	tools/audit.sh

databases: ## Start the test database servers and keep them until `e2e/databases/servers.sh down`
	e2e/databases/servers.sh up

test: ## Run all tests, including the proofs at small size, with their database servers
	cargo xtask failpoints
	CARGO_TARGET_$(HOST)_RUNNER=$(CURDIR)/tools/run-test.sh e2e/databases/servers.sh run cargo test --locked --workspace --no-fail-fast

test-clients: build ## Run the official Python and TypeScript SDKs, newest and a year old, over stdio and HTTP
	e2e/clients/run.sh

conformance: build ## Run the official MCP conformance suite against the HTTP stack and the real gateway
	e2e/conformance/run.sh

prove: ## Run the conformance tests on all servers and the long proofs at full size; prints one JSON object at the end
	SYNAPSOR_TEST_SERVERS=all e2e/databases/servers.sh run cargo test --locked -p synapsor-writeback conformance
	e2e/databases/servers.sh run cargo xtask prove

bench: ## Measure load on release binaries beside pgbench; prints one JSON object at the end
	cargo build --locked --release --workspace --bins
	target/release/bench

clean: ## Stop the database servers and remove build output
	e2e/databases/servers.sh down
	cargo clean
