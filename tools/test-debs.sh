#!/bin/sh
# Installs the Debian packages in a bare Debian, each of them alone and then all, uses them, and removes them without a trace.
# Usage: tools/test-debs.sh <suite: bookworm or trixie> <directory with the packages>
# That Debian is below the target directory, or where $SHMFLOW_DEBIAN_ROOTS says.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
[ "$1" = --inside ] || {
    suite=$1
    root=${SHMFLOW_DEBIAN_ROOTS:-${CARGO_TARGET_DIR:-$here/target}}/debian-bare-$suite
    on_it() { "$here/tools/debian-root.sh" "$suite" "$root" "" "$@"; }
    on_it true
    mkdir -p "$root/root/debs"
    rm -f "$root"/root/debs/*.deb
    cp "$2"/*.deb "$root/root/debs/"
    on_it sh /shmflow/tools/test-debs.sh --inside
    exit 0
}

fail() { echo "debs: $*" >&2; exit 1; }
quietly() { "$@" >/tmp/log 2>&1 </dev/null || { tail -n 30 /tmp/log >&2; fail "$*"; }; }
get() { quietly apt-get install -y -q --no-install-recommends "$@"; }
packages() { dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | LC_ALL=C sort; }
# Removes what is not of the bare Debian, as it was before the first of these tests.
bare() {
    [ -f /root/bare ] || packages >/root/bare
    more=$(packages | LC_ALL=C comm -13 /root/bare -)
    # shellcheck disable=SC2086 # package names are words
    [ -z "$more" ] || quietly apt-get purge -y -q $more
    ! getent passwd shmflow >/dev/null || userdel shmflow
}
. "$here/tools/await.sh"
export SHMFLOW_DIR=/dev/shm GST_REGISTRY=/tmp/registry
cd /root/debs
bare
quietly apt-get update -q
. "$here/tools/test-debs-alone.sh"
. "$here/tools/test-debs-together.sh"
bare
echo "debs: $version on $(. /etc/os-release && echo "$PRETTY_NAME"): all passed"
