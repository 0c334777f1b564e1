#!/bin/sh
# Builds the Python package and installs it into a private environment, with what its tests need; prints where that is.
# Usage: tools/install-python.sh
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$here/target}
env=$("$here/tools/python-env.sh" test 'numpy>=1.23' 'pytest>=8,<10' 'mypy>=1.15,<3' 'ruff>=0.9,<1' 'typing_extensions>=4' 'pillow>=10')
wheel=$("$here/tools/build-wheel.sh" "$target/wheels")
"$env/bin/python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheel" >&2
echo "$env"
