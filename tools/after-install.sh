#!/bin/sh
# After `make install`: has the loader and GStreamer look at what is new, and says what they do not find by themselves.
# Usage: tools/after-install.sh <directory of the plugin> <directory of the libraries> <directory of the command>
set -eu
plugins=$1
libraries=$2
commands=$3
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
# The copy that GStreamer loads: another one, as an older one of a distribution, may come first.
loaded=$(GST_INSPECT_NO_COLORS=1 LC_ALL=C gst-inspect-1.0 shmflowsink 2>/dev/null | sed -n 's/^ *Filename *//p' | head -n 1)
if [ -z "$loaded" ]; then
    echo "installed; GStreamer does not look there by itself, so set:"
    echo "    export GST_PLUGIN_PATH=$plugins"
elif [ "$(readlink -f "$loaded")" = "$(readlink -f "$plugins/libgstshmflow.so")" ]; then
    echo "installed: gst-inspect-1.0 shmflowsink shows it"
else
    echo "installed, but GStreamer loads another copy: $loaded"
    echo "remove that one (make uninstall there), or put this one before it:"
    echo "    export GST_PLUGIN_PATH=$plugins"
fi
case ":$PATH:" in
    *":$commands:"*)
        found=$(command -v shmflow || true)
        if [ -n "$found" ] && [ "$(readlink -f "$found")" != "$(readlink -f "$commands/shmflow")" ]; then
            echo "another copy of the command comes first in PATH: $found"
        fi ;;
    *)
        echo "the command is not in PATH; set:"
        echo "    export PATH=$commands:\$PATH" ;;
esac
if ! known; then
    echo "for programs with the C library, set:"
    echo "    export LD_LIBRARY_PATH=$libraries PKG_CONFIG_PATH=$libraries/pkgconfig"
fi
