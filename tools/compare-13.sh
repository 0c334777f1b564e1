#!/bin/sh
# Runs the comparison in a Debian 13 of its own, where GStreamer has unixfd, and PipeWire and iceoryx2 can be had.
# Usage: tools/compare-13.sh <where cargo builds, for example target/release> <folder for the results> <options of shmflow-compare...>
# That Debian is below the target directory, or where $SHMFLOW_COMPARE_13 says.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
built=$1 out=$2
shift 2
root=${SHMFLOW_COMPARE_13:-${CARGO_TARGET_DIR:-$here/target}/debian-13-compare}
on_13() {
    SHMFLOW_ROOT_SHM=3g "$here/tools/debian-root.sh" trixie "$root" "gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-pipewire pipewire pipewire-bin wireplumber strace patchelf python3-pip" "$@"
}
on_13 mkdir -p /root/compare/out
cp "$built/shmflow-compare" "$built/libgstshmflow.so" "$root/root/compare/"
on_13 rm -rf /tmp/iceoryx2
on_13 /shmflow/tools/iceoryx2-plugin.sh /root/compare/iceoryx2 || echo "compare-13: iceoryx2's plugin cannot be had here, so it is left out" >&2
on_13 env GST_PLUGIN_PATH=/root/compare/iceoryx2 /root/compare/shmflow-compare --pipewire --command "make compare-13" --out /root/compare/out "$@"
mkdir -p "$out"
cp "$root"/root/compare/out/* "$out/"
echo "compare-13: results are in $out" >&2
