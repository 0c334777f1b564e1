#!/bin/sh
# Builds the conformance programs (tests/conformance) and runs each with each; then holds a topic of another layout before all.
# Usage: tools/test-conformance.sh <where cargo builds, for example target/release> <python with shmflow> [builds...]
# Each of the builds is NAME=DIRECTORY, as tools/build-old.sh makes it: then only programs of different builds are paired.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
built=$(cd "$1" && pwd)
python=$2
shift 2
work=$built/conformance
mkdir -p "$work"
profile=
case $built in */release) profile=--release ;; esac
(cd "$here" && ${CARGO:-cargo} build --quiet --locked $profile -p shmflow-conformance)
sources=$here/tests/conformance
flags='-std=gnu99 -O1 -Wall -Wextra -Werror'
# compile <directory of libshmflow.so> <of shmflow.h> <program>
compile() {
    # shellcheck disable=SC2086 # words
    ${CC:-cc} $flags -I"$2" "$sources/peer.c" -o "$3" -L"$1" -lshmflow
}
# The name that programs ask for.
ln -sfn ../libshmflow.so "$work/libshmflow.so.0"
compile "$built" "$here/capi/include" "$work/peer"
# shellcheck disable=SC2046,SC2086 # words
${CC:-cc} $flags "$sources/peer_gst.c" -o "$work/peer-gst" \
    $(pkg-config --cflags --libs gstreamer-app-1.0 gstreamer-video-1.0 gstreamer-audio-1.0)
plugin=$("$here/tools/plugin-folder.sh" "$built")
export SHMFLOW="$built/shmflow"

# gst <build> <folder of the plugin>: the program with that plugin, and a registry of its own
gst() {
    echo "env GST_REGISTRY=$work/registry$1 GST_PLUGIN_PATH=$2 $work/peer-gst"
}
run() {
    /usr/bin/python3 "$sources/run.py" "$@"
}
ours="rust=$built/shmflow-conformance"
if [ $# -eq 0 ]; then
    set -- "$ours" "c=env LD_LIBRARY_PATH=$work $work/peer" "python=$python $sources/peer.py" "gst=$(gst '' "$plugin")"
    run "$@" "gst-copies=$(gst '' "$plugin") copies"
    run --refused "$@"
fi
