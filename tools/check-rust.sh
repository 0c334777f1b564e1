#!/bin/sh
# Checks the one prerequisite that this project does not install by itself: Rust.
# Usage: tools/check-rust.sh <least version> [lint], for example 1.92; with `lint` also for what lint needs
set -eu
least=$1
advice() {
    echo "$1" >&2
    echo "shmflow needs Rust $least or newer. To get it (into your home, without root rights):" >&2
    echo "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" >&2
    echo "    . \"\$HOME/.cargo/env\"" >&2
    echo "or, where rustup is installed already: rustup update stable" >&2
    exit 1
}
for tool in cargo rustc; do
    command -v "$tool" >/dev/null 2>&1 || advice "$tool was not found."
done
found=$(rustc --version | sed -n 's/^rustc \([0-9]*\.[0-9]*\).*/\1/p')
[ -n "$found" ] || advice "rustc does not tell its version: $(rustc --version 2>&1 | head -n 1)"
if [ "$(printf '%s\n%s\n' "$least" "$found" | sort -V | head -n 1)" != "$least" ]; then
    advice "Rust $found is installed, which is too old."
fi
[ "${2:-}" = lint ] || exit 0
for component in rustfmt cargo-clippy; do
    command -v "$component" >/dev/null 2>&1 || {
        echo "$component was not found: rustup component add rustfmt clippy" >&2
        exit 1
    }
done
