#!/bin/sh
# Gives the built plugin a folder of its own, for GST_PLUGIN_PATH; prints which.
# Usage: tools/plugin-folder.sh <where cargo builds>, for example target/release
# GStreamer looks at every library below that path, and warns of those that are no plugins: Python's is one.
set -eu
folder=$1/gstreamer-1.0
mkdir -p "$folder"
ln -sfn ../libgstshmflow.so "$folder/libgstshmflow.so"
echo "$folder"
