"""`shmflow.transform`: whatever becomes of the function, the picture goes on."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import shmflow
from conftest import PATIENCE, opencv, overwrite_metadata, wait_until

# What the worker does is in the first pixel of each frame.
MARK, CRASH, HANG, RAISE, WRONG, LEAVE, FIND, BOTH, BAD = range(1, 10)

PROGRAM = f"""
import ctypes, os, sys, time
import numpy as np
import shmflow

def function(frame):
    order = int(frame.array[0, 0, 0]) if frame.format == "BGR" else {MARK}
    if order == {CRASH}: ctypes.string_at(0)
    if order == {HANG}: time.sleep(3600)
    if order == {RAISE}: raise ValueError("a mistake")
    if order == {WRONG}: return np.zeros((3, 3, 3), np.uint8)
    if order == {LEAVE}: return None
    found = {{"detections": [{{"label": "cat", "x": 1, "y": 2, "width": 3, "height": 4}}]}}
    if order == {FIND}: return found
    if order == {BAD}: return {{"no such": 1}}
    picture = np.array(frame.bgr() if frame.format != "BGR" else frame.array)
    picture[1, 1] = 255
    return (picture, found) if order == {BOTH} else picture

if __name__ == "__main__":
    settings = eval(sys.argv[1])
    print(shmflow.transform("in", "out", function, **settings), flush=True)
