"""Frames that are larger than their pictures: arrays and colours show what the caps say."""

import numpy as np
import pytest
import shmflow
from conftest import PATIENCE, run
from test_formats import WITH_ARRAYS

# Of the layout: odd, so that chroma has a last column and row of its own.
WIDTH, HEIGHT = 61, 35
# Bytes that so many pixels share, where pixels lie across them.
ACROSS = {
    "v210": (6, 16),
    "UYVP": (2, 5),
    "IYU1": (4, 6),
    "GRAY10_LE32": (3, 4),
    "NV12_10LE32": (3, 4),
    "NV16_10LE32": (3, 4),
    "NV12_10LE40": (4, 5),
}


def caps(name, width, height, more=""):
    return f"video/x-raw, format=(string){name}, width=(int){width}, height=(int){height}, framerate=30/1{more}"


class Maker:
    """Frames of one format with a layout of 61x35, and that one as a whole."""

    def __init__(self, name, width=WIDTH, height=HEIGHT):
        self.name = name
        with shmflow.Producer(f"whole-{name}", width, height, name) as producer:
            consumer = shmflow.Consumer(f"whole-{name}")
            self.data = np.random.default_rng(1).integers(16, 236, producer.frame_size, np.uint8).tobytes()
            producer.write(self.data)
            self.whole = consumer.recv(PATIENCE)
        self.video = self.whole.metadata["video"]
        self.producer = shmflow.Producer(name)
        self.consumer = shmflow.Consumer(name)

    def frame(self, text, crop=None, video=None):
        crop = dict(zip(("x", "y", "width", "height"), crop, strict=True)) if crop else None
        metadata = {"kind": "video", "video": video or self.video, "caps": text, "crop": crop}
        self.producer.write(self.data, metadata=metadata)
        return self.consumer.recv(PATIENCE)

    def cropped(self, x, y, width, height):
        return self.frame(caps(self.name, width, height), (x, y, width, height))


