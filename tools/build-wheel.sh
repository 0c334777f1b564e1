#!/bin/sh
# Builds the wheel of the Python package. Usage: tools/build-wheel.sh <directory for it>
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
out=$1
env=$("$here/tools/python-env.sh" build 'maturin>=1.9,<2')
mkdir -p "$out"
rm -f "$out"/shmflow-*.whl
"$env/bin/maturin" build --quiet --release --locked --manifest-path "$here/python/Cargo.toml" \
    --interpreter "$env/bin/python" --out "$out"
ls "$out"/shmflow-*.whl
