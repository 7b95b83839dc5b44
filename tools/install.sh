#!/usr/bin/env bash
# Installs the pinned tools of `make check` and `make audit` into target/tools; does nothing when they are there.
set -euo pipefail
cd "$(dirname "$0")/.."
pinned=tools/requirements.txt
into=target/tools
if [ -f "$into/pinned" ] && cmp -s "$pinned" "$into/pinned"; then
  exit 0
fi
if ! python3 -m pip --version >/dev/null 2>&1; then
  echo "error[TOOLS_UNAVAILABLE]: python3 with pip is required to install the tools in $pinned" >&2
  echo "fix: install python3-pip, or put the tools named there on PATH and run them yourself" >&2
  exit 1
fi
rm -rf "$into"
mkdir -p "$into"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --require-hashes --target "$into" -r "$pinned"
cp "$pinned" "$into/pinned"
