"""Every format of GStreamer, both ways, with exact content; and the colours of those that bgr() knows."""

import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
import shmflow
from conftest import PATIENCE, ROOT, finish, launch, run

# Without a byte to spare, and with odd rows and columns.
SIZES = [(48, 32), (61, 35)]
BATCH = 26


def every_format():
    out = subprocess.run(["gst-inspect-1.0", "videotestsrc"], capture_output=True, text=True).stdout
    found = re.search(r"video/x-raw\s+format: \{([^}]*)\}", out)
    return [name.strip().removeprefix("(string)") for name in found.group(1).split(",")] if found else []


def has_arrays(name):
    """Tiled formats and the one with a palette have none, nor those of a GStreamer that is newer than this package."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="shmflow-python-") as place:
        try:
            shmflow.Producer("t", 2, 2, name, directory=place).close()
        except shmflow.InvalidArgument:
            return False
        return True


FORMATS = every_format()
WITH_ARRAYS = [name for name in FORMATS if has_arrays(name)]
# GStreamer before 1.24 makes odd rows of these too short for their last pixel; only the bytes are compared there.
SHORT = ("UYVP", "Y210", "Y212_LE", "Y212_BE")


def batches():
    return [FORMATS[at : at + BATCH] for at in range(0, len(FORMATS), BATCH)]


def test_there_are_formats():
    golden = (ROOT / "ring/tests/golden/video_formats.txt").read_text()
    assert {line.split()[0] for line in golden.splitlines()} <= set(WITH_ARRAYS)
    assert len(WITH_ARRAYS) > 100


def caps(name, width, height):
    return f"video/x-raw,format={name},width={width},height={height},framerate=30/1"


@pytest.mark.parametrize("width, height", SIZES)
@pytest.mark.parametrize("names", batches(), ids=lambda names: f"{names[0]}..{names[-1]}")
def test_python_sees_what_gstreamer_makes(directory, tmp_path, names, width, height):
    # The same buffers go into a file and into a topic.
    pipelines = [
        f"videotestsrc num-buffers=2 pattern=smpte horizontal-speed=5 ! {caps(name, width, height)} ! tee name=t{n} "
        f"t{n}. ! queue ! filesink location={tmp_path / name} "
        f"t{n}. ! queue ! shmflowsink topic={name} wait-for-connection=true sync=false"
        for n, name in enumerate(names)
    ]
    process = launch(" ".join(pipelines))
    try:
        received = {name: list(shmflow.Consumer(name, timeout=PATIENCE, connect_timeout=PATIENCE)) for name in names}
    except shmflow.ShmflowError:
        finish(process)
        raise
    finish(process)
    for name in names:
        frames = received[name]
        assert [frame.seq for frame in frames] == [1, 2], name
        stream = Path(tmp_path / name).read_bytes()
        assert b"".join(map(bytes, frames)) == stream, name
        for frame in frames:
            assert (frame.format, frame.width, frame.height, frame.fps) == (name, width, height, 30)
            assert f"format=(string){name}" in frame.caps and frame.pts is not None and frame.clock == "monotonic"
        compare_arrays(frames[0], stream, name, width, height)


def compare_arrays(frame, stream, name, width, height):
    """The planes against the file, read by the layout that a producer of this package has."""
    if name not in WITH_ARRAYS:
        with pytest.raises(shmflow.FormatError, match="has no arrays"):
            _ = frame.planes
        return
    if name in SHORT and width % 2:
        return
    with shmflow.Producer("expected", width, height, name) as producer:
        consumer = shmflow.Consumer("expected")
        assert producer.frame_size == len(frame), name
        producer.write(stream[: len(frame)])
        expected = consumer.recv(PATIENCE)
    assert list(expected.planes) == list(frame.planes), name
    for key, plane in frame.planes.items():
        other = expected.planes[key]
        assert (plane.shape, plane.dtype, plane.strides) == (other.shape, other.dtype, other.strides), name
        assert np.array_equal(plane, other), name
        assert plane.shape[0] in (height, -(-height // 2), -(-height // 4)), name


@pytest.mark.parametrize("width, height", SIZES)
@pytest.mark.parametrize("names", batches(), ids=lambda names: f"{names[0]}..{names[-1]}")
def test_gstreamer_sees_what_python_writes(directory, tmp_path, names, width, height):
    numbers = np.random.default_rng(1)
    producers, expected = [], {}
    for name in names:
        if name not in WITH_ARRAYS:
            # Its bytes are made by GStreamer, and passed on with caps.
            run(f"videotestsrc num-buffers=1 ! {caps(name, width, height)} ! filesink location={tmp_path / 'made'}")
            data = (tmp_path / "made").read_bytes()
            producer = shmflow.Producer(name, caps=caps(name, width, height))
            producer.write(data)
            expected[name] = data
        else:
            producer = shmflow.Producer(name, width, height, name, 30)
            with producer.frame() as frame:
                for plane in frame.values() if isinstance(frame, dict) else [frame]:
                    plane[...] = numbers.integers(0, np.iinfo(plane.dtype).max, plane.shape)
            expected[name] = None
        producers.append(producer)
    consumers = {name: shmflow.Consumer(name) for name in names}
    # Bound to no clock: it takes what was written before it came.
    run(
        " ".join(
            f"shmflowsrc topic={name} is-live=false num-buffers=1 ! {caps(name, width, height)} "
            f"! filesink location={tmp_path / name}"
            for name in names
        )
    )
    for name in names:
        written = (tmp_path / name).read_bytes()
        sent = consumers[name].recv(PATIENCE)
        if expected[name] is not None:
            assert written == expected[name] == bytes(sent), name
        elif name in SHORT and width % 2 and len(written) != len(sent):
            # The source packed it into GStreamer's own, shorter rows.
            continue
        else:
            assert written == bytes(sent), name


SOLID = {"orange": (255, 128, 0), "teal": (0, 100, 120), "white": (255, 255, 255), "violet": (120, 20, 200)}
COLOURED = [
    name
    for name in WITH_ARRAYS
    if not re.match(
        "UYVP|IYU1|v210|GRAY10_LE32|NV1._10LE|RGB16|BGR16|RGB15|BGR15|r210|Y410|Y412|Y21|v216|.*10A2|.*64|GRAY", name
    )
]
# Of HD size the matrix is that of BT.709, unless the caps say otherwise.
PICTURES = [(64, 48, ""), (64, 600, ""), (63, 47, ",colorimetry=bt709"), (64, 48, ",colorimetry=1:4:0:0")]


@pytest.mark.parametrize("width, height, colorimetry", PICTURES)
def test_colours_are_right(directory, width, height, colorimetry):
    names = [name for name in COLOURED if not colorimetry or not re.match("[RGBAx]+$|RGBP|BGRP|GBR", name)]
    assert len(names) > 30
    (colour, (red, green, blue)) = list(SOLID.items())[PICTURES.index((width, height, colorimetry))]
    value = 0xFF000000 | red << 16 | green << 8 | blue
    pipelines = [
        f"videotestsrc num-buffers=1 pattern=solid-color foreground-color={value} ! {caps('BGR', width, height)} "
        f"! videoconvert ! {caps(name, width, height)}{colorimetry} ! shmflowsink topic={name} wait-for-connection=true "
        "sync=false"
        for name in names
    ]
    process = launch(" ".join(pipelines))
    frames = {name: shmflow.Consumer(name, timeout=PATIENCE, connect_timeout=PATIENCE).recv() for name in names}
    finish(process)
    wrong = []
    for name, frame in frames.items():
        bgr, rgb = frame.bgr(), frame.rgb()
        assert bgr.shape == (height, width, 3) and bgr.dtype == np.uint8 and bgr.flags.writeable
        assert np.array_equal(bgr[..., ::-1], rgb), name
        away = np.abs(bgr.astype(int) - [blue, green, red]).max()
        if away > 4:
            wrong.append((name, away, bgr[height // 2, width // 2].tolist()))
    assert not wrong, f"{colour}: {wrong}"


# A gradient tells whether chroma is put where it belongs, and not only that it is right on the whole.
@pytest.mark.parametrize(
    "name", ["I420", "YV12", "NV12", "NV21", "YUY2", "UYVY", "Y42B", "Y444", "GRAY8", "P010_10LE", "BGRx", "GBR"]
)
def test_a_picture_looks_as_gstreamer_converts_it(directory, tmp_path, name):
    for width, height in ((64, 48), (63, 47)):
        topic = f"{name}-{width}"
        process = launch(
            f"videotestsrc num-buffers=1 pattern=gradient ! {caps(name, width, height)} ! tee name=t "
            f"t. ! queue ! videoconvert ! video/x-raw,format=BGR ! filesink location={tmp_path / topic} "
            f"t. ! queue ! shmflowsink topic={topic} wait-for-connection=true sync=false"
        )
        frame = shmflow.Consumer(topic, timeout=PATIENCE, connect_timeout=PATIENCE).recv()
        finish(process)
        rows = np.frombuffer((tmp_path / topic).read_bytes(), np.uint8).reshape(height, -1)
        expected = rows[:, : width * 3].reshape(height, width, 3).astype(int)
        assert np.abs(frame.bgr().astype(int) - expected).mean() < 3, (name, width)


def test_colorimetry_that_means_nothing_is_as_if_it_were_not_there(directory):
    producer, pictures = shmflow.Producer("t"), []
    consumer = shmflow.Consumer("t")
    for colorimetry in (
        "bt601",
        "sRGB",
        "nonsense",
        "1:2",
        "::::",
        "\u00b2:\u00b2:0:0",
        "2:99999:0:0",
        "9" * 3000 + ":4:0:0",
    ):
        text = f"video/x-raw, format=Y444, width=8, height=8, colorimetry=(string){colorimetry}"
        producer.write(bytes(range(192)), metadata={"caps": text, "kind": "video"})
        pictures.append(consumer.recv(PATIENCE).bgr())
    assert all(np.array_equal(picture, pictures[0]) for picture in pictures)


def test_a_format_without_colours_says_what_to_do(directory):
    producer = shmflow.Producer("t", 48, 32, "v210")
    consumer = shmflow.Consumer("t")
    producer.write(bytes(producer.frame_size))
    frame = consumer.recv(PATIENCE)
    assert frame.planes.pixels.shape == (32, 128)
    with pytest.raises(shmflow.FormatError, match="videoconvert"):
        frame.bgr()
    with pytest.raises(shmflow.FormatError, match="frame.planes"):
        _ = frame.array
