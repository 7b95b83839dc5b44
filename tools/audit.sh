#!/usr/bin/env bash
# Checks Cargo.lock against a local copy of the RustSec advisory database.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${SYNAPSOR_ADVISORY_DB:-}" ]; then
  echo "NOT CHECKED: advisories (set SYNAPSOR_ADVISORY_DB to a copy of the RustSec advisory database)"
  exit 0
fi
# The tool opens the database as a git repository; a plain copy becomes one here.
database=$SYNAPSOR_ADVISORY_DB
if ! git -C "$database" rev-parse --is-inside-work-tree >/dev/null 2>&1 || [ ! -e "$database/.git" ]; then
  database=target/tools/advisory-db
  rm -rf "$database"
  mkdir -p "$database"
  cp -R "$SYNAPSOR_ADVISORY_DB/." "$database"
  git -C "$database" init --quiet
  git -C "$database" add --all
  git -C "$database" -c user.name=audit -c user.email=audit@localhost commit --quiet --message copy
fi
exec target/tools/bin/cargo-audit audit --no-fetch --stale --db "$database" --deny warnings
