# For tools/test-debs.sh, which reads it in: all packages at once, from one to the other, and removed without a trace.

# Every file of the system but those that any installation changes, and what is left of making a user, whoever's package did it.
files() {
    find / -xdev \( -path /proc -o -path /dev -o -path /sys -o -path /shmflow -o -path /root -o -path /tmp -o -path /run \
        -o -path /var/log -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg \
        -o -path /etc/.pwd.lock -o -path '/etc/passwd-' -o -path '/etc/group-' -o -path '/etc/shadow-' -o -path '/etc/gshadow-' \) \
        -prune -o -print | LC_ALL=C sort
}
echo "debs: what they need, and nothing of theirs"
# First what they depend on, so that what is left behind is seen.
needed=$(apt-get install -s --no-install-recommends ./*.deb | sed -n 's/^Inst \([^ ]*\) .*/\1/p' | grep -v shmflow || true)
# shellcheck disable=SC2086 # package names are words
get $needed gcc g++ libc6-dev pkg-config cmake make gstreamer1.0-tools gstreamer1.0-plugins-base systemd-standalone-sysusers
files >/tmp/before
get ./*.deb

echo "debs: the command, its pages, its completions, its user, its examples"
version=$(shmflow --version)
for file in /usr/share/man/man1/shmflow.1.gz /usr/share/bash-completion/completions/shmflow \
    /usr/share/zsh/vendor-completions/_shmflow /usr/share/fish/vendor_completions.d/shmflow.fish \
    /usr/share/doc/shmflow/examples/Containerfile /usr/share/doc/shmflow/examples/compose.yaml; do
    # A Debian in a container may be told to leave documentation out.
    [ -f "$file" ] || grep -rqs 'path-exclude' /etc/dpkg/dpkg.cfg.d || fail "$file is missing"
done
getent passwd shmflow >/dev/null || fail "the user of the unit was not made"
grep -q '^User=shmflow$' /usr/lib/systemd/system/shmflow@.service || fail "the unit runs as another user, or is not there"

echo "debs: from the plugin to the package, to C, and to the command"
gst-inspect-1.0 shmflowsink >/dev/null || fail "GStreamer does not find the plugin"
gst-launch-1.0 -q videotestsrc num-buffers=30 ! video/x-raw,format=GRAY8,width=160,height=120,framerate=30/1 \
    ! shmflowsink topic=bars leaky-type=none sync=false wait-for-connection=true &
writer=$!
await "the topic is there" shmflow info bars
shmflow ls | grep -q '^bars ' || fail "the command does not list it: $(shmflow ls)"
python3 - <<'PYTHON' || fail "Python does not read what the plugin writes"
import shmflow
frames = [(frame.array.shape, frame.lost_before) for frame in shmflow.Consumer("bars")]
assert frames == [((120, 160), 0)] * 30 or frames == [((120, 160, 1), 0)] * 30, frames
PYTHON
wait "$writer" || fail "the producer failed"
[ "$(python3 -m shmflow --version)" = "$version" ] || fail "python3 -m shmflow is not the command"

echo "debs: C and C++, by pkg-config and by CMake, with the library shared and in the program"
examples=/shmflow/capi/examples
mkdir -p /tmp/c
# shellcheck disable=SC2046 # words are wanted
quietly gcc -std=c99 $examples/sender.c -o /tmp/c/shared $(pkg-config --cflags --libs shmflow)
# shellcheck disable=SC2046
quietly gcc -std=c99 -static $examples/sender.c -o /tmp/c/static $(pkg-config --static --cflags --libs shmflow)
# shellcheck disable=SC2046
quietly g++ -std=c++17 $examples/several.cc -o /tmp/c/cxx $(pkg-config --cflags --libs shmflow)
cat >/tmp/c/CMakeLists.txt <<CMAKE
cmake_minimum_required(VERSION 3.16)
project(Try C CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(shmflow ${version#shmflow } REQUIRED)
add_executable(by-cmake $examples/sender.c)
target_link_libraries(by-cmake shmflow::shmflow)
add_executable(by-cmake-static $examples/sender.c)
target_link_libraries(by-cmake-static shmflow::static)
add_executable(by-cmake-cxx $examples/several.cc)
target_link_libraries(by-cmake-cxx shmflow::shmflow)
CMAKE
quietly cmake -S /tmp/c -B /tmp/c/build
quietly cmake --build /tmp/c/build
for program in shared static build/by-cmake build/by-cmake-static; do quietly "/tmp/c/$program" left 3; done
for program in static build/by-cmake-static; do
    ! ldd "/tmp/c/$program" 2>/dev/null | grep shmflow || fail "$program needs the shared library"
done
for program in cxx build/by-cmake-cxx; do
    status=0
    "/tmp/c/$program" >/tmp/log 2>&1 || status=$?
    [ "$status" = 2 ] || fail "$program does not say how it is used: $(cat /tmp/log)"
done
rm -rf /tmp/c

echo "debs: removed without a trace"
# shellcheck disable=SC2046
quietly apt-get purge -y -q $(dpkg-query -W -f '${Package}\n' '*shmflow*')
files >/tmp/after
diff /tmp/before /tmp/after >/tmp/traces || fail "left behind, or gone: $(cat /tmp/traces)"
[ -z "$(ls /dev/shm)" ] || fail "in /dev/shm: $(ls /dev/shm)"
# But for the user: Debian's packages leave theirs, lest its number comes to be somebody else's who would then have its files.
getent passwd shmflow >/dev/null || fail "the user was removed, whose files may still be there"
