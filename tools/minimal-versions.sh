#!/bin/sh
# Checks that what is built in builds with the oldest versions of its direct dependencies that Cargo.toml names.
# Usage: tools/minimal-versions.sh <folder for a copy of the sources and what is built of it>
# Not of the bridge: Zenoh chooses versions for its own crates, and takes minutes to build. Nor of benchmarks and tests, which nobody installs.
# Only cargo's nightly resolver chooses these versions. Any other cargo is told to be one for this; the compiler stays as it is.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
rm -rf "$work/sources"
mkdir "$work/sources"
(cd "$here" && git ls-files -z | xargs -0 cp --parents -t "$work/sources")
cd "$work/sources"
rm -f Cargo.lock
cargo=${CARGO:-cargo}
RUSTC_BOOTSTRAP=1 $cargo -Z direct-minimal-versions generate-lockfile --quiet
echo "minimal versions: of all but the bridge, benchmarks and tests"
for package in shmflow gst-plugin-shmflow shmflow-capi shmflow-cli shmflow-python; do
    echo "minimal versions: $package"
    CARGO_TARGET_DIR=$work/target $cargo check --quiet --locked -p "$package"
done
echo "minimal versions: with the ring's features"
CARGO_TARGET_DIR=$work/target $cargo check --quiet --locked -p shmflow --features tokio,tracing,zerocopy
