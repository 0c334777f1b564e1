"""`shmflow.Camera` where a program has `cv2.VideoCapture`."""

import inspect
import subprocess
import sys
import threading

import numpy as np
import pytest
import shmflow
from conftest import PATIENCE, opencv, wait_until

# As OpenCV's own tutorial has it, but for the line that opens.
TUTORIAL = """
import sys
import numpy as np
import cv2 as cv
import shmflow

cap = {capture}
if not cap.isOpened():
    print("Cannot open camera")
    exit()
print(cap.get(cv.CAP_PROP_FRAME_WIDTH), cap.get(cv.CAP_PROP_FRAME_HEIGHT), cap.get(cv.CAP_PROP_FPS), flush=True)
while True:
    # Capture frame-by-frame
    ret, frame = cap.read()
    # if frame is read correctly ret is True
    if not ret:
        print("Can't receive frame (stream end?). Exiting ...")
        break
    # Our operations on the frame come here
    gray = cv.cvtColor(frame, cv.COLOR_BGR2GRAY)
    cv.circle(frame, (10, 10), 5, (0, 0, 255), -1)
    print(gray.shape, gray[0, 0], frame[10, 10].tolist(), flush=True)
# When everything done, release the capture
cap.release()
"""


def picture(value, width=64, height=48):
    return np.full((height, width, 3), value, np.uint8)


def camera_producer(topic="camera", **settings):
    return shmflow.Producer(topic, 64, 48, "BGR", 30, **settings)


def test_the_tutorials_program_runs_with_one_line_changed(directory, child):
    opencv()
    program = child(TUTORIAL.format(capture='shmflow.Camera("camera")'))
    producer = camera_producer()
    producer.write(picture(1))
    assert program.hear() == "64.0 48.0 30.0"
    assert program.hear() == "(48, 64) 1 [0, 0, 255]"
    for value in (2, 3):
        producer.write(picture(value))
        assert program.hear() == f"(48, 64) {value} [0, 0, 255]"
    producer.end()
    assert program.hear().startswith("Can't receive frame")
    assert program.wait() == 0, program.errors


def test_a_camera_that_is_not_there_cannot_be_opened_and_the_reason_is_told(directory, child):
    opencv()
    program = child(TUTORIAL.format(capture='shmflow.Camera("camera", open_timeout=0.01)'))
    assert program.hear() == "Cannot open camera"
    program.wait()
    assert program.errors and "there is no such topic" in program.errors[0]


def test_its_calls_have_the_names_and_arguments_of_opencvs(directory):
    cv2 = opencv()
    ours = {name for name, _ in inspect.getmembers(shmflow.Camera, callable) if not name.startswith("_")}
    theirs = {name for name in dir(cv2.VideoCapture) if not name.startswith("_")}
    assert theirs - {"waitAny"} <= ours
    for name, number in vars(sys.modules["shmflow._camera"]).items():
        if name.startswith("CAP_PROP_"):
            assert getattr(cv2, name, number) == number, name


def test_values_are_those_of_opencv_before_and_after(directory):
    camera = shmflow.Camera()
    assert not camera.isOpened() and camera.read() == (False, None) == camera.retrieve()
    assert camera.get(3) == 0.0 and not camera.grab() and camera.release() is None
    producer = camera_producer()
    assert camera.open("camera") is True and camera.isOpened()
    assert camera.retrieve() == (False, None), "nothing was grabbed"
    producer.write(picture(5))
    assert camera.grab() is True
    good, first = camera.retrieve()
    again, second = camera.retrieve()
    assert good and again and first is not second and (first == 5).all()
    assert first.flags.writeable and first.flags.owndata and first.dtype == np.uint8
    first[:] = 0
    assert (second == 5).all(), "its own memory"
    mine = np.zeros((48, 64, 3), np.uint8)
    producer.write(picture(6))
    good, same = camera.read(mine)
    assert good and same is mine and (mine == 6).all()
    assert (camera.get(1), camera.get(3), camera.get(4), camera.get(5), camera.get(7)) == (2, 64, 48, 30, -1)
    assert isinstance(camera.get(3), float) and camera.get(12345) == 0.0 and camera.set(12345, 1) is False
    assert camera.getBackendName() == "SHMFLOW" and camera.frame.seq == 2
    camera.release()
    assert not camera.isOpened() and camera.read() == (False, None) and camera.get(3) == 0.0


def test_properties_that_can_be_set(directory):
    producer = camera_producer()
    camera = shmflow.Camera("camera", 0, [54, 50])
    assert camera.get(54) == 50.0
    assert camera.read() == (False, None), "within 50 ms"
    assert camera.set(3, 32) and camera.get(54) == 50.0
    producer.write(picture(5))
    assert camera.read()[1].shape == (48, 64, 3), "only one of two is set"
    assert camera.set(4, 24) and not camera.set(4, -1)
    producer.write(picture(5))
    assert camera.read()[1].shape == (24, 32, 3) and (camera.get(3), camera.get(4)) == (32, 24)
    assert camera.set(38, 1) and not camera.set(38, 4)
    yuv = shmflow.Producer("yuv", 64, 48, "YUY2", 30)
    other = shmflow.Camera("yuv")
    assert other.set(16, 0)
    yuv.write(np.zeros((48, 64, 2), np.uint8))
    assert other.read()[1].shape == (48, 64, 2)
    assert other.set(16, 1) and other.set(5, 1000.0) and other.get(5) == 1000.0
    yuv.write(np.zeros((48, 64, 2), np.uint8))
    assert other.read()[1].shape == (48, 64, 3)


