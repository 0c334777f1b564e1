#!/bin/sh
# Builds the conformance programs (tests/conformance) and runs each with each; then puts a topic of another layout before all.
# Usage: tools/test-conformance.sh <where cargo builds, for example target/release> <python with shmflow>
#        tools/test-conformance.sh <...> <...> <another build, as tools/build-old.sh makes it>
# With another build, its programs are paired with ours; if its layout is another one, each has to refuse the other's topic.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
built=$(cd "$1" && pwd)
python=$2
old=${3:-}
sources=$here/tests/conformance
# Of this machine's processors and system libraries: the same for both builds.
work=$built/conformance
flags='-std=gnu99 -O1 -Wall -Wextra -Werror'
mkdir -p "$work"
case $built in */release) profile=--release ;; *) profile= ;; esac
[ -f "$built/libgstshmflow.so" ] || { echo "test-conformance: no plugin in $built: make build" >&2; exit 1; }
# With what `make build` builds, so that nothing is built twice.
# shellcheck disable=SC2086 # none, or one word
(cd "$here" && ${CARGO:-cargo} build --quiet --locked $profile \
    -p shmflow-capi -p shmflow-cli -p shmflow-conformance)
# shellcheck disable=SC2046,SC2086 # words
${CC:-cc} $flags "$sources/peer_gst.c" -o "$work/peer-gst" \
    $(pkg-config --cflags --libs gstreamer-app-1.0 gstreamer-video-1.0 gstreamer-audio-1.0)

# programs <@build> <where it was built> <its sources> <its python>: NAME=COMMAND, a line each
programs() {
    own=$work/of$1
    mkdir -p "$own"
    # The name that programs ask for.
    ln -sfn "$2/libshmflow.so" "$own/libshmflow.so.0"
    ln -sfn libshmflow.so.0 "$own/libshmflow.so"
    plugins=$("$here/tools/plugin-folder.sh" "$2")
    # Builds from before these programs have none in Rust, and a library that may lack what the one in C asks for.
    { [ -n "$1" ] && [ ! -x "$2/shmflow-conformance" ]; } || echo "rust$1=$2/shmflow-conformance"
    # shellcheck disable=SC2086 # words
    if ${CC:-cc} $flags -I"$3/capi/include" "$sources/peer.c" -o "$own/peer" -L"$own" -lshmflow 2>"$own/cc.log"; then
        echo "c$1=env LD_LIBRARY_PATH=$own $own/peer"
    elif [ -z "$1" ]; then
        cat "$own/cc.log" >&2
        return 1
    else
        echo "conformance: no program in C of the other build, whose library is too old for it: $own/cc.log" >&2
    fi
    echo "python$1=$4 $sources/peer.py"
    echo "gst$1=env GST_REGISTRY=$own/registry GST_PLUGIN_PATH=$plugins $work/peer-gst"
}
# run <arguments of run.py...>, and the programs on the standard input
run() {
    xargs -d '\n' /usr/bin/python3 "$sources/run.py" "$@"
}
export SHMFLOW="$built/shmflow"
ours=$(programs '' "$built" "$here" "$python")
if [ -z "$old" ]; then
    # An element that does not read strides, too.
    { echo "$ours"; echo "$ours" | sed -n 's/^gst=\(.*\)/gst-copies=\1 copies/p'; } | run
    echo "$ours" | run --refused
    exit
fi
theirs=$(programs '@old' "$old/target/debug" "$old/sources" "env PYTHONPATH=$old/python /usr/bin/python3")
layout() { sed -n 's/^pub(crate) const VERSION: u64 = \([0-9]*\);/\1/p' "$1/ring/src/layout/mod.rs"; }
echo "conformance: layout $(layout "$here") here, $(layout "$old/sources") in the other build"
# What was mended by what these programs found, in the commit that brought them.
grep -q SHMFLOW_NO_OFFSET "$old/sources/capi/include/shmflow.h" \
    || export CONFORMANCE_MENDED="c@old=dts,offset,offset_end,kind python@old=kind gst@old=tags,custom"
if [ "$(layout "$here")" = "$(layout "$old/sources")" ]; then
    { echo "$ours"; echo "$theirs"; } | run
else
    { echo "$ours"; echo "$theirs"; } | run --each-refuses
fi