def part(name, plane, crop):
    """What is to be seen of a plane of the whole."""
    x, y, width, height = crop
    down = -(-HEIGHT // plane.shape[0])
    rows = slice(y // down, y // down + -(-height // down))
    if name in ACROSS:
        pixels, size = ACROSS[name]
        return plane[rows, x // pixels * size : (x // pixels + -(-width // pixels)) * size]
    across = -(-WIDTH // plane.shape[1])
    columns = -(-width // across)
    # An odd number of columns of those that come in pairs is rounded up.
    columns += plane.shape[1] == WIDTH + 1 and width % 2
    return plane[rows, x // across : x // across + columns]


# At the beginning, within, and up to the end.
@pytest.mark.parametrize("crop", [(0, 0, 40, 30), (12, 4, 24, 16), (12, 8, 25, 17), (24, 16, 37, 19)])
def test_arrays_show_the_part_that_the_caps_mean(directory, crop):
    x, y, width, height = crop
    for name in WITH_ARRAYS:
        maker = Maker(name)
        frame = maker.cropped(*crop)
        assert (frame.width, frame.height, frame.format) == (width, height, name)
        assert frame.crop == {"x": x, "y": y, "width": width, "height": height}
        assert frame.metadata["video"] == maker.video, "the layout is there as it was said"
        assert f"{name} {width}x{height}" in repr(frame)
        memory = np.frombuffer(frame.payload, np.uint8)
        assert list(frame.planes) == list(maker.whole.planes)
        for key, plane in frame.planes.items():
            expected = part(name, maker.whole.planes[key], crop)
            assert plane.shape == expected.shape and plane.strides == expected.strides, name
            assert np.array_equal(plane, expected), name
            assert np.shares_memory(plane, memory) and not plane.flags.writeable, "no copy"
        if len(frame.planes) == 1 and name not in ACROSS:
            assert np.array_equal(frame.array, frame.planes.pixels)
        assert bytes(frame) == maker.data, "the payload is all of it"


@pytest.mark.parametrize("name", ["I420", "NV12", "BGR", "GRAY8", "YV12", "Y42B", "Y444"])
def test_an_odd_part_is_cut_as_videocrop_does_it(directory, tmp_path, name):
    maker = Maker(name, 60, 36)
    (tmp_path / "whole").write_bytes(maker.data)
    run(
        f"filesrc location={tmp_path / 'whole'} ! rawvideoparse format={name.lower()} width=60 height=36 "
        f"! videocrop left=5 top=3 right=22 bottom=12 ! filesink location={tmp_path / 'part'}"
    )
    frame = maker.cropped(5, 3, 33, 21)
    with shmflow.Producer("expected", 33, 21, name) as producer:
        consumer = shmflow.Consumer("expected")
        producer.write((tmp_path / "part").read_bytes())
        expected = consumer.recv(PATIENCE)
    for key, plane in frame.planes.items():
        assert np.array_equal(plane, expected.planes[key]), key


@pytest.mark.parametrize("name", ["I420", "NV12", "BGR", "GRAY8", "UYVY", "YUY2", "YUV9", "Y41B", "P010_10LE", "GBR"])
def test_colours_are_those_of_the_part(directory, name):
    maker = Maker(name, 60, 36)
    whole = {"bgr": maker.whole.bgr().astype(int), "rgb": maker.whole.rgb().astype(int)}
    # Odd ones begin within chroma that pixels share.
    for x, y, width, height in [
        (0, 0, 40, 30),
        (8, 4, 40, 20),
        (5, 3, 40, 20),
        (5, 3, 33, 21),
        (7, 2, 5, 5),
        (59, 35, 1, 1),
    ]:
        frame = maker.cropped(x, y, width, height)
        for order, expected in whole.items():
            seen = getattr(frame, order)()
            assert seen.shape == (height, width, 3) and seen.flags.c_contiguous and seen.flags.writeable
            # OpenCV rounds a little otherwise for sizes that are odd.
            away = np.abs(seen - expected[y : y + height, x : x + width]).max()
            assert away <= 3, (x, y, width, height, order, away)


@pytest.mark.parametrize("name", ["UYVY", "YUY2", "Y210", "UYVP", "v210"])
def test_what_cannot_be_cut_is_refused_and_not_shown_wrongly(directory, name):
    frame = Maker(name).cropped(5, 3, 20, 10)
    for read in (lambda: frame.planes, lambda: frame.array):
        with pytest.raises(shmflow.FormatError, match="begins at column 5"):
            read()
    assert (frame.width, frame.height) == (20, 10)


RULE = [
    # caps, crop, what is visible
    ((40, 30), (8, 4, 40, 30), (8, 4, 40, 30)),
    ((40, 30), None, (0, 0, 40, 30)),
    ((40, 30), (8, 4, 39, 30), (0, 0, 40, 30)),
    ((40, 30), (22, 4, 40, 30), (0, 0, 40, 30)),
    ((40, 30), (2**32 - 1, 2**32 - 1, 40, 30), (0, 0, 40, 30)),
    ((61, 35), None, (0, 0, 61, 35)),
    ((61, 35), (8, 4, 40, 30), (0, 0, 61, 35)),
    ((61, 20), (0, 15, 61, 20), (0, 15, 61, 20)),
]


@pytest.mark.parametrize("size, crop, visible", RULE)
def test_the_caps_decide_what_is_visible(directory, size, crop, visible):
    maker = Maker("GRAY8")
    x, y, width, height = visible
    frame = maker.frame(caps("GRAY8", *size), crop)
    assert np.array_equal(frame.array, maker.whole.array[y : y + height, x : x + width])
    assert frame.array.shape == (frame.height, frame.width) == (height, width)


def test_without_a_size_in_the_caps_all_of_the_layout_is_visible(directory):
    maker = Maker("GRAY8")
    for text in (None, "video/x-raw", "video/x-raw, width=[1, 20], height=10", "{,}=;"):
        frame = maker.frame(text, (8, 4, 40, 30))
        assert np.array_equal(frame.array, maker.whole.array) and frame.width == WIDTH
    # What the consumer was told is no word about a frame that says how it lies.
    told = shmflow.Consumer("GRAY8", format="GRAY8", width=4, height=2, start="newest")
    maker.frame(None)
    assert told.recv(PATIENCE).array.shape == (HEIGHT, WIDTH)


def test_a_field_has_half_of_the_rows_that_the_caps_say(directory):
    maker = Maker("GRAY8")
    more = ", interlace-mode=(string)alternate"
    for height, crop, y in (
        (70, None, 0),
        (69, None, 0),
        (60, (0, 5, 61, 30), 5),
        (59, (0, 5, 61, 30), 5),
        (60, None, 0),
    ):
        rows = -(-height // 2)
        frame = maker.frame(caps("GRAY8", 61, height, more), crop)
        assert np.array_equal(frame.array, maker.whole.array[y : y + rows]) and frame.height == rows
    with pytest.raises(shmflow.FormatError, match="61x36"):
        _ = maker.frame(caps("GRAY8", 61, 71, more)).array


def test_caps_of_more_than_there_is_are_an_error(directory):
    maker = Maker("I420")
    for size in ((62, 35), (40, 36), (2**31, 2**31)):
        frame = maker.frame(caps("I420", *size), (0, 0, *size))
        for read in (lambda frame: frame.planes, lambda frame: frame.array, shmflow.Frame.bgr):
            with pytest.raises(shmflow.FormatError, match="its layout has only 61x35"):
                read(frame)
        assert (frame.width, frame.height) == (WIDTH, HEIGHT) and bytes(frame) == maker.data
        assert "I420 61x35" in repr(frame)


def test_rows_that_lie_bottom_up_are_cut_from_the_top(directory):
    maker = Maker("GRAY8")
    stride = maker.video["planes"][0]["stride"]
    video = maker.video | {"planes": [{"offset": stride * (HEIGHT - 1), "stride": -stride}]}
    frame = maker.frame(caps("GRAY8", 20, 10), (7, 3, 20, 10), video)
    assert np.array_equal(frame.array, maker.whole.array[::-1][3:13, 7:27])


def test_a_layout_that_leaves_its_payload_gives_no_part_of_it_either(directory):
    maker = Maker("I420")
    first, *others = maker.video["planes"]
    for change in (
        {"planes": [first | {"offset": len(maker.data)}, *others]},
        {"planes": [first | {"offset": 2**64 - 1}, *others]},
        {"planes": [first | {"stride": -first["stride"]}, *others]},
        {"planes": [first]},
        {"width": 2**32 - 1, "height": 2**32 - 1},
        {"height": HEIGHT + 3},
    ):
        frame = maker.frame(caps("I420", 20, 10), (8, 4, 20, 10), maker.video | change)
        for read in (lambda frame: frame.planes, shmflow.Frame.bgr):
            with pytest.raises(shmflow.FormatError, match="which do not fit I420"):
                read(frame)


def test_a_cropped_frame_is_passed_on_as_what_it_shows(directory):
    for name in ("I420", "BGR"):
        maker = Maker(name)
        frame = maker.cropped(8, 4, 40, 30)
        with shmflow.Producer(f"other-{name}", 40, 30, name) as producer:
            consumer = shmflow.Consumer(f"other-{name}")
            producer.write(frame, metadata=frame.metadata)
            passed = consumer.recv(PATIENCE)
        for key, plane in passed.planes.items():
            assert np.array_equal(plane, frame.planes[key])
        assert passed.crop is None, "it was about the layout that the frame had"
