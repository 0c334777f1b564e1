#!/bin/sh
# Runs a command in a Debian of its own, which is made when it is not there yet (debootstrap, and then apt-get).
# Usage: tools/debian-root.sh <suite> <folder for it> "<packages>" <command...>
# The project is at /shmflow there. /proc, /dev and an own /dev/shm (512 MiB, or $SHMFLOW_ROOT_SHM) are mounted for the command alone, and go when it ends.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
suite=$1 root=$2 packages=$3
shift 3
if [ "$(id -u)" -ne 0 ]; then
    echo "debian-root: making a Debian $suite and running in it (chroot, mount) needs root rights: run this as root, by sudo for example." >&2
    exit 1
fi
for tool in debootstrap unshare; do
    command -v "$tool" >/dev/null || { echo "debian-root: $tool was not found: apt-get install debootstrap util-linux" >&2; exit 1; }
done

# Runs a command there. The mounts are in a namespace that ends with the command, however that ends.
inside() {
    # shellcheck disable=SC2016 # the inner shell is to expand these
    unshare --mount --propagation private sh -euc '
        root=$1 here=$2
        shift 2
        cp -L /etc/resolv.conf "$root/etc/resolv.conf"
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs -o "mode=1777,size=${SHMFLOW_ROOT_SHM:-512m}" tmpfs "$root/dev/shm"
        mkdir -p "$root/shmflow"
        mount --bind "$here" "$root/shmflow"
        exec chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
            "$@"' sh "$root" "$here" "$@"
}

if [ ! -d "$root" ]; then
    echo "debian-root: making Debian $suite in $root" >&2
    mkdir -p "$(dirname "$root")"
    rm -rf "$root.part"
    debootstrap --variant=minbase --include=ca-certificates "$suite" "$root.part" >"$root.log" 2>&1 || {
        tail -n 20 "$root.log" >&2
        exit 1
    }
    # This machine's own certificates: a network may have a proxy that shows others than the world's.
    [ ! -d /usr/local/share/ca-certificates ] || cp -r /usr/local/share/ca-certificates/. "$root.part/usr/local/share/ca-certificates/"
    mv "$root.part" "$root"
fi
if [ "$(cat "$root/.packages" 2>/dev/null)" != "$packages" ]; then
    # shellcheck disable=SC2086 # package lists are words
    { inside update-ca-certificates && inside apt-get update -q && inside apt-get install -y -q --no-install-recommends $packages; } </dev/null >"$root.log" 2>&1 || {
        tail -n 20 "$root.log" >&2
        exit 1
    }
    echo "$packages" >"$root/.packages"
fi
inside "$@"
