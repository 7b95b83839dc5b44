#!/usr/bin/env bash
# Runs the official SDKs against the built binaries. Installs the required tools if permitted;
# drive.py pins the SDKs and installs them into target/.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
{ command -v node && command -v npm; } >/dev/null || missing+=(nodejs npm)
if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "test-clients: python3 with its venv module, node and npm are required" \
      "(Debian: apt-get install ${missing[*]})" >&2
    exit 1
  fi
fi
exec python3 e2e/clients/drive.py target/debug e2e/fixtures/billing.json target/clients
