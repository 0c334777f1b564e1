#!/bin/sh
# Builds the wheel for 64-bit ARM on this machine; prints where it is. Usage: tools/build-wheel-aarch64.sh <directory for it>
# In a Debian 13 of its own, so that this one gets no second architecture: GStreamer for ARM to link to, the cross compiler,
# and Rust with its standard library for ARM are all Debian's packages. It is below the target directory.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
root=${CARGO_TARGET_DIR:-$here/target}/debian-13-aarch64
in_root() {
    "$here/tools/debian-root.sh" trixie "$root" "gcc libc6-dev pkgconf python3-venv" "$@"
}
# Rust is newer in the backports.
in_root sh -euc '
    [ ! -e /root/cross-packages ] || exit 0
    dpkg --add-architecture arm64
    sed "s/ trixie main/ trixie-backports main/" /etc/apt/sources.list >/etc/apt/sources.list.d/backports.list
    {
        apt-get update -q
        apt-get install -y -q --no-install-recommends -t trixie-backports cargo rustc libstd-rust-dev:arm64
        apt-get install -y -q --no-install-recommends gcc-aarch64-linux-gnu libgstreamer-plugins-base1.0-dev:arm64
    } >/root/log 2>&1 </dev/null || { tail -n 20 /root/log >&2; exit 1; }
    touch /root/cross-packages'
in_root env CARGO_TARGET_DIR=/root/target CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc STRIP=aarch64-linux-gnu-strip \
    PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig \
    /shmflow/tools/build-wheel.sh /root/wheels >&2
rm -f "$out"/shmflow-*_aarch64.whl
cp "$root"/root/wheels/shmflow-*_aarch64.whl "$out"
ls "$out"/shmflow-*_aarch64.whl
