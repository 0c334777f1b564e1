"""Builds the Python package: maturin, with the command and the GStreamer plugin put into the wheel.

pip, `make wheel` and all other front ends come through here (PEP 517). Settings, as environment variables:

    SHMFLOW_PLUGIN       yes: fail where the plugin cannot be built; no: leave it out.
                         Otherwise it is built where GStreamer's headers are.
    CARGO_BUILD_TARGET   build for another architecture, as cargo and maturin understand it
    STRIP                the program that removes symbols (strip)
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import maturin
from maturin import (  # noqa: F401 - what a front end asks a backend for
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "python/package/shmflow"
COMMAND = PACKAGE / "bin/shmflow"
# GStreamer takes the file's name for the plugin's: of several with this name it loads one.
PLUGIN = PACKAGE / "gstreamer-1.0/libgstshmflow.so"
HEADERS = [f"{library} >= 1.22" for library in ("gstreamer-1.0", "gstreamer-base-1.0", "gstreamer-video-1.0")]


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    build_programs()
    return maturin.build_wheel(wheel_directory, for_this_python(config_settings), metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    build_programs()
    return maturin.build_editable(wheel_directory, for_this_python(config_settings), metadata_directory)


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return maturin.prepare_metadata_for_build_wheel(metadata_directory, for_this_python(config_settings))


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def for_this_python(config_settings):
    """The settings for maturin: one wheel (abi3) is for all of CPython from 3.11 on, except free-threaded ones."""
    if sys.version_info >= (3, 11) and not sysconfig.get_config_var("Py_GIL_DISABLED"):
        return config_settings
    arguments = [*maturin.get_maturin_pep517_args(config_settings), "--no-default-features"]
    return {**(config_settings or {}), "maturin.build-args": arguments}


def build_programs():
    """Builds the command and the plugin, and puts them where pyproject.toml includes them from."""
    wanted = {"shmflow-cli": COMMAND}
    if plugin_is_wanted():
        wanted["gst-plugin-shmflow"] = PLUGIN
    for old in (COMMAND, PLUGIN):
        old.unlink(missing_ok=True)
    for package, target in wanted.items():
        # As `make build` builds it, and why.
        how = ["rustc", "--lib", "--crate-type", "cdylib"] if target == PLUGIN else ["build"]
        command = [os.environ.get("CARGO", "cargo"), *how, "--release", "--locked", "--package", package]
        command += ["--message-format", "json-render-diagnostics"]
        try:
            built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        except FileNotFoundError:
            sys.exit("shmflow: cargo was not found; building takes Rust, which https://rustup.rs installs")
        if built.returncode != 0:
            sys.exit(f"shmflow: {package} could not be built; cargo says above why")
        files = [name for line in built.stdout.splitlines() for name in json.loads(line).get("filenames", [])]
        source = next(name for name in files if Path(name).name == target.name)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source, target)
        strip(target)


def plugin_is_wanted():
    asked = os.environ.get("SHMFLOW_PLUGIN", "")
    if asked in ("yes", "no"):
        return asked == "yes"
    if asked:
        sys.exit(f"shmflow: SHMFLOW_PLUGIN is {asked}; it can be yes or no")
    try:
        found = subprocess.run([os.environ.get("PKG_CONFIG", "pkg-config"), "--exists", *HEADERS]).returncode == 0
    except FileNotFoundError:
        found = False
    if not found:
        print("shmflow: GStreamer's headers (1.22 or newer) are not here: the wheel is built without the plugin")
    return found


def strip(path):
    """Debug information is ten times the code, and of no use in a wheel."""
    program = shutil.which(os.environ.get("STRIP", "strip"))
    if program:
        subprocess.run([program, "--strip-unneeded", path], check=True)
