#!/bin/sh
# Makes the README's pictures of `shmflow serve`: its page with real topics, as Chromium shows it.
# Usage: tools/screenshot-serve.sh [FOLDER]; without one docs/pictures. `make pictures` runs it.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$here/docs/pictures}
command -v chromium >/dev/null || { echo "screenshot: there is no chromium; make deps installs it" >&2; exit 1; }
env=$("$here/tools/install-python.sh")
work=$(mktemp -d)
SHMFLOW_DIR=$(mktemp -d /dev/shm/demo-XXX)
export SHMFLOW_DIR
trap 'rm -rf "$work" "$SHMFLOW_DIR"' EXIT
"$env/bin/python" "$here/tools/screenshot_serve.py" "$env/bin/shmflow" "$work"
mkdir -p "$out"
for picture in serve.png serve-topic.png; do
    mv "$work/$picture" "$out/$picture"
    echo "$out/$picture: $(wc -c < "$out/$picture") bytes"
done
