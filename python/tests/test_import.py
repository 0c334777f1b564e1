"""What importing costs, and what it brings along."""

import os
import subprocess
import sys


def python(code, *options):
    return subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=True)


def test_importing_loads_neither_numpy_nor_opencv():
    loaded = python("import sys, shmflow; print(sorted({'numpy', 'cv2', 'asyncio', 'typing'} & set(sys.modules)))")
    plain = python("import sys; print(sorted({'typing'} & set(sys.modules)))")
    assert loaded.stdout == plain.stdout


def test_bytes_need_no_numpy(directory):
    code = (
        "import sys, shmflow; p = shmflow.Producer('t', 8, 8, 'BGR'); c = shmflow.Consumer('t'); p.write(bytes(192)); "
        "f = c.recv(); print(len(f), f.format, bytes(f) == bytes(192), f.metadata['kind'], 'numpy' in sys.modules); "
        "f.array; print('numpy' in sys.modules)"
    )
    assert python(code).stdout == "192 BGR True video False\nTrue\n"


def test_without_numpy_arrays_say_what_to_do(directory):
    code = (
        "import sys; sys.modules['numpy'] = None; import shmflow; p = shmflow.Producer('t'); c = shmflow.Consumer('t')\n"
        "p.write(b'x'); f = c.recv()\n"
        "try: f.array\n"
        "except ImportError as error: print(error)"
    )
    assert python(code).stdout.startswith("arrays need numpy: pip install numpy")


def test_colours_need_no_opencv(directory):
    code = (
        "import sys; sys.modules['cv2'] = None; import shmflow; p = shmflow.Producer('t', 8, 8, 'BGR')\n"
        "c = shmflow.Consumer('t'); p.write(bytes(192)); f = c.recv()\n"
        "print(f.bgr().shape, f.rgb(size=(4, 2)).shape)"
    )
    assert python(code).stdout.strip() == "(8, 8, 3) (2, 4, 3)"


def test_the_version_is_that_of_the_package():
    from importlib.metadata import requires, version

    import shmflow

    assert shmflow.__version__ == version("shmflow")
    assert [r for r in requires("shmflow") or [] if "extra" not in r] == ["numpy>=1.23"]


def test_gstreamer_finds_the_plugin_in_its_folder_and_nothing_to_warn_of(tmp_path):
    environment = os.environ | {"GST_REGISTRY": str(tmp_path / "registry"), "GST_REGISTRY_FORK": "no"}
    found = subprocess.run(["gst-inspect-1.0", "shmflow"], capture_output=True, text=True, env=environment)
    assert found.returncode == 0 and "shmflowsink" in found.stdout
    # This very package is built beside the plugin, and is none.
    assert "lib_shmflow" not in found.stderr and "WARNING" not in found.stderr, found.stderr
