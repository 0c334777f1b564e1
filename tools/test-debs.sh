#!/bin/sh
# Installs the Debian packages in a bare Debian, uses each of them, and removes them without a trace.
# Usage: tools/test-debs.sh <suite: bookworm or trixie> <directory with the packages>
# That Debian is below the target directory, or where $SHMFLOW_DEBIAN_ROOTS says.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
[ "$1" = --inside ] || {
    suite=$1
    root=${SHMFLOW_DEBIAN_ROOTS:-${CARGO_TARGET_DIR:-$here/target}}/debian-packages-$suite
    on_it() { "$here/tools/debian-root.sh" "$suite" "$root" "" "$@"; }
    on_it true
    mkdir -p "$root/root/debs"
    rm -f "$root"/root/debs/*.deb
    cp "$2"/*.deb "$root/root/debs/"
    on_it sh /shmflow/tools/test-debs.sh --inside
    exit 0
}

fail() { echo "debs: $*" >&2; exit 1; }
# Every file of the system but those that any installation changes.
files() {
    find / -xdev \( -path /proc -o -path /dev -o -path /sys -o -path /shmflow -o -path /root -o -path /tmp -o -path /run \
        -o -path /var/log -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg \) -prune -o -print | LC_ALL=C sort
}
quietly() { "$@" >/tmp/log 2>&1 </dev/null || { tail -n 30 /tmp/log >&2; fail "$*"; }; }
. "$here/tools/await.sh"
export SHMFLOW_DIR=/dev/shm GST_REGISTRY=/tmp/registry
cd /root/debs
quietly apt-get update -q
echo "debs: what they need, and nothing of theirs"
# First what they depend on, so that what is left behind is seen.
needed=$(apt-get install -s --no-install-recommends ./*.deb | sed -n 's/^Inst \([^ ]*\) .*/\1/p' | grep -v shmflow || true)
# shellcheck disable=SC2086 # package names are words
quietly apt-get install -y -q --no-install-recommends $needed gcc libc6-dev pkg-config gstreamer1.0-tools gstreamer1.0-plugins-base
files >/tmp/before
quietly apt-get install -y -q --no-install-recommends ./*.deb

echo "debs: the command, its pages and its completions"
version=$(shmflow --version)
for file in /usr/share/man/man1/shmflow.1.gz /usr/share/bash-completion/completions/shmflow \
    /usr/share/zsh/vendor-completions/_shmflow /usr/share/fish/vendor_completions.d/shmflow.fish; do
    # A Debian in a container may be told to leave documentation out.
    [ -f "$file" ] || grep -rqs 'path-exclude' /etc/dpkg/dpkg.cfg.d || fail "$file is missing"
done

echo "debs: from the plugin to the package, to C, and to the command"
gst-inspect-1.0 shmflowsink >/dev/null || fail "GStreamer does not find the plugin"
gst-launch-1.0 -q videotestsrc num-buffers=30 ! video/x-raw,format=GRAY8,width=160,height=120,framerate=30/1 \
    ! shmflowsink topic=bars leaky-type=none sync=false wait-for-connection=true &
writer=$!
await "the topic is there" shmflow info bars
shmflow ls | grep -q '^bars ' || fail "the command does not list it: $(shmflow ls)"
python3 - <<'END' || fail "Python does not read what the plugin writes"
import shmflow
frames = [(frame.array.shape, frame.lost_before) for frame in shmflow.Consumer("bars")]
assert frames == [((120, 160), 0)] * 30 or frames == [((120, 160, 1), 0)] * 30, frames
END
wait "$writer" || fail "the producer failed"
[ "$(python3 -m shmflow --version)" = "$version" ] || fail "python3 -m shmflow is not the command"
# shellcheck disable=SC2046 # words are wanted
quietly gcc -std=c99 /shmflow/capi/examples/sender.c -o /tmp/sender $(pkg-config --cflags --libs shmflow)
quietly /tmp/sender left 3
rm -f /tmp/sender

echo "debs: removed without a trace"
# shellcheck disable=SC2046
quietly apt-get purge -y -q $(dpkg-query -W -f '${Package}\n' '*shmflow*')
files >/tmp/after
diff /tmp/before /tmp/after >/tmp/traces || fail "left behind, or gone: $(cat /tmp/traces)"
[ -z "$(ls /dev/shm)" ] || fail "in /dev/shm: $(ls /dev/shm)"
echo "debs: $version on $(. /etc/os-release && echo "$PRETTY_NAME"): all passed"
