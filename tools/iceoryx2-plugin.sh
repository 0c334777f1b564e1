#!/bin/sh
# Puts iceoryx2's GStreamer plugin, from its Python wheel, into a folder for GST_PLUGIN_PATH, unless it is there.
# Usage: tools/iceoryx2-plugin.sh <folder> (needs Python 3.12 or newer with pip, patchelf, GStreamer 1.24 or newer)
set -eu
version=0.0.6 folder=$1
plugin=$folder/libgsticeoryx2.so
[ ! -e "$plugin" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip -q download --no-deps --only-binary=:all: --dest "$work" "gst-plugin-iceoryx2==$version"
python3 -m zipfile -e "$work"/*.whl "$work/wheel"
cp "$work/wheel/gst_iceoryx2/_native/lib_native.so" "$work/plugin.so"
# It brings a gio of its own; in one process with the system's GLib that must be the system's.
for vendored in $(patchelf --print-needed "$work/plugin.so" | grep '^libgio-2-'); do
    patchelf --replace-needed "$vendored" libgio-2.0.so.0 "$work/plugin.so"
done
mkdir -p "$folder"
mv "$work/plugin.so" "$plugin"
