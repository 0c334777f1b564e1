#!/bin/sh
# Installs what shmflow needs on Debian 12 or 13, and nothing that is there already.
# Usage: tools/deps.sh [--dry-run] [test] [python] [bench] [bridge] [roots] [debs] [pictures]
# Without a group: what building takes. With some: what these take besides.
# Asks dpkg first: when nothing is missing, no package index is fetched and no root rights are needed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
list=$here/packages.txt
dry_run=no
groups=
for argument; do
    case $argument in
        --dry-run) dry_run=yes ;;
        test | python | bench | bridge | roots | debs | pictures) groups="$groups $argument" ;;
        *) echo "deps: $argument is not known" >&2; exit 2 ;;
    esac
done

# Lines of the list are: package | why | groups, with the groups left out for what is always needed.
names() {
    awk -F'|' -v wanted="$groups" '
        BEGIN { split(wanted, words, " "); for (i in words) asked[words[i]] = 1 }
        /^[[:space:]]*(#|$)/ { next }
        {
            gsub(/[[:space:]]/, "", $1)
            count = split($3, groups, " ")
            needed = count == 0
            for (i = 1; i <= count; i++) if (groups[i] in asked) needed = 1
            if (needed) print $1
        }' "$list"
}
reason() {
    awk -F'|' -v package="$1" '
        { name = $1; gsub(/[[:space:]]/, "", name) }
        name == package { gsub(/^[[:space:]]+|[[:space:]]+$/, "", $2); print $2 }' "$list"
}

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
    # Not a Debian: nothing can be installed from here, so look for what a build cannot do without.
    if pkg-config --exists 'gstreamer-1.0 >= 1.22' 'gstreamer-video-1.0 >= 1.22' 2>/dev/null \
        && command -v gst-launch-1.0 >/dev/null 2>&1; then
        echo "deps: this is not a Debian system; GStreamer is there, the rest is taken on trust."
        exit 0
    fi
    echo "deps: this is not a Debian system, and GStreamer >= 1.22 with its headers was not found." >&2
    echo "deps: install what corresponds to these Debian packages:" >&2
    names | sed 's/^/    /' >&2
    exit 1
fi

missing=
for package in $(names); do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done

if [ -z "$missing" ]; then
    echo "deps: every Debian package is there already."
    exit 0
fi

echo "deps: to be installed with apt-get:"
for package in $missing; do
    printf '    %-34s %s\n' "$package" "$(reason "$package")"
done
[ "$dry_run" = yes ] && exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "deps: this needs root rights and there is no sudo. As root, run:" >&2
        echo "    apt-get update && apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
    as_root=sudo
fi
# shellcheck disable=SC2086 # package lists are words
if ! $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q; then
    echo "deps: the package index could not be refreshed; trying with the one that is there." >&2
fi
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
