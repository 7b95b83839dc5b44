# The menu. `make demo` and `make test` share one build profile, so a fresh clone compiles its
# dependencies once.

.PHONY: help build demo tools check proto-baseline audit databases test test-clients conformance prove bench clean

TOOLS := target/tools/bin

help: ## Lists what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

build: ## Builds all binaries into target/debug
	cargo build --locked --workspace

demo: build ## Shows the whole loop on an embedded database
	@target/debug/synapsor-runner demo

tools: ## Installs the pinned tools of check and audit into target/tools
	tools/install.sh

check: tools ## Format, lints, crate boundaries, language, schemas, protocol, licenses and unused dependencies
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo xtask boundaries
	cargo xtask schemas --check
	cargo xtask tidy
	$(TOOLS)/cargo-deny --log-level error check --hide-inclusion-graph licenses bans sources
	$(TOOLS)/cargo-shear
	cd proto && ../$(TOOLS)/buf lint
	cd proto && ../$(TOOLS)/buf breaking --against baseline.json

proto-baseline: tools ## Accepts a deliberate change of the protocol; name it in CHANGELOG.md
	cd proto && ../$(TOOLS)/buf build --exclude-source-info -o baseline.json

audit: tools ## Checks dependencies against the advisory database in SYNAPSOR_ADVISORY_DB
	tools/audit.sh

databases: ## Brings up the database servers of the tests and keeps them, until `e2e/databases/servers.sh down`
	e2e/databases/servers.sh up

test: ## All tests, the proofs at small size among them, with the database servers that they need
	cargo xtask failpoints
	e2e/databases/servers.sh run cargo test --locked --workspace --no-fail-fast

test-clients: build ## The official Python and TypeScript SDKs, newest and a year old, over stdio and HTTP
	e2e/clients/run.sh

conformance: build ## The official conformance suite of MCP against the HTTP stack and the real gateway
	e2e/conformance/run.sh

prove: ## The long proofs at full size; ends with one JSON object
	e2e/databases/servers.sh run cargo xtask prove

bench: ## Load on release binaries beside pgbench; ends with one JSON object
	cargo build --locked --release --workspace --bins
	target/release/bench

clean: ## Removes what was built
	e2e/databases/servers.sh down
	cargo clean
