"""The command ``shmflow``, also as ``python -m shmflow``: the program of this package, which knows this package's plugin."""

import os
import sys


def main() -> None:
    program = os.path.join(os.path.dirname(__file__), "bin", "shmflow")
    try:
        # Instead of Python: signals, output and exit status are the program's own.
        os.execv(program, ["shmflow", *sys.argv[1:]])
    except OSError as error:
        sys.exit(
            f"shmflow: {program} cannot be run: {error.strerror}; reinstall the package: pip install --force-reinstall shmflow"
        )


if __name__ == "__main__":
    main()
