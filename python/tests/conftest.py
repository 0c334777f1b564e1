"""What the tests share: a directory of their own for topics, other processes, GStreamer."""

from __future__ import annotations

import functools
import os
import queue
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# A shell without job control has what it starts in the background ignore Ctrl-C, and so would every child of these tests.
signal.signal(signal.SIGINT, signal.default_int_handler)

# For what has to happen; long, for machines that are busy.
PATIENCE = 30.0
ROOT = Path(__file__).resolve().parents[2]


def wait_until(what: str, condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.01)


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for topics, which this process and its children use by default."""
    path = Path(tempfile.mkdtemp(prefix="shmflow-python-", dir="/dev/shm"))
    monkeypatch.setenv("SHMFLOW_DIR", str(path))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def overwrite_metadata(ring: Path, block: bytes) -> None:
    """What a producer of another library may write: this package's writes no such block. As docs/layout.md has the file."""
    with open(ring, "r+b") as file:
        header = file.read(128)
        (slots,), (capacity,) = struct.unpack_from("<Q", header, 32), struct.unpack_from("<Q", header, 64)
        slots_at, metadata_at = struct.unpack_from("<QQ", header, 96)
        assert len(block) <= capacity
        for slot in range(slots):
            file.seek(slots_at + 64 * slot + 16)
            if struct.unpack("<Q", file.read(8)) != (0,):
                file.seek(slots_at + 64 * slot + 16)
                file.write(struct.pack("<Q", len(block)))
                file.seek(metadata_at + capacity * slot)
                file.write(block)
                return
    raise AssertionError("no frame has metadata")


class Child:
    """A process that runs Python, tells lines and is told lines."""

    def __init__(self, code: str, *arguments: str, interpreter: tuple[str, ...] = ()) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *interpreter, "-u", "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.errors: list[str] = []
        self.readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._err, daemon=True),
        ]
        for reader in self.readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def _err(self) -> None:
        assert self.process.stderr
        self.errors.extend(self.process.stderr)

    def hear(self) -> str:
        try:
            line = self.lines.get(timeout=PATIENCE)
        except queue.Empty:
            pytest.fail("the child says nothing")
        assert line is not None, "the child ended: " + "".join(self.errors)
        return line

    def tell(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        status = self.process.wait(PATIENCE)
        for reader in self.readers:
            reader.join(PATIENCE)
        return status

    def sleeps(self) -> bool:
        """Whether its main thread sleeps in a system call that waits for a futex or a descriptor."""
        text = Path(f"/proc/{self.process.pid}/syscall").read_text()
        # futex, futex_waitv, poll, ppoll of x86-64; futex, futex_waitv, ppoll of arm64.
        numbers = {"x86_64": {"202", "449", "7", "271"}, "aarch64": {"98", "449", "73"}}[os.uname().machine]
        return text.split(" ")[0] in numbers


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    children: list[Child] = []

    def start(code: str, *arguments: str, interpreter: tuple[str, ...] = ()) -> Child:
        children.append(Child(code, *arguments, interpreter=interpreter))
        return children[-1]

    yield start
    for one in children:
        one.process.kill()
        one.process.wait()


LAUNCHED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def pipelines() -> Iterator[None]:
    """Ends the pipelines that a failed test has left, and shows what they said."""
    yield
    while LAUNCHED:
        process = LAUNCHED.pop()
        if process.poll() is None:
            process.kill()
            print("left running:", process.args, process.communicate()[0])


@functools.cache
def find_plugin() -> None:
    found = subprocess.run(["gst-inspect-1.0", "shmflowsink"], capture_output=True, text=True)
    assert found.returncode == 0, "GStreamer does not find the plugin; tools/test-python.sh says where it is"


def launch(pipeline: str) -> subprocess.Popen[str]:
    """gst-launch-1.0 in a process of its own."""
    find_plugin()
    command = ["gst-launch-1.0", "-q", *pipeline.split()]
    LAUNCHED.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    return LAUNCHED[-1]


def run(pipeline: str) -> None:
    """A pipeline that ends by itself."""
    finish(launch(pipeline))


def finish(process: subprocess.Popen[str]) -> None:
    try:
        out, _ = process.communicate(timeout=4 * PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail("the pipeline does not end: " + process.communicate()[0])
    assert process.returncode == 0, out


def opencv() -> object:
    return pytest.importorskip("cv2", reason="OpenCV is not installed (Debian: python3-opencv)")
