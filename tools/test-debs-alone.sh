# For tools/test-debs.sh, which reads it in: each package in a Debian that has nothing but what this one says that it needs.

# Every program and library of a package finds its libraries, before anything else is installed.
links() {
    for file in $(dpkg -L "$1"); do
        [ -f "$file" ] && [ "$(head -c 4 "$file" | tail -c 3)" = ELF ] || continue
        ! ldd "$file" | grep 'not found' || fail "$1: $file needs more than the package says"
    done
}
# alone <package> [those of ours that it depends on]
alone() {
    echo "debs: $1 alone"
    bare
    files=
    for package; do files="$files ./${package}_*.deb"; done
    # shellcheck disable=SC2086 # file names are words
    get $files
    links "$1"
}

alone gstreamer1.0-shmflow
get gstreamer1.0-tools
gst-launch-1.0 -q fakesrc num-buffers=3 ! shmflowsink topic=alone || fail "the plugin does not run"

alone shmflow
[ "$(shmflow ls --json)" = '[]' ] || fail "the command does not run: $(shmflow ls --json)"
# Without systemd there is no user, and nothing that would need one.
! getent passwd shmflow >/dev/null || fail "there is a user already: this Debian is not bare"
quietly apt-get purge -y -q shmflow

library=$(basename ./libshmflow[0-9]*_*.deb)
library=${library%%_*}
alone "$library"

alone libshmflow-dev "$library"
get gcc
quietly gcc -std=c99 /shmflow/capi/examples/sender.c -o /tmp/sender -lshmflow
quietly /tmp/sender alone 3

alone python3-shmflow
python3 - <<'PYTHON' || fail "the Python package does not run"
import numpy, shmflow
with shmflow.Producer("alone", width=4, height=4, format="GRAY8") as producer, shmflow.Consumer("alone") as consumer:
    producer.write(numpy.full((4, 4), 7, numpy.uint8))
    assert (next(iter(consumer)).array == 7).all()
PYTHON

if grep -q "^FROM debian:$(. /etc/os-release && echo "$VERSION_ID")-" /shmflow/packaging/containers/Containerfile; then
    echo "debs: what the Containerfile runs, and its image's programs as its user"
    bare
    mkdir -p /tmp/debs
    cp ./*.deb /tmp/debs/
    quietly sh -euc "$(sed -n '/^RUN /,/[^\\]$/{s/^RUN //;p}' /shmflow/packaging/containers/Containerfile)"
    user=$(sed -n 's/^USER //p' /shmflow/packaging/containers/Containerfile)
    as_user() { setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups env HOME=/ GST_REGISTRY=/tmp/registry-of-user "$@"; }
    as_user gst-launch-1.0 -q videotestsrc num-buffers=3 ! shmflowsink topic=of-user sync=false || fail "its pipelines do not run"
    as_user shmflow ls >/dev/null 2>&1 || fail "its command does not run"
    rm -f /tmp/registry-of-user
    quietly apt-get update -q
fi
bare
