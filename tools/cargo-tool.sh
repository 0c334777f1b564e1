#!/bin/sh
# Installs one of cargo's own tools, if it is not there: the newest that the compiler here can build.
# Usage: tools/cargo-tool.sh <its crate> <its word after `cargo`>
set -eu
crate=$1 word=$2
cargo=${CARGO:-cargo}
if $cargo "$word" --version >/dev/null 2>&1; then exit 0; fi
echo "$word: installing $crate (minutes, a network)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
# install <options>: what it says is shown and kept
install() {
    { $cargo install --locked "$crate" "$@" 2>&1 && touch "$work/done"; } | tee "$work/said"
    [ -e "$work/done" ]
}
if install; then exit 0; fi
# "`cargo-c 0.10.24+cargo-0.98.0` supports rustc 1.95"
older=$(sed -n "s/^.\{0,2\}\`$crate \([0-9.]*\).*\` supports rustc.*/\1/p" "$work/said")
[ -n "$older" ] || exit 1
echo "$word: the newest needs a newer Rust; installing $crate $older"
install --version "$older"
