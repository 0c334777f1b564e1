#!/bin/sh
# Runs what is in the wheel for 64-bit ARM on this machine: the command, the plugin in two processes, and the package.
# Usage: tools/test-wheel-aarch64.sh <wheel>
# By qemu, which takes ARM's programs for its own, in the Debian that tools/build-wheel-aarch64.sh has made.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
root=${CARGO_TARGET_DIR:-$here/target}/debian-13-aarch64
mkdir -p "$root/root/tested"
rm -rf "$root/root/tested"/*
cp "$1" "$root/root/tested/"
# shellcheck disable=SC2016 # the inner shell is to expand these
"$here/tools/debian-root.sh" trixie "$root" "gcc libc6-dev pkgconf python3-venv" sh -euc '
    cd /root
    [ -e python-arm/usr/bin/python3.13 ] || {
        apt-get install -y -q --no-install-recommends qemu-user gstreamer1.0-tools:arm64 gstreamer1.0-plugins-base:arm64
        # Not installed: this Debian has a Python, for its own processor.
        rm -rf python-arm
        mkdir python-arm
        cd python-arm
        apt-get download -q python3.13-minimal:arm64 libpython3.13-minimal:arm64 libpython3.13-stdlib:arm64
        for package in *.deb; do dpkg -x "$package" .; done
        cd ..
    } >log 2>&1 </dev/null || { tail -n 20 log >&2; exit 1; }
    cd tested
    fail() { echo "wheel: $*" >&2; exit 1; }
    arm() { qemu-aarch64 -L / "$@"; }
    python3 -m zipfile -e ./*.whl .
    # As pip does, from what the wheel says of it.
    chmod +x shmflow/bin/shmflow
    export SHMFLOW_DIR=/dev/shm GST_REGISTRY=$PWD/registry GST_REGISTRY_FORK=no
    eval $(arm shmflow/bin/shmflow env)
    [ "$GST_PLUGIN_PATH" = "$PWD/shmflow/gstreamer-1.0" ] || fail "shmflow env has set GST_PLUGIN_PATH to $GST_PLUGIN_PATH"
    pictures="videotestsrc num-buffers=20 ! video/x-raw,format=BGR,width=160,height=120,framerate=30/1"
    arm /usr/bin/gst-launch-1.0 -q shmflowsrc topic=video ! filesink location=received &
    reader=$!
    arm /usr/bin/gst-launch-1.0 -q $pictures ! shmflowsink topic=video leaky-type=none wait-for-connection=true sync=false
    wait "$reader" || fail "the consumer failed"
    arm /usr/bin/gst-launch-1.0 -q $pictures ! filesink location=sent
    cmp sent received || fail "what arrives is not what was sent"
    PYTHONHOME=/root/python-arm/usr arm /root/python-arm/usr/bin/python3.13 -c "
import platform, shmflow
producer, consumer = shmflow.Producer(\"t\", 8, 8, \"BGR\"), shmflow.Consumer(\"t\")
producer.write(bytes(range(192)))
assert bytes(consumer.recv()) == bytes(range(192))
print(\"wheel:\", shmflow.__version__, \"on\", platform.machine(), \"by qemu: all passed\")"'
