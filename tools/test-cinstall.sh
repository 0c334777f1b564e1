#!/bin/sh
# What `cargo cinstall` installs of the plugin and of the C library has the names, and links, that `make install` gives.
# Usage: tools/test-cinstall.sh <folder for both>. It needs cargo-c.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
rm -rf "$1"
mkdir -p "$1"
work=$(cd "$1" && pwd)
cd "$here"
cargo=${CARGO:-cargo}
for package in gst-plugin-shmflow shmflow-capi; do
    $cargo cinstall --locked --release -p "$package" --prefix=/usr --libdir=/usr/lib --destdir="$work/cargo"
done
built=$(find "$work/cargo" -name libgstshmflow.so | head -n 1)
[ -n "$built" ] || { echo "cinstall: it has put no plugin anywhere" >&2; exit 1; }
# Only names are compared, so what is installed here need not be built again.
mkdir "$work/built"
for file in libgstshmflow.so libshmflow.so libshmflow.a; do find "$work/cargo" -name "$file" -exec cp -L {} "$work/built/" \;; done
make -s install CARGO=no-cargo PREFIX=/usr LIBDIR=/usr/lib DESTDIR="$work/make" built="$work/built"
# Of these cargo-c knows nothing: CMake's package, services, licences. And it alone has the plugin as a static
# library, too, and describes it to pkg-config.
(cd "$work/make" && find . -type f -o -type l) | grep -v -e /cmake/ -e /systemd/ -e /sysusers.d/ -e /doc/ | LC_ALL=C sort >"$work/by-make"
(cd "$work/cargo" && find . -type f -o -type l) | grep -v -e 'gstshmflow\.pc$' -e 'libgstshmflow\.a$' | LC_ALL=C sort >"$work/by-cargo"
diff "$work/by-make" "$work/by-cargo" || { echo "cinstall: these names differ (< make install, > cargo cinstall)" >&2; exit 1; }
echo "cinstall: the files of make install: $(wc -l <"$work/by-cargo")"
