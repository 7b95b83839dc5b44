#!/usr/bin/env bash
# Runs the official conformance suite of MCP, in two versions, against the gateway's HTTP stack with fixtures and
# against the real gateway. Installs the suite and its Node into target/.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v npm >/dev/null; then
  echo "conformance: npm is required (Debian: apt-get install npm); it installs the Node that runs the suite" >&2
  exit 1
fi
exec python3 e2e/conformance/suites.py target/debug target e2e/fixtures/billing.json
