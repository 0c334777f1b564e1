#!/bin/sh
# After `make install`: has the loader and GStreamer look at what is new, and says what they do not find by themselves.
# Usage: tools/after-install.sh <directory of the plugin> <directory of the libraries>
set -eu
plugins=$1
libraries=$2
PATH=$PATH:/usr/sbin:/sbin
# Where the loader looks by itself, it keeps a list.
if [ "$(id -u)" -eq 0 ] && command -v ldconfig >/dev/null 2>&1; then ldconfig; fi
# Whether the loader comes to these very files by itself.
known() {
    ours=$(readlink -f "$libraries/libshmflow.so")
    ldconfig -p 2>/dev/null | sed -n 's/.*=> \(.*libshmflow\.so.*\)/\1/p' | while read -r listed; do
        [ "$(readlink -f "$listed")" != "$ours" ] || echo yes
    done | grep -q yes
}
if gst-inspect-1.0 shmflowsink >/dev/null 2>&1; then
    echo "installed: gst-inspect-1.0 shmflowsink shows it"
else
    echo "installed; GStreamer does not look there by itself, so set:"
    echo "    export GST_PLUGIN_PATH=$plugins"
fi
if ! known; then
    echo "for programs with the C library, set:"
    echo "    export LD_LIBRARY_PATH=$libraries PKG_CONFIG_PATH=$libraries/pkgconfig"
fi
