#!/bin/sh
# Says early when shared memory is too small for what is about to run, and what to do.
# Usage: tools/check-shm.sh <MiB needed>
set -eu
needed=$1
dir=${SHMFLOW_DIR:-/dev/shm}
free=$(df -Pm "$dir" 2>/dev/null | awk 'NR == 2 { print $4 }')
if [ -z "$free" ]; then
    echo "shared memory: $dir is not there; mount a tmpfs on it, or set SHMFLOW_DIR to one." >&2
    exit 1
fi
if [ "$free" -lt "$needed" ]; then
    echo "shared memory: $dir has $free MiB free, and this needs about $needed MiB." >&2
    used=$(df -Pm "$dir" | awk 'NR == 2 { print $3 }')
    size=$((used + needed + 64))
    echo "    container: start it with --shm-size=${size}m;  host: mount -o remount,size=${size}m $dir" >&2
    echo "    files left by killed programs: shmflow gc" >&2
    exit 1
fi
