#!/bin/sh
# Prints the newest wheel that is for all of CPython (abi3): those for one interpreter, or of another version, may lie beside it.
# Usage: tools/newest-wheel.sh <folder> <processor, as uname -m has it>
set -eu
# shellcheck disable=SC2012 # names of wheels have no odd characters
wheel=$(ls -t "$1"/shmflow-*-abi3-*_"$2".whl 2>/dev/null | head -n 1)
[ -n "$wheel" ] || { echo "wheel: there is none for all of CPython on $2 in $1: make wheel" >&2; exit 1; }
echo "$wheel"
