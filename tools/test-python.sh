#!/bin/sh
# Builds the Python package as a wheel, installs it into a private environment and tests it there.
# Usage: tools/test-python.sh [arguments of pytest]
# It needs the plugin, for what Python and GStreamer say to each other: cargo build --release comes first.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$here/target}
env=$("$here/tools/python-env.sh" test 'pytest>=8,<10' 'mypy>=1.15,<3' 'ruff>=0.9,<1' typing_extensions)
"$here/tools/build-wheel.sh" "$target/wheels" >&2
wheel=$(ls -t "$target"/wheels/shmflow-*.whl | head -n 1)
"$env/bin/python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheel"
cd "$here/python"
echo "python: lint and types"
"$env/bin/ruff" check --quiet . ../benches/python
"$env/bin/ruff" format --quiet --check . ../benches/python
"$env/bin/python" -m mypy --no-error-summary --no-namespace-packages -p shmflow --strict --ignore-missing-imports
"$env/bin/python" -m mypy.stubtest shmflow --ignore-missing-stub >/dev/null || {
    "$env/bin/python" -m mypy.stubtest shmflow --ignore-missing-stub >&2
    exit 1
}
echo "python: tests"
GST_PLUGIN_PATH="$target/release" GST_REGISTRY="$target/python-registry.bin" SHMFLOW_TEST_TARGET="$target" \
    exec "$env/bin/python" -m pytest -p no:cacheprovider "$@"