"""


class Stream:
    """A producer before the relay, a consumer behind it."""

    def __init__(self, script, **settings):
        self.producer = shmflow.Producer("in", 64, 48, "BGR", 30, depth=16)
        self.process = subprocess.Popen(
            [sys.executable, script, repr(settings)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.sent = 0
        self.consumer = None

    def send(self, order):
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[0, 0] = order
        self.sent += 1
        self.producer.write(picture, pts=self.sent, metadata={"extensions": [(0x8007, b"mine")]})

    def get(self):
        if self.consumer is None:
            self.consumer = shmflow.Consumer("out", connect_timeout=PATIENCE)
        return self.consumer.recv(PATIENCE)

    def pass_one(self, order):
        """A frame before the relay, and what comes of it."""
        self.send(order)
        frame = self.get()
        assert frame.pts == self.sent, "each once, and in order"
        return frame

    def until_marked(self):
        """The worker is there once a frame is marked; till then every frame passes on."""
        end = time.monotonic() + PATIENCE
        while not is_marked(self.pass_one(MARK)):
            assert time.monotonic() < end
            time.sleep(0.02)

    def worker(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        found = [int(pid) for pid in children if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert len(found) == 1
        return found[0]

    def finish(self):
        self.producer.end()
        out, err = self.process.communicate(timeout=2 * PATIENCE)
        assert self.process.returncode == 0, err
        return eval(out), err


def is_marked(frame):
    return bool((frame.array[1, 1] == 255).all())


@pytest.fixture
def stream(directory, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    streams = []

    def start(**settings):
        streams.append(Stream(script, **settings))
        return streams[-1]

    yield start
    for one in streams:
        one.process.kill()
        one.process.wait()


def test_frames_are_changed_and_everything_else_of_them_is_carried(stream):
    one = stream(deadline=PATIENCE)
    one.until_marked()
    for order, marked, found in [(MARK, True, []), (LEAVE, False, []), (FIND, False, ["cat"]), (BOTH, True, ["cat"])]:
        frame = one.pass_one(order)
        assert (is_marked(frame), [thing["label"] for thing in frame.detections]) == (marked, found)
        assert frame.array[0, 0, 0] == order and frame.format == "BGR" and float(frame.fps) == 30
        assert (0x8007, b"mine") in frame.metadata["extensions"]
        assert not [kind for kind, _ in frame.metadata["extensions"] if kind == 0xFFFE]
        assert 0 <= time.monotonic_ns() - frame.capture_time < 60e9
    counts, err = one.finish()
    assert counts["transformed"] >= 5 and counts["late"] == counts["restarted"] == 0 and "ended" not in err
    assert sum(counts[name] for name in ("transformed", "passed")) == one.sent
    with pytest.raises(shmflow.Ended):
        one.get()
    one.consumer.close()
    del frame
    assert [topic for topic in shmflow.topics() if topic != "in"] == [], "nothing is left behind"


def test_mistakes_of_the_function_are_told_once_and_cost_nobody_the_picture(stream):
    one = stream(deadline=PATIENCE)
    one.until_marked()
    for order in (RAISE, RAISE, WRONG, BAD):
        frame = one.pass_one(order)
        assert not is_marked(frame) and frame.array[0, 0, 0] == order
    assert is_marked(one.pass_one(MARK))
    _, err = one.finish()
    assert err.count("raised ValueError: a mistake") == 1
    assert "cannot be published" in err and "(3, 3, 3)" in err and "no such" in err


def test_a_crash_does_not_make_the_picture_dark(stream):
    one = stream(deadline=PATIENCE)
    one.until_marked()
    before = one.worker()
    sent = time.monotonic()
    # It is gone, and with it the reason to wait.
    frame = one.pass_one(CRASH)
    assert frame.array[0, 0, 0] == CRASH and time.monotonic() - sent < PATIENCE / 2
    one.until_marked()
    assert one.worker() != before
    os.kill(one.worker(), signal.SIGKILL)
    one.until_marked()
    counts, err = one.finish()
    assert counts["restarted"] == 2 and "the worker has ended (SIGSEGV)" in err and "(SIGKILL)" in err


def test_a_slow_worker_costs_the_deadline_and_no_more(stream):
    one = stream(deadline=0.2, restart_after=2.0)
    one.until_marked()
    before = one.worker()
    sent = time.monotonic()
    frame = one.pass_one(HANG)
    assert frame.array[0, 0, 0] == HANG and time.monotonic() - sent >= 0.19
    # And those after it, until it is killed and started again.
    one.until_marked()
    assert one.worker() != before
    counts, err = one.finish()
    assert counts["late"] >= 1 and counts["restarted"] == 1 and "takes longer than 2.0 s" in err


def test_a_worker_that_is_stopped_stops_no_frames(stream):
    one = stream(deadline=0.1)
    one.until_marked()
    os.kill(one.worker(), signal.SIGSTOP)
    for _ in range(5):
        assert not is_marked(one.pass_one(MARK))
    os.kill(one.worker(), signal.SIGCONT)
    one.until_marked()
    counts, _ = one.finish()
    assert counts["late"] >= 5 and counts["restarted"] == 0


def test_the_worker_ends_with_its_parent(stream):
    one = stream(deadline=PATIENCE)
    one.until_marked()
    worker = one.worker()
    one.process.kill()
    one.process.wait()
    wait_until(
        "it has ended",
        lambda: not Path(f"/proc/{worker}").exists() or " Z " in Path(f"/proc/{worker}/stat").read_text(),
    )


def test_workers_of_a_fork_server_stay_as_long_as_their_parent(stream):
    one = stream(deadline=5.0, start_method="forkserver")
    one.until_marked()
    assert all(is_marked(one.pass_one(MARK)) for _ in range(3))
    # Longer than a worker looks whether its parent lives.
    time.sleep(0.7)
    assert is_marked(one.pass_one(MARK))
    counts, err = one.finish()
    assert counts["restarted"] == 0 and "the worker has ended" not in err


def test_a_source_that_is_removed_and_made_again_is_followed(stream):
    one = stream(deadline=5.0)
    one.until_marked()
    one.producer.close()
    shmflow.remove("in", force=True)
    end = time.monotonic() + 1
    started = cpu_of(one.process.pid)
    while time.monotonic() < end:
        assert one.process.poll() is None, one.process.communicate()
        time.sleep(0.05)
    assert cpu_of(one.process.pid) - started < 0.5, "it does nothing but wait"
    one.producer = shmflow.Producer("in", 64, 48, "BGR", 30, depth=16)
    one.until_marked()
    one.finish()


def cpu_of(pid):
    """Seconds of processor time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_format_is_one_and_the_same_whoever_made_the_picture(stream, directory):
    opencv()
    one = stream(deadline=PATIENCE, format="BGR")
    one.producer.close()
    one.producer = producer = shmflow.Producer("in", 64, 48, "I420", 30)
    end = time.monotonic() + PATIENCE
    marks = set()
    while marks != {True, False}:
        assert time.monotonic() < end
        with producer.frame() as planes:
            planes.y[:], planes.u[:], planes.v[:] = 16, 128, 128
        frame = one.get()
        assert (frame.format, frame.array.shape, frame.array[5, 5, 0]) == ("BGR", (48, 64, 3), 0)
        marks.add(is_marked(frame))
        if is_marked(frame):
            os.kill(one.worker(), signal.SIGKILL)


