#!/usr/bin/env bash
# Prints the section of a version in CHANGELOG.md: `release-notes.sh v1.2.3`. Fails unless the
# workspace has that version and the changelog has its section.
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1#v}
if ! grep -qx "version = \"$version\"" Cargo.toml; then
    echo "The tag $1 does not match the version of the workspace: set version = \"$version\" in Cargo.toml." >&2
    exit 1
fi
notes=$(awk -v head="## [$version]" 'index($0, head) == 1 { on = 1; next } /^## \[/ { on = 0 } on' CHANGELOG.md)
if [[ -z "${notes//[[:space:]]/}" ]]; then
    echo "CHANGELOG.md has no text in a section [$version]: add the steps that operators have to take." >&2
    exit 1
fi
printf '%s\n' "$notes"
