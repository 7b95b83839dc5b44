#!/usr/bin/env bash
# Runs the official Python SDK against the built binaries; brings the SDK itself into target/.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=target/clients-venv
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import mcp.types' 2>/dev/null; then
  python3 -m venv "$venv" || {
    echo "test-clients: python3 with its venv module is needed (Debian: apt-get install python3-venv)" >&2
    exit 1
  }
  "$venv/bin/pip" install --quiet --disable-pip-version-check 'mcp>=2.3,<3'
fi
exec "$venv/bin/python" e2e/clients/official_sdk.py target/debug e2e/fixtures/billing.json
