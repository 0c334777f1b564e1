#!/bin/sh
# Installs a wheel into an empty environment, without a network, and uses all that is in it: package, command and plugin.
# Usage: tools/test-wheel.sh <wheel, or source distribution, which is built> <folder for the environment>
# It needs Python with venv and numpy, and GStreamer's tools with the base plugins; nothing of this project's build.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
[ "$1" = --inside ] || {
    wheel=$(readlink -f "$1")
    mkdir -p "$2"
    work=$(cd "$2" && pwd)
    rm -rf "$work/env" "$work/home"
    mkdir -p "$work/home"
    "${SHMFLOW_PYTHON:-/usr/bin/python3}" -m venv --system-site-packages "$work/env"
    case $wheel in *.whl) network=--no-index ;; *) network= ;; esac
    # shellcheck disable=SC2086 # none, or one word
    CARGO_TARGET_DIR=$work/target "$work/env/bin/pip" install --quiet --disable-pip-version-check $network "$wheel"
    topics=$(mktemp -d /dev/shm/shmflow-wheel-XXXXXX)
    trap 'rm -rf "$topics"' EXIT
    # Of the caller's settings it has none, nor what `make install` may have put into the caller's home.
    env -i HOME="$work/home" PATH="$work/env/bin:/usr/bin:/bin" SHMFLOW_DIR="$topics" GST_REGISTRY="$work/home/registry" \
        sh "$0" --inside
    exit 0
}

cd "$HOME"
fail() { echo "wheel: $*" >&2; exit 1; }
. "$here/tools/await.sh"
plugin_in_use() {
    gst-inspect-1.0 shmflow >inspected 2>warnings || fail "GStreamer does not find the plugin: $(cat warnings)"
    ! grep -q WARNING warnings || fail "GStreamer warns: $(cat warnings)"
    sed -n 's/ *Filename *//p' inspected
}

echo "wheel: the command, and python -m shmflow"
version=$(python -c 'import shmflow; print(shmflow.__version__)')
[ "$(shmflow --version)" = "shmflow $version" ] || fail "the package is $version, the command $(shmflow --version)"
[ "$(python -m shmflow --help)" = "$(shmflow --help)" ] || fail "python -m shmflow is not the command"
status=0
shmflow info no/such/topic 2>/dev/null || status=$?
[ "$status" = 3 ] || fail "the exit status is not the command's: $status"

echo "wheel: the plugin"
folder=$(python -m shmflow plugin)
[ "$folder" = "$(python -c 'import pathlib, shmflow; print(pathlib.Path(shmflow.__file__).parent)')/gstreamer-1.0" ] \
    || fail "the plugin is not in the package: $folder"
! gst-inspect-1.0 shmflowsink >/dev/null 2>&1 || fail "there is another plugin in this environment"
eval $(shmflow env)
[ "$GST_PLUGIN_PATH" = "$folder" ] || fail "shmflow env has set GST_PLUGIN_PATH to $GST_PLUGIN_PATH"
eval $(shmflow env)
[ "$GST_PLUGIN_PATH" = "$folder" ] || fail "done twice, GST_PLUGIN_PATH is $GST_PLUGIN_PATH"
[ "$(plugin_in_use)" = "$folder/libgstshmflow.so" ] || fail "GStreamer uses $(plugin_in_use)"
python - <<'END' || fail "the wheel has other programs in it than it should"
from importlib.metadata import files
from pathlib import Path
programs = {str(file): code for file in files("shmflow") if (code := Path(file.locate()).read_bytes())[:4] == b"\x7fELF"}
names = sorted(name.split(".")[0] for name in programs)
assert names == ["shmflow/_shmflow", "shmflow/bin/shmflow", "shmflow/gstreamer-1"], f"{names}: a library of the system?"
assert not [name for name, code in programs.items() if b"\0.debug_info\0" in code], "with debug information"
END

echo "wheel: both commands of the README, in two processes"
commands=$(sed -n 's/^    \(gst-launch-1.0 .*\)/\1/p' "$here/README.md" | head -n 2)
writes=$(echo "$commands" | sed -n '1s/videotestsrc/videotestsrc num-buffers=60/p')
reads=$(echo "$commands" | sed -n '2s/autovideosink/filesink location=received/p')
[ -n "$writes" ] && [ -n "$reads" ] || fail "the README begins with other commands: $commands"
sh -c "exec $reads" >/dev/null &
reader=$!
sh -c "exec $writes -v" >said || fail "$writes"
wait "$reader" || fail "$reads"
caps=$(sed -n 's/.*videotestsrc0.*src: caps = //p' said | head -n 1)
gst-launch-1.0 -q videotestsrc num-buffers=60 ! "$caps" ! filesink location=sent
# A consumer that this machine kept from running may have lost some, and says so; what it has is what was sent, in order.
python - <<'END' || fail "what arrives is not what was sent"
sent, received = (open(name, "rb").read() for name in ("sent", "received"))
size = len(sent) // 60
frames = [[data[at : at + size] for at in range(0, len(data), size)] for data in (sent, received)]
left = iter(frames[0])
assert all(frame in left for frame in frames[1]), "a frame that was not sent, or out of order"
assert len(frames[1]) >= 10 and frames[0][-1] == frames[1][-1], f"{len(frames[1])} frames of 60"
END

echo "wheel: from the plugin to the package, seen by the command"
pictures="videotestsrc num-buffers=30 ! video/x-raw,format=BGR,width=160,height=120,framerate=30/1"
gst-launch-1.0 -q $pictures ! shmflowsink topic=bars leaky-type=none sync=false wait-for-connection=true &
writer=$!
await "the topic is there" shmflow info bars
shmflow ls | grep -q '^bars ' || fail "shmflow ls does not show the topic: $(shmflow ls)"
python - >received <<'END' || fail "the package does not read what the plugin writes"
import sys, shmflow
for frame in shmflow.Consumer("bars"):
    assert frame.array.shape == (120, 160, 3) and frame.lost_before == 0, frame
    sys.stdout.buffer.write(bytes(frame))
END
wait "$writer" || fail "the producer failed"
gst-launch-1.0 -q $pictures ! filesink location=sent
cmp sent received || fail "what arrives is not what was sent"

echo "wheel: beside a plugin that was installed before"
installed=$HOME/.local/share/gstreamer-1.0/plugins
mkdir -p "$installed"
cp "$folder/libgstshmflow.so" "$installed"
[ "$(plugin_in_use)" = "$folder/libgstshmflow.so" ] || fail "GStreamer uses $(plugin_in_use)"
gst-launch-1.0 -q videotestsrc num-buffers=3 ! shmflowsink topic=again sync=false 2>warnings || fail "$(cat warnings)"
[ ! -s warnings ] || fail "with two plugins: $(cat warnings)"
echo "wheel: $version on $(. /etc/os-release && echo "$PRETTY_NAME"), Python $(python -c 'import platform; print(platform.python_version())'): all passed"
