#!/usr/bin/env bash
# Prints what CHANGELOG.md says of a version: `release-notes.sh v1.2.3`. Fails unless the workspace has that version and the
# changelog a section of it.
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1#v}
if ! grep -qx "version = \"$version\"" Cargo.toml; then
    echo "The tag is $1, the version of the workspace (Cargo.toml) another." >&2
    exit 1
fi
notes=$(awk -v head="## [$version]" 'index($0, head) == 1 { on = 1; next } /^## \[/ { on = 0 } on' CHANGELOG.md)
if [[ -z "${notes//[[:space:]]/}" ]]; then
    echo "CHANGELOG.md has no section [$version], which tells operators what to do." >&2
    exit 1
fi
printf '%s\n' "$notes"
