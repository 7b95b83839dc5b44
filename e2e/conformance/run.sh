#!/usr/bin/env bash
# Runs the official conformance suite of MCP, in two versions, against the gateway's HTTP stack with fixtures and
# against the real gateway. Installs the suite and its Node into target/.
set -euo pipefail
cd "$(dirname "$0")/../.."
node=node@22.23.3
stable=@modelcontextprotocol/conformance@0.1.16
newest=@modelcontextprotocol/conformance@0.2.0-alpha.12
if ! command -v npm >/dev/null; then
  echo "conformance: npm is required (Debian: apt-get install npm); it installs the Node that runs the suite" >&2
  exit 1
fi
bring() {
  local folder=target/conformance/$1 wanted="${*:2}"
  if [ "$(cat "$folder/brought" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$folder"
    mkdir -p "$folder"
    echo '{"private": true}' >"$folder/package.json"
    timeout 300 npm install --prefix "$folder" --save-exact --no-audit --no-fund --silent "${@:2}"
    echo "$wanted" >"$folder/brought"
  fi
}
bring stable "$node" "$stable"
bring newest "$node" "$newest"
exec python3 e2e/conformance/suites.py target/debug target/conformance e2e/fixtures/billing.json
