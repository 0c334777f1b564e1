"""The command ``shmflow``, also as ``python -m shmflow``: the program of this package, which knows this package's plugin."""

import os
import shutil
import sys


def is_program(path: str | None) -> bool:
    """Whether that is a program of the machine's, and not a script such as pip makes, which would end up here again."""
    try:
        with open(path or "", "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def main() -> None:
    program = os.path.join(os.path.dirname(__file__), "bin", "shmflow")
    if not os.path.exists(program):
        # A distribution has it in a package of its own.
        installed = shutil.which("shmflow")
        program = installed if installed and is_program(installed) else program
    try:
        # Instead of Python: signals, output and exit status are the program's own.
        os.execv(program, ["shmflow", *sys.argv[1:]])
    except OSError as error:
        sys.exit(
            f"shmflow: {program} cannot be run: {error.strerror}; reinstall the package: pip install --force-reinstall shmflow"
        )


if __name__ == "__main__":
    main()
