"""What bgr() and rgb() give, sample by sample; into arrays of the program's own, and of other sizes."""

import numpy as np
import pytest
import shmflow

# How many pixels share a sample of chroma, across and down.
SHARED = {
    "NV12": (2, 2),
    "NV21": (2, 2),
    "NV16": (2, 1),
    "NV61": (2, 1),
    "NV24": (1, 1),
    "I420": (2, 2),
    "YV12": (2, 2),
    "Y42B": (2, 1),
    "Y444": (1, 1),
    "Y41B": (4, 1),
    "YUV9": (4, 4),
    "YUY2": (2, 1),
    "UYVY": (2, 1),
    "YVYU": (2, 1),
    "VYUY": (2, 1),
    "AYUV": (1, 1),
    "VUYA": (1, 1),
    "v308": (1, 1),
}
MATRICES = {"": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593), "1:4:0:0": (0.299, 0.114)}


def made(format, width, height, colorimetry="", interlace_mode="", **settings):
    """A frame of random samples."""
    more = f", colorimetry=(string){colorimetry}" if colorimetry else ""
    more += f", interlace-mode=(string){interlace_mode}" if interlace_mode else ""
    text = f"video/x-raw, format={format}, width={width}, height={height}{more}"
    with shmflow.Producer(f"{format}-{width}-{height}", caps=text) as producer:
        consumer = shmflow.Consumer(producer.topic)
        producer.write(np.random.default_rng(1).integers(16, 236, producer.frame_size, np.uint8), **settings)
        return consumer.recv(30)


def samples(frame, fields=1):
    """Y, U and V of each pixel. Rows of several fields take turns."""
    planes, (across, down) = frame.planes, SHARED[frame.format]
    if "pixels" in planes and across == 2:
        order = frame.format.replace("YUY2", "YUYV")
        pixels, luma = planes.pixels, order.index("Y")
        chroma = pixels[..., 1 - luma % 2]
        pair = [chroma[:, 0::2], chroma[:, 1::2]]
        u, v = pair if order.index("U") < order.index("V") else pair[::-1]
        y = pixels[:, : frame.width, luma % 2]
    elif "pixels" in planes:
        at = {"AYUV": (1, 2, 3), "VUYA": (2, 1, 0), "v308": (0, 1, 2)}[frame.format]
        y, u, v = (planes.pixels[..., channel] for channel in at)
    elif "u" in planes:
        y, u, v = planes.y, planes.u, planes.v
    else:
        pair = planes.get("uv", planes.get("vu"))
        y, u, v = planes.y, pair[..., 0], pair[..., 1]
        u, v = (u, v) if "uv" in planes else (v, u)
    row = np.arange(frame.height)
    rows = np.minimum(row // (fields * down) * fields + row % fields, len(u) - 1)
    full = [np.repeat(one[rows], across, 1)[:, : frame.width] for one in (u, v)]
    return [one.astype(float) for one in (y, *full)]


def expected(frame, colorimetry, fields=1):
    y, u, v = samples(frame, fields)
    (kr, kb), limited = MATRICES[colorimetry], not colorimetry.startswith("1:")
    y = (y - 16) * 255 / 219 if limited else y
    u, v = ((one - 128) * (255 / 224 if limited else 1) for one in (u, v))
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.rint(np.dstack([blue, green, red])), 0, 255)


@pytest.mark.parametrize("format", SHARED)
def test_every_pixel_has_the_colour_of_its_samples(directory, format):
    for width, height in ((64, 48), (63, 47), (1, 1), (2, 1), (1, 2), (5, 3)):
        frame = made(format, width, height)
        away = np.abs(frame.bgr() - expected(frame, "")).max()
        assert away <= 1 and np.array_equal(frame.rgb()[..., ::-1], frame.bgr()), (width, height, away)


@pytest.mark.parametrize("colorimetry", MATRICES)
@pytest.mark.parametrize("format", ["NV12", "I420", "YUY2", "Y444"])
def test_the_matrix_and_range_are_those_of_the_caps(directory, format, colorimetry):
    frame = made(format, 64, 48, colorimetry)
    assert np.abs(frame.bgr() - expected(frame, colorimetry)).max() <= 1


@pytest.mark.parametrize("format", ["NV12", "NV21", "I420", "YV12", "NV16", "YUV9", "YUY2"])
def test_rows_of_an_interlaced_picture_share_chroma_with_rows_of_their_field(directory, format):
    flagged = {"metadata": {"flags": ["interlaced"]}}
    for mode, settings, fields in (
        ("interleaved", {}, 2),
        ("mixed", flagged, 2),
        ("mixed", {}, 1),
        ("", flagged, 2),
        ("progressive", flagged, 1),
    ):
        for width, height in ((64, 48), (63, 46), (4, 1)):
            frame = made(format, width, height, interlace_mode=mode, **settings)
            away = np.abs(frame.bgr() - expected(frame, "", fields)).max()
            assert away <= 1, (mode, width, height, away)


