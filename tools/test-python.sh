#!/bin/sh
# Builds the Python package as a wheel, installs it into a private environment and tests it there.
# Usage: tools/test-python.sh [arguments of pytest]
# Python and GStreamer are to understand each other: the plugin is that of the wheel.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$here/target}
env=$("$here/tools/install-python.sh")
cd "$here/python"
echo "python: lint and types"
"$env/bin/ruff" check --config ../pyproject.toml --quiet . ../benches/python ../benches/cli ../cli/tests/command ../tests/conformance ../benches/chaos ../tools
"$env/bin/ruff" format --config ../pyproject.toml --quiet --check . ../benches/python ../benches/cli ../cli/tests/command ../tests/conformance ../benches/chaos ../tools
# Away from the sources, so that the installed package is what is looked at.
config=$here/pyproject.toml
(cd "$env" && bin/mypy --no-error-summary --config-file "$config" -p shmflow)
checked=$(cd "$env" && bin/stubtest --mypy-config-file "$config" --allowlist "$here/python/stubtest.txt" \
    --ignore-unused-allowlist shmflow 2>&1) || { echo "$checked" >&2; exit 1; }
echo "python: tests"
eval "$("$env/bin/shmflow" env)"
GST_REGISTRY="$target/python-registry.bin" exec "$env/bin/pytest" -p no:cacheprovider "$@"
