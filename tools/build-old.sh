#!/bin/sh
# Builds another commit of this tree, for tools/test-conformance.sh; prints where it is.
# Usage: tools/build-old.sh <tag or commit> <folder for it>
# There are then, in <folder>/<commit>: sources, and in target/debug library, plugin, command, the package for Python and, from the
# commit on that has it, the conformance program in Rust.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
commit=$(git -C "$here" rev-parse --verify --short=12 "$1^{commit}")
mkdir -p "$2"
place=$(cd "$2" && pwd)/$commit
if [ ! -d "$place/sources" ]; then
    mkdir -p "$place"
    # No worktree, which git would have to be told of when target/ is removed.
    git -C "$here" archive --prefix=sources/ "$commit" | tar -x -C "$place"
fi
cd "$place/sources"
# All but the ring's benchmarks, which need a C compiler's library, and the bridge, which takes minutes.
CARGO_TARGET_DIR=$place/target ${CARGO:-cargo} build --quiet --locked --workspace --exclude shmflow-bench --exclude shmflow-bridge >&2
rm -rf "$place/python"
mkdir -p "$place/python"
cp -r python/package/shmflow "$place/python/"
cp "$place/target/debug/lib_shmflow.so" "$place/python/shmflow/_shmflow.abi3.so"
echo "$place"
