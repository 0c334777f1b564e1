#!/bin/sh
# A private Python for building and testing the package, below the target directory; prints where it is.
# Usage: tools/python-env.sh <name> <packages of pip...>
# It is Debian's own Python where that will do, and sees Debian's packages: OpenCV with GStreamer is not to be had from pip.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
name=$1
shift
target=${CARGO_TARGET_DIR:-$here/target}
env=$target/python-$name
new_enough() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1
}
python=
for candidate in "${SHMFLOW_PYTHON:-}" /usr/bin/python3 python3; do
    if [ -n "$candidate" ] && new_enough "$candidate"; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
    echo "python: no Python >= 3.10 with venv was found; on Debian, make deps installs it." >&2
    exit 1
fi
if [ ! -x "$env/bin/python" ]; then
    rm -rf "$env"
    "$python" -m venv --system-site-packages "$env" >&2
fi
# Asked once for each list of packages.
stamp=$env/installed.txt
if [ "$(cat "$stamp" 2>/dev/null)" != "$*" ]; then
    "$env/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2
    echo "$*" >"$stamp"
fi
echo "$env"
