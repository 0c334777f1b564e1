#!/bin/sh
# Tests a wheel on Debian 13: see tools/test-wheel.sh. Usage: tools/test-wheel-13.sh <wheel>
# That Debian is below the target directory, or where $SHMFLOW_DEBIAN_13 says.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
root=${SHMFLOW_DEBIAN_13:-${CARGO_TARGET_DIR:-$here/target}/debian-13}
on_13() {
    "$here/tools/debian-root.sh" trixie "$root" "python3-venv python3-numpy gstreamer1.0-tools gstreamer1.0-plugins-base" "$@"
}
on_13 mkdir -p /root/wheel-test
cp "$1" "$root/root/"
on_13 /shmflow/tools/test-wheel.sh "/root/$(basename "$1")" /root/wheel-test
