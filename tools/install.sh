#!/usr/bin/env bash
# Installs the pinned tools of `make check` and `make audit` into target/tools; does nothing if they are there.
set -euo pipefail
cd "$(dirname "$0")/.."
pinned=tools/requirements.txt
into=target/tools
if [ -f "$into/pinned" ] && cmp -s "$pinned" "$into/pinned"; then
  exit 0
fi
if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -qq -y --no-install-recommends python3-venv >/dev/null
  else
    echo "error[TOOLS_UNAVAILABLE]: python3 with its venv module is required to install the tools of $pinned" >&2
    echo "fix: install it (Debian: apt-get install python3-venv)" >&2
    exit 1
  fi
fi
rm -rf "$into"
python3 -m venv "$into"
"$into/bin/python3" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$pinned"
cp "$pinned" "$into/pinned"
