#!/bin/sh
# Builds Debian packages of all parts from what `make build` and `make wheel` have made; prints where they are.
# Usage: tools/build-debs.sh <directory with the optimised build> <the wheel> <directory for the packages>
#
# What a package depends on is read from its programs (dpkg-shlibdeps), so packages that are to be installed on Debian 12
# and newer have to be built on Debian 12.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
built=$(cd "$1" && pwd)
wheel=$(readlink -f "$2")
mkdir -p "$3"
out=$(cd "$3" && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/Cargo.toml" | head -n 1)
# A version of Debian's sorts 1.0~rc.1 before 1.0.
debian_version=$(echo "$version" | tr - '~')
arch=$(dpkg --print-architecture)
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

# All of it, as `make install` puts it; each package takes its part. What is left over at the end was forgotten.
all=$work/all
make -s -C "$here" install CARGO=no-cargo PREFIX=/usr DESTDIR="$all" built="$built" LIBDIR="/usr/lib/$multiarch" >"$work/log" 2>&1 \
    || { cat "$work/log" >&2; exit 1; }
rm -rf "$all/usr/share/doc"
mv "$all/usr/share/zsh/site-functions" "$all/usr/share/zsh/vendor-completions"
gzip -9n "$all"/usr/share/man/man1/*
mkdir -p "$all/usr/lib/python3/dist-packages"
python3 -m zipfile -e "$wheel" "$all/usr/lib/python3/dist-packages"
# The command and the plugin are packages of their own, and its launcher is the command's.
rm -rf "$all"/usr/lib/python3/dist-packages/shmflow/bin "$all"/usr/lib/python3/dist-packages/shmflow/gstreamer-1.0
chmod -R u=rwX,go=rX "$all"
soname=$(basename "$(readlink "$all/usr/lib/$multiarch/libshmflow.so")")
library=libshmflow${soname##*.so.}

# take <package> <file or folder of all of it>...
take() {
    package=$1
    shift
    for path; do
        mkdir -p "$work/$package/$(dirname "$path")"
        mv "$all/$path" "$work/$package/$path"
    done
}
# What programs need, as Depends has it.
needed_by() {
    mkdir -p "$work/shlibs/debian"
    printf 'Source: shmflow\n\nPackage: shmflow\nArchitecture: any\n' >"$work/shlibs/debian/control"
    (cd "$work/shlibs" && dpkg-shlibdeps -O --ignore-missing-info "$@" 2>/dev/null) | sed 's/^shlibs:Depends=//'
}
# control <package> <section> <depends> <one line> <more lines>, with other fields from the standard input
control() {
    mkdir -p "$work/$1/DEBIAN"
    {
        echo "Package: $1"
        echo "Source: shmflow"
        echo "Version: $debian_version"
        echo "Architecture: $arch"
        echo "Maintainer: The shmflow authors <shmflow@localhost>"
        echo "Installed-Size: $(du -sk "$work/$1" | cut -f 1)"
        [ -z "$3" ] || echo "Depends: $3"
        cat
        echo "Section: $2"
        echo "Priority: optional"
        echo "Description: $4"
        echo "$5" | sed 's/^/ /'
    } >"$work/$1/DEBIAN/control"
}
build() {
    doc=$work/$1/usr/share/doc/$1
    mkdir -p "$doc"
    {
        echo "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
        echo "Upstream-Name: shmflow"
        echo "Comment: The command's JPEG encoder is based in part on the work of the Independent JPEG Group."
        printf '\nFiles: *\nCopyright: The shmflow authors\nLicense: MIT or Apache-2.0\n\nLicense: MIT\n'
        sed 's/^$/./; s/^/ /' "$here/LICENSE-MIT"
        printf '\nLicense: Apache-2.0\n The whole text is in /usr/share/common-licenses/Apache-2.0.\n'
    } >"$doc/copyright"
    gzip -9nc "$here/CHANGELOG.md" >"$doc/changelog.gz"
    (cd "$work/$1" && find usr -type f | LC_ALL=C sort | xargs -d '\n' md5sum >DEBIAN/md5sums)
    dpkg-deb --root-owner-group --build "$work/$1" "$out/${1}_${debian_version}_$arch.deb" >/dev/null
}
# maintainer <package> <script>: its lines come from the standard input
maintainer() {
    { printf '#!/bin/sh\nset -e\n'; cat; } >"$work/$1/DEBIAN/$2"
    chmod 755 "$work/$1/DEBIAN/$2"
}

lib=usr/lib/$multiarch
rm -f "$out"/*.deb
take gstreamer1.0-shmflow "$lib/gstreamer-1.0/libgstshmflow.so"
control gstreamer1.0-shmflow libs "$(needed_by "$work/gstreamer1.0-shmflow/$lib/gstreamer-1.0/libgstshmflow.so")" \
    "GStreamer elements to share frames between processes" \
    "shmflowsink writes a stream into shared memory, and shmflowsrc reads it in other
processes without a copy: raw video, sound, encoded streams and bytes." </dev/null
build gstreamer1.0-shmflow

take "$library" "$lib/libshmflow.so.$version" "$lib/$soname"
control "$library" libs "$(needed_by "$work/$library/$lib/libshmflow.so.$version")" \
    "frames between processes over shared memory, the library" \
    "A crash-safe ring in shared memory with many producers and many consumers, for
programs in C and C++." <<END
Multi-Arch: same
END
echo "libshmflow ${soname##*.so.} $library (>= $debian_version)" >"$work/$library/DEBIAN/shlibs"
echo "activate-noawait ldconfig" >"$work/$library/DEBIAN/triggers"
build "$library"

take libshmflow-dev "$lib/libshmflow.so" "$lib/libshmflow.a" "$lib/pkgconfig/shmflow.pc" "$lib/cmake/shmflow" usr/include
control libshmflow-dev libdevel "$library (= $debian_version), libc6-dev" \
    "frames between processes over shared memory, to build with" \
    "Headers for C and C++17, the static library, and what pkg-config and CMake read." <<END
Multi-Arch: same
END
build libshmflow-dev

mkdir -p "$all/usr/share/doc/shmflow/examples"
cp "$here"/packaging/containers/* "$all/usr/share/doc/shmflow/examples/"
take shmflow usr/bin/shmflow usr/lib/systemd usr/lib/sysusers.d usr/share/doc/shmflow usr/share/man/man1 usr/share/bash-completion usr/share/zsh usr/share/fish
control shmflow utils "$(needed_by "$work/shmflow/usr/bin/shmflow")" \
    "see and manage streams in shared memory" \
    "The command lists topics and who takes part, measures them, shows and takes
pictures, and records and replays streams." <<END
Recommends: gstreamer1.0-shmflow, gstreamer1.0-tools
END
# What debhelper would add for a unit and a user.
maintainer shmflow postinst <<END
if command -v systemd-sysusers >/dev/null 2>&1; then systemd-sysusers shmflow.conf; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
END
maintainer shmflow postrm <<END
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
END
build shmflow

take python3-shmflow usr/lib/python3
control python3-shmflow python \
    "python3 (>= 3.11), python3-numpy, $(needed_by "$work"/python3-shmflow/usr/lib/python3/dist-packages/shmflow/*.so)" \
    "video frames between processes as numpy arrays" \
    "Producers and consumers of topics in shared memory, without a copy." <<END
Recommends: shmflow
Suggests: gstreamer1.0-shmflow, python3-opencv
END
maintainer python3-shmflow postinst <<END
if command -v py3compile >/dev/null 2>&1; then py3compile -p python3-shmflow; fi
END
maintainer python3-shmflow prerm <<END
if command -v py3clean >/dev/null 2>&1; then py3clean -p python3-shmflow
else find /usr/lib/python3/dist-packages/shmflow -name __pycache__ -exec rm -rf {} +; fi
END
build python3-shmflow

left=$(find "$all" -type f -o -type l)
[ -z "$left" ] || { echo "debs: in none of the packages:" >&2; echo "$left" >&2; exit 1; }
ls "$out"/*.deb