def test_a_part_of_an_interlaced_picture_has_its_colours(directory):
    whole = made("NV12", 64, 48, interlace_mode="interleaved")
    crop = {"x": 3, "y": 6, "width": 40, "height": 21}
    caps = "video/x-raw, format=NV12, width=40, height=21, interlace-mode=interleaved"
    with shmflow.Producer("part") as producer, shmflow.Consumer("part") as consumer:
        producer.write(
            bytes(whole), metadata={"kind": "video", "caps": caps, "video": whole.metadata["video"], "crop": crop}
        )
        assert np.array_equal(consumer.recv(30).bgr(), whole.bgr()[6:27, 3:43])


def test_a_field_has_the_matrix_of_its_whole_picture(directory):
    # GStreamer takes BT.709 for more than 576 rows, of which a field has half.
    field = made("Y444", 64, 540, "bt709")
    caps = "video/x-raw(format:Interlaced), format=Y444, width=64, height=1080, interlace-mode=alternate"
    with shmflow.Producer("field") as producer, shmflow.Consumer("field") as consumer:
        producer.write(bytes(field), metadata={"kind": "video", "caps": caps, "video": field.metadata["video"]})
        frame = consumer.recv(30)
        assert frame.height == 540
        assert np.array_equal(frame.bgr(), field.bgr())


@pytest.mark.parametrize("format", ["RGB", "BGR", "RGBx", "BGRA", "xRGB", "ABGR", "RBGA"])
def test_channels_are_only_reordered(directory, format):
    frame = made(format, 63, 47)
    channels = [format.lower().index(name) for name in "bgr"]
    assert np.array_equal(frame.bgr(), frame.array[..., channels])
    assert np.array_equal(frame.rgb(), frame.array[..., channels[::-1]])


def test_gray_is_the_same_in_each_channel(directory):
    frame = made("GRAY8", 63, 47)
    assert np.array_equal(frame.bgr(), np.repeat(frame.array[..., None], 3, axis=2))


def test_colours_go_into_an_array_of_the_program(directory):
    frame = made("NV12", 64, 48)
    out = np.zeros((48, 64, 3), np.uint8)
    assert frame.bgr(out) is out and np.array_equal(out, frame.bgr())
    assert frame.rgb(out=out) is out and np.array_equal(out, frame.rgb())
    readonly = np.zeros((48, 64, 3), np.uint8)
    readonly.flags.writeable = False
    for wrong, said in (
        (
            np.zeros((64, 48, 3), np.uint8),
            r"out needs shape \(48, 64, 3\) of uint8.* it has shape \(64, 48, 3\); another size",
        ),
        (np.zeros((48, 64, 3), np.float32), r"out needs shape \(48, 64, 3\) of uint8"),
        (np.zeros((48, 128, 3), np.uint8)[:, ::2], "it has gaps"),
        (readonly, "read-only"),
        (frame.bgr().tolist(), "it is none"),
    ):
        with pytest.raises(shmflow.InvalidArgument, match=said):
            frame.bgr(wrong)


def test_colours_of_another_size(directory):
    frame = made("BGR", 64, 48)
    half = frame.array.reshape(24, 2, 32, 2, 3).mean((1, 3))
    small = frame.bgr(size=(32, 24))
    # Near the mean of what each new pixel covers, which reaches a little farther.
    assert small.shape == (24, 32, 3) and abs(small.mean() - half.mean()) < 1
    assert np.corrcoef(small.ravel(), half.ravel())[0, 1] > 0.8
    out = np.zeros((24, 32, 3), np.uint8)
    assert frame.rgb(out, size=(32, 24)) is out and np.array_equal(out[..., ::-1], small)
    assert frame.bgr(size=(64, 48)).tobytes() == frame.bgr().tobytes()
    assert frame.bgr(size=(130, 7)).shape == (7, 130, 3)
    flat = np.full((48, 64, 3), 99, np.uint8)
    with shmflow.Producer("flat", 64, 48, "BGR") as producer, shmflow.Consumer("flat") as consumer:
        producer.write(flat)
        assert (consumer.recv(30).bgr(size=(17, 5)) == 99).all()
    for wrong in ((0, 5), (5, 0)):
        with pytest.raises(shmflow.InvalidArgument, match="no pixels"):
            frame.bgr(size=wrong)
    for wrong in (5, (1, 2, 3), ("a", "b"), (-1, 5)):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            frame.bgr(size=wrong)


def test_bytes_have_no_colours(directory):
    with shmflow.Producer("t") as producer, shmflow.Consumer("t") as consumer:
        producer.write(b"x")
        with pytest.raises(shmflow.FormatError, match="no colours; give the consumer caps="):
            consumer.recv(30).bgr()