def test_the_newest_first_and_the_stream_after_its_end(directory):
    producer = camera_producer()
    with shmflow.Camera("camera", read_timeout=PATIENCE) as camera:
        for value in range(1, 7):
            producer.write(picture(value))
        assert camera.get(3) == 64.0, "looking at the size takes nothing away"
        assert camera.read()[1][0, 0, 0] == 6
        producer.end()
        assert camera.read() == (False, None)
        producer.write(picture(7))
        assert camera.read()[1][0, 0, 0] == 7
        # The producer is killed, and another one comes; the topic is removed, and made again.
        producer.close()
        producer = camera_producer()
        producer.write(picture(8))
        assert camera.read()[1][0, 0, 0] == 8
        shmflow.remove("camera", force=True)
        found = []
        reading = threading.Thread(target=lambda: found.append(camera.read()[1][0, 0, 0]))
        reading.start()
        producer = camera_producer()
        producer.write(picture(9))
        reading.join(PATIENCE)
        assert found == [9]
        # Another size and format.
        producer.close()
        producer = shmflow.Producer("camera", 32, 16, "NV12", 30)
        with producer.frame() as planes:
            planes.y[:], planes.uv[:] = 16, 128
        good, black = camera.read()
        assert good and black.shape == (16, 32, 3) and (black == 0).all()
    assert not camera.isOpened()


def test_it_is_iterated_and_released_from_elsewhere(directory):
    producer = camera_producer(depth=2)
    camera = shmflow.Camera("camera")
    seen = []
    reading = threading.Thread(target=lambda: seen.extend(p[0, 0, 0] for p in camera))
    reading.start()
    producer.write(picture(3))
    wait_until("it has read", lambda: seen)
    camera.release()
    reading.join(PATIENCE)
    assert seen == [3] and not reading.is_alive()


def test_mistakes_name_the_remedy(directory, caplog):
    with pytest.raises(TypeError, match="shmflowsink topic=camera"):
        shmflow.Camera(0)
    with pytest.raises(shmflow.InvalidArgument, match="pairs"):
        shmflow.Camera("camera", 0, [3])
    producer = shmflow.Producer("bytes")
    producer.write(b"bytes")
    camera = shmflow.Camera("bytes")
    assert camera.grab() and camera.retrieve() == (False, None)
    assert "no video layout" in caplog.text
    camera.setExceptionMode(True)
    assert camera.getExceptionMode()
    with pytest.raises(shmflow.FormatError):
        camera.retrieve()
    with pytest.raises(shmflow.TopicTimeout):
        camera.set(53, 10)
        camera.open("none")


def test_it_needs_no_opencv(directory):
    code = (
        "import sys; sys.modules['cv2'] = None; import shmflow; p = shmflow.Producer('t', 8, 8, 'NV12', 30)\n"
        "p.write(bytes([235] * 64 + [128] * 32)); c = shmflow.Camera('t'); c.set(3, 4); c.set(4, 2); picture = c.read()[1]\n"
        "print(picture.shape, picture.min(), c.get(5))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "(2, 4, 3) 255 30.0\n", done.stderr


def test_a_picture_is_converted_into_the_programs_own(directory):
    producer = shmflow.Producer("yuv", 64, 48, "NV12", 30)
    with producer.frame() as planes:
        planes.y[:], planes.uv[:] = 235, 128
    camera = shmflow.Camera("yuv")
    assert camera.grab()
    wide = np.zeros((48, 100, 3), np.uint8)
    for mine in (np.zeros((48, 64, 3), np.uint8), wide[:, :64]):
        good, same = camera.retrieve(mine)
        assert good and same is mine and (mine == 255).all()
    assert (wide[:, 64:] == 0).all()
    # What does not fit is left alone, as by OpenCV.
    for other in (np.zeros((48, 64), np.uint8), np.zeros((48, 64, 3), np.float32), np.zeros((24, 32, 3), np.uint8)):
        good, new = camera.retrieve(other)
        assert good and new is not other and new.shape == (48, 64, 3) and not other.any()
    # Of another size.
    camera.set(3, 32), camera.set(4, 24)
    small = np.zeros((24, 32, 3), np.uint8)
    assert camera.retrieve(small)[1] is small and (small == 255).all()


def test_a_rate_that_is_set_while_the_topic_is_away_costs_no_picture_later(directory):
    producer = shmflow.Producer("t", 64, 48, "BGR")
    camera = shmflow.Camera("t", read_timeout=PATIENCE)
    producer.close()
    shmflow.remove("t", force=True)
    assert not camera.set(5, 1000), "CAP_PROP_FPS"
    producer = shmflow.Producer("t", 64, 48, "BGR")
    with producer.frame() as picture:
        picture[:] = 7
    good, picture = camera.read()
    assert good and (picture == 7).all()
    camera.release()