def test_the_format_of_the_source_may_change(stream):
    one = stream(deadline=PATIENCE)
    one.until_marked()
    one.producer.close()
    one.producer = shmflow.Producer("in", 32, 16, "BGR", 30)
    one.producer.write(np.zeros((16, 32, 3), np.uint8))
    frame = one.get()
    assert (frame.width, frame.height, frame.array.shape) == (32, 16, (16, 32, 3))


def test_bytes_are_transformed_too_and_a_token_ends_it(directory):
    producer = shmflow.Producer("in")
    token = shmflow.CancelToken()
    done = []

    def work():
        # A function of this module, which the worker imports.
        done.append(shmflow.transform("in", "out", upper, deadline=PATIENCE, cancel_token=token, start_method="fork"))

    running = threading.Thread(target=work)
    running.start()
    found = b""
    producer.write(b"some bytes")
    consumer = shmflow.Consumer("out", connect_timeout=PATIENCE)
    end = time.monotonic() + PATIENCE
    while found != b"SOME BYTES":
        found = bytes(consumer.recv(PATIENCE))
        assert found.lower() == b"some bytes" and time.monotonic() < end
        producer.write(b"some bytes")
    token.cancel()
    running.join(PATIENCE)
    assert done[0]["transformed"] >= 1


def upper(frame):
    return bytes(frame).upper()


@pytest.mark.parametrize("bad", ["metadata", "format"])
def test_a_frame_that_nobody_can_read_is_left_out_and_ends_nothing(directory, caplog, bad):
    if bad == "metadata":
        producer = shmflow.Producer("in", 4, 4, "BGR")
        producer.write(np.zeros((4, 4, 3), np.uint8))
        overwrite_metadata(directory / "shmflow.in.ring", b"no block")
    else:
        # Of 10 bits packed into words: not for bgr().
        first = shmflow.Producer("in", 48, 4, "v210")
        first.write(bytes(first.frame_size))
        producer = shmflow.Producer("in", 4, 4, "BGR")
    token, done = shmflow.CancelToken(), []
    arguments = {"deadline": 0.01, "format": "BGR", "cancel_token": token, "start_method": "fork"}
    running = threading.Thread(target=lambda: done.append(shmflow.transform("in", "out", leave_it, **arguments)))
    running.start()
    wait_until("it is told", lambda: "cannot be passed on" in caplog.text)
    producer.write(np.full((4, 4, 3), 7, np.uint8))
    frame = shmflow.Consumer("out", connect_timeout=PATIENCE).recv(PATIENCE)
    assert (frame.array == 7).all()
    token.cancel()
    running.join(PATIENCE)
    assert done[0]["passed"] + done[0]["transformed"] == 1, done


def leave_it(frame):
    return None


def test_settings_that_cannot_be_meant_are_refused(directory):
    for settings, what in [
        ({"deadline": 0}, "deadline"),
        ({"format": "NV12"}, "format"),
        ({"target": "in"}, "same topic"),
    ]:
        with pytest.raises(shmflow.InvalidArgument, match=what):
            shmflow.transform("in", **{"target": "out", "function": upper, **settings})
