"""The examples, run as they stand there, each as a process; and the README's."""

import os
import re
import signal
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import shmflow
from conftest import PATIENCE, ROOT, finish, launch, opencv, wait_until

cv2 = opencv()
EXAMPLES = ROOT / "python/examples"


@pytest.fixture
def example():
    processes = []

    def start(name, *arguments, **options):
        command = [sys.executable, EXAMPLES / name, *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def waits_for_a_file(pid):
    """Whether a process watches a directory."""

    def target(descriptor):
        try:
            return os.readlink(descriptor)
        except FileNotFoundError:
            return ""  # closed since it was listed

    return any("inotify" in target(descriptor) for descriptor in Path(f"/proc/{pid}/fd").iterdir())


def test_a_circle_drawn_by_opencv_is_read_by_opencv(directory, example, tmp_path):
    # The reader first, so that it misses nothing.
    reader = example("opencv_reader.py", "camera", "--save", tmp_path / "picture-%04d.png", "--every", 10)
    wait_until("it waits for the topic", lambda: waits_for_a_file(reader.pid))
    writer = example("opencv_writer.py", "camera", "--frames", 40)
    finish(writer)
    out, _ = reader.communicate(timeout=PATIENCE)
    assert reader.returncode == 0 and re.search(r"\d+ frames received", out), out
    saved = sorted(tmp_path.glob("picture-*.png"))
    assert saved, out
    for path in saved:
        picture = cv2.imread(str(path))
        number = int(path.stem.split("-")[1]) - 1
        assert picture.shape == (480, 640, 3)
        assert picture[240, 40 + number * 5 % 560].tolist() == [0, 200, 255] and picture[10, 10].tolist() == [32] * 3


def test_a_camera_of_another_size_without_opencv(directory, example):
    producer = shmflow.Producer("camera", 64, 48, "NV12", 30)
    with producer.frame() as planes:
        planes.y[:], planes.uv[:] = 235, 128
    out, _ = (reader := example("camera.py", "camera", "--size", 32, 24, "--frames", 1)).communicate(timeout=PATIENCE)
    assert reader.returncode == 0, out
    assert out == "1 (24, 32, 3) mean of blue, green, red: [255. 255. 255.]\n"


def test_a_region_is_hidden(directory, example):
    columns = np.arange(96, dtype=np.uint8) * 2
    producer = shmflow.Producer("camera", 96, 96, "BGR", 30)
    picture = np.broadcast_to(columns[None, :, None], (96, 96, 3))
    producer.write(picture)
    worker = example("transform.py", "camera", "hidden")
    consumer = shmflow.Consumer("hidden", connect_timeout=PATIENCE, timeout=PATIENCE)
    # Frames pass on as they come until the function's process has started.
    while not (frame := consumer.recv()).regions:
        producer.write(picture)
    (box,) = frame.regions
    assert (box["kind"], box["x"], box["y"], box["width"], box["height"]) == ("hidden", 32, 32, 32, 32)
    assert (frame.array[32:64, 32:48] == 64).all() and (frame.array[32:64, 48:64] == 96).all()
    assert (frame.array[:32, :, 0] == columns).all()
    producer.end()
    out, _ = worker.communicate(timeout=PATIENCE)
    assert worker.returncode == 0 and "'transformed': 1" in out, out


def test_motion_from_gstreamer_through_python_to_gstreamer(directory, example, tmp_path):
    detector = example("motion_detector.py", "camera", "camera/motion", "--verbose")
    viewer = launch(
        "shmflowsrc topic=camera/motion ! video/x-raw,format=BGR,width=320,height=240,framerate=30/1 "
        f"! videoconvert ! video/x-raw,format=BGR ! filesink location={tmp_path / 'seen'}"
    )
    for process in (detector, viewer):
        wait_until("it waits for its topic", lambda process=process: waits_for_a_file(process.pid))
    source = launch(
        "videotestsrc num-buffers=60 pattern=ball animation-mode=frames "
        "! video/x-raw,format=I420,width=320,height=240,framerate=30/1 ! shmflowsink topic=camera wait-for-connection=true"
    )
    finish(source)
    out, _ = detector.communicate(timeout=PATIENCE)
    assert detector.returncode == 0, out
    finish(viewer)
    lines = [line.split(" ", 1) for line in out.splitlines()]
    boxes = {int(line[0]): re.findall(r"\((\d+), (\d+), (\d+), (\d+)\)", line[1]) for line in lines if len(line) > 1}
    assert len(boxes) > 5, out
    found = [tuple(map(int, box)) for boxes_of_frame in boxes.values() for box in boxes_of_frame]
    assert all(x + width <= 320 and y + height <= 240 and width * height >= 100 for x, y, width, height in found)
    assert any(20 <= width <= 60 and 20 <= height <= 100 for _, _, width, height in found), "the ball and its trace"
    seen = np.frombuffer((tmp_path / "seen").read_bytes(), np.uint8).reshape(-1, 240, 320, 3)
    red = [(picture == [0, 0, 255]).all(axis=2).any() for picture in seen]
    assert any(red)


def pipelines_with_python():
    """The blocks of the README that have both, by the topic of their first line."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    mixed = [block.splitlines() for block in blocks if "\npython3 " in block]
    return {re.search(r"topic=(\w+)", block[0])[1]: block for block in mixed}


def has_element(name):
    return subprocess.run(["gst-inspect-1.0", name], capture_output=True).returncode == 0


@pytest.mark.parametrize("topic, order", [(topic, order) for topic in ("street", "yard") for order in (1, -1)])
def test_the_boxes_of_the_readmes_detector_are_drawn(directory, topic, order, tmp_path):
    assert set(pipelines_with_python()) == {"street", "yard"}
    lines = pipelines_with_python()[topic]
    if "objectdetectionoverlay" in lines[-1] and not has_element("objectdetectionoverlay"):
        pytest.skip("objectdetectionoverlay comes with GStreamer 1.24")
    assert lines[-1].endswith(" ! autovideosink")
    seen = tmp_path / "seen"
    # What would be shown is looked at.
    lines[-1] = lines[-1].replace(
        "autovideosink", f"video/x-raw,format=BGR ! filesink buffer-mode=unbuffered location={seen}"
    )
    # Labels, above the boxes, are not what is looked for.
    lines[-1] = lines[-1].replace("objectdetectionoverlay", "objectdetectionoverlay draw-labels=false")
    started = []
    try:
        for line in lines[::order]:
            words = line.replace("python3 ", f"{sys.executable} ", 1).split()
            started.append(
                subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            )

        def pictures():
            data = np.fromfile(seen, np.uint8) if seen.exists() else np.empty(0, np.uint8)
            return data[: data.size // 230400 * 230400].reshape(-1, 240, 320, 3)

        wait_until("a second is there", lambda: len(pictures()) >= 30 or any(one.poll() is not None for one in started))
        boxed = 0
        for picture in pictures()[:30]:
            # The uppermost line of the ball is short. That of a box around it is not: of the ball's white, or red.
            rows = np.flatnonzero((picture[..., 2] > 200).any(axis=1))
            boxed += bool(rows.size) and (picture[rows[0], :, 2] > 200).sum() >= 30
        said = [one.args for one in started if one.poll() is not None]
        assert boxed >= 20, (boxed, said)
        for one in started:
            one.send_signal(signal.SIGINT)
        for one in started:
            out, _ = one.communicate(timeout=PATIENCE)
            assert one.returncode == 0 and "Traceback" not in out and "ERROR" not in out, (one.args, out)
    finally:
        for one in started:
            one.kill()
            one.wait()
    assert not list(directory.iterdir()), "left in shared memory"


@pytest.mark.parametrize("format", ["GRAY8", "I420", "NV12", "BGR", "BGRx", "xRGB", "YUY2"])
def test_the_detector_finds_blobs_where_they_are_in_all_sorts_of_formats(directory, example, format):
    boxes = [(10, 20, 30, 12), (100, 5, 9, 40), (60, 60, 20, 16)]
    detector = example("blob_detector.py", "camera", "found")
    wait_until("it waits for the topic", lambda: waits_for_a_file(detector.pid))
    with shmflow.Producer("camera", 128, 96, format, 30) as producer:
        wait_until("it is there", lambda: producer.consumer_count == 1)
        with producer.frame(pts=7) as picture:
            planes = picture if isinstance(picture, dict) else {"pixels": picture}
            for plane in planes.values():
                plane[:] = 16
            main = planes.get("y", next(iter(planes.values())))
            for x, y, width, height in boxes:
                main[y : y + height, x : x + width] = 235
        frame = shmflow.Consumer("found", connect_timeout=PATIENCE).recv(PATIENCE)
    found = {(one["x"], one["y"], one["width"], one["height"]) for one in frame.detections}
    assert found == set(boxes) and frame.pts == 7 and frame.format == format
    assert all(one["label"] == "blob" and one["score"] == 1 for one in frame.detections)
    out, _ = detector.communicate(timeout=PATIENCE)
    assert detector.returncode == 0, out


def test_video_capture_of_opencv_reads_what_python_writes(directory, example):
    if "GStreamer:                   YES" not in cv2.getBuildInformation():
        pytest.skip("this OpenCV has no GStreamer; Debian's has")
    producer = shmflow.Producer("video", 64, 48, "BGR", 30)
    capture = example("video_capture.py", "video", 5)
    pictures = [np.full((48, 64, 3), value, np.uint8) for value in range(10, 110, 10)]
    stop = threading.Event()

    def write():
        while not stop.is_set():
            for picture in pictures:
                producer.write(picture)
                stop.wait(1 / 30)

    writing = threading.Thread(target=write)
    writing.start()
    try:
        out, _ = capture.communicate(timeout=2 * PATIENCE)
    finally:
        stop.set()
        writing.join()
    lines = out.splitlines()
    shown = [line for line in lines if line.startswith(("open", *"12345"))]
    assert shown[0] == "open 64 48" and len(shown) == 6, out
    sums = {int(picture.sum()) for picture in pictures}
    for number, line in enumerate(shown[1:], 1):
        words = re.fullmatch(r"(\d+) \(48, 64, 3\) (\d+)", line)
        assert words and int(words[1]) == number and int(words[2]) in sums, out


def test_the_readme_runs_as_it_stands(directory):
    section = (ROOT / "README.md").read_text().split("## Python")[1].split("\n## ")[0]
    writes, reads = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(section.splitlines()) < 40
    reader = subprocess.Popen([sys.executable, "-uc", reads], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until("it waits for the topic", lambda: waits_for_a_file(reader.pid))
    writer = subprocess.Popen([sys.executable, "-c", writes], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert writer.wait(PATIENCE) == 0, writer.stderr.read()
    out, err = reader.communicate(timeout=PATIENCE)
    assert reader.returncode == 0 and len(out.splitlines()) > 5, (out, err)


def test_the_documents_examples_run(directory):
    text = (ROOT / "docs/python.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 5
    for block in blocks:
        if "import torch" in block and not find_spec("torch"):
            continue  # not on every system that the tests run on; `make deps` installs it on Debian
        done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, timeout=2 * PATIENCE)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
