#!/bin/sh
# Makes docs/pictures/top.png: `shmflow top` in a terminal, on real topics, as a person sees it.
# Usage: tools/top-picture.sh [FILE]
# Takes the command and the plugin that `make build` has built; SHMFLOW and GST_PLUGIN_PATH name others.
# `make pictures` runs it, and installs what it needs: xterm, xvfb, imagemagick, fonts, and GStreamer's good and ugly plugins.
set -eu
cd "$(dirname "$0")/.."
file=${1:-docs/pictures/top.png}
shmflow=${SHMFLOW:-$PWD/target/release/shmflow}
export GST_PLUGIN_PATH="${GST_PLUGIN_PATH:-$PWD/target/release/gstreamer-1.0}"
for tool in xterm Xvfb import convert gst-launch-1.0 "$shmflow"; do
    command -v "$tool" >/dev/null || { echo "top-picture: $tool is missing" >&2; exit 1; }
done

SHMFLOW_DIR=$(mktemp -d /dev/shm/shmflow-top-XXXXXX)
export SHMFLOW_DIR
export GST_REGISTRY="$SHMFLOW_DIR/registry.bin"
children=
cleanup() {
    # shellcheck disable=SC2086 # a list
    kill $children 2>/dev/null || true
    wait
    rm -r "$SHMFLOW_DIR"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

run() {
    "$@" >/dev/null 2>&1 &
    children="$children $!"
}
launch() { run gst-launch-1.0 -q "$@"; }
camera() { # topic, width, height, frames a second, format, description
    launch videotestsrc is-live=true ! "video/x-raw,format=$5,width=$2,height=$3,framerate=$4/1" \
        ! shmflowsink topic="$1" description="$6"
}

camera robot/front 640 480 30 I420 "Front camera"
camera robot/depth 320 240 30 GRAY16_LE "Depth, in millimetres"
launch audiotestsrc is-live=true samplesperbuffer=480 ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! shmflowsink topic=robot/mic
launch videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1 ! x264enc tune=zerolatency key-int-max=25 \
    ! h264parse ! shmflowsink topic=door/encoded description="Front door"
camera line 160 120 60 GRAY8 "Conveyor"
# One that keeps up, two on one topic, one that is too slow, and one that only looks.
launch shmflowsrc topic=robot/front ! fakesink sync=true
launch shmflowsrc topic=robot/front ! videoconvert ! fakesink sync=true
launch shmflowsrc topic=robot/mic ! fakesink sync=true
launch shmflowsrc topic=door/encoded ! h264parse ! fakesink
launch shmflowsrc topic=line ! identity sleep-time=250000 ! fakesink sync=false
# Its rate goes up and down.
imu() {
    step=0
    while printf '{"step": %s}\n' "$step"; do
        step=$((step + 1))
        sleep "0.0$((2 + (step / 40 * 3) % 7))"
    done >"$SHMFLOW_DIR/imu"
}
mkfifo "$SHMFLOW_DIR/imu"
imu &
children="$children $!"
run "$shmflow" send robot/imu "$SHMFLOW_DIR/imu" --lines
printf '{"x": 1.5, "y": 2.0}\n' | "$shmflow" send robot/pose --lines --persistent --description "Last known pose" 2>/dev/null

# Xvfb writes the number of a free display when it is ready.
mkfifo "$SHMFLOW_DIR/display"
Xvfb -displayfd 3 -screen 0 960x420x24 -nolisten tcp 3>"$SHMFLOW_DIR/display" >/dev/null 2>&1 &
children="$children $!"
read -r number <"$SHMFLOW_DIR/display"
export DISPLAY=":$number"

deadline=$(($(date +%s) + 60))
until "$shmflow" ls --json 2>/dev/null | grep -c '"state": "live"' | grep -qx 6; do
    [ "$(date +%s)" -lt "$deadline" ] || { echo "top-picture: not all topics are live" >&2; exit 1; }
    sleep 0.5
done
run xterm -fa "DejaVu Sans Mono" -fs 10 -geometry 112x22+0+0 -b 6 -bg "#1c1c1c" -fg "#e4e4e4" -e "$shmflow" top --dir "$SHMFLOW_DIR"
# For as long as the lines of its history need to be worth looking at.
sleep "${SECONDS_TO_SHOW:-40}"
mkdir -p "$(dirname "$file")"
import -window root "$SHMFLOW_DIR/screen.png"
convert "$SHMFLOW_DIR/screen.png" -trim +repage -colors 64 -strip "png8:$file"
echo "$file: $(stat -c %s "$file") bytes"
