#!/bin/sh
# Builds the wheel of the Python package; prints where it is. Usage: tools/build-wheel.sh <directory for it>
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
env=$("$here/tools/python-env.sh" build 'maturin>=1.9,<2')
rm -f "$out"/shmflow-*.whl
"$env/bin/maturin" build --quiet --release --locked --manifest-path "$here/python/Cargo.toml" \
    --interpreter "$env/bin/python" --out "$out" >&2
ls "$out"/shmflow-*.whl
