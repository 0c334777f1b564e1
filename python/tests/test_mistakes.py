"""The likeliest mistakes: each is an error that names the remedy, or does the right thing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shmflow

PICTURE = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
GRAY = PICTURE[..., 0]


class Device:
    """A tensor in the memory of something that the processor does not read."""

    kind = 0

    def __dlpack_device__(self):
        return (self.kind, 0)

    def __dlpack__(self, **_):
        raise AssertionError("not to be asked of it")


def device(kind, module="torch"):
    return type("Tensor", (Device,), {"__module__": module, "kind": kind})()


class Tensor:
    """What torch's tensors of the processor are: DLPack, and no buffer protocol."""

    def __init__(self, array):
        self.array = array

    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)


class Named:
    """A class of another library, by its name."""


def named(name, **attributes):
    return type(name, (Named,), attributes)()


ERRORS = (shmflow.InvalidArgument, TypeError)
# What is written, what the producer's format is, and what the error says.
MISTAKES = {
    "float, 0 to 1": (PICTURE / 255, "BGR", r"float64; scale .* \(array.clip\(0, 1\) \* 255\).astype\(np.uint8\)"),
    "float, 0 to 255": (PICTURE.astype(np.float32), "BGR", r"float32; .*array.clip\(0, 255\).astype\(np.uint8\)"),
    "integers of numpy's own": (PICTURE.astype(int), "BGR", r"int64; .*array.clip\(0, 255\).astype\(np.uint8\)"),
    "16 bits": (PICTURE.astype(np.uint16) << 8, "BGR", r"uint16; .*\(array >> 8\).astype\(np.uint8\)"),
    "16 bits of gray": (GRAY.astype(np.uint16) << 8, "GRAY8", r'\(array >> 8\).* format="GRAY16_LE"'),
    "8 bits for 16": (GRAY, "GRAY16_LE", r'array.astype\("<u2"\) << 8, or .*format="GRAY8"'),
    "another byte order": (GRAY.astype(">u2"), "GRAY16_LE", r'the byte order differs, array.astype\("<u2"\)'),
    "RGBA for RGB": (np.dstack([PICTURE, GRAY]), "RGB", r'array\[..., :3\], or .* format="RGBA"'),
    "RGB for RGBA": (PICTURE, "RGBA", 'format="RGB", which has three channels'),
    "gray for BGR": (GRAY, "BGR", 'format="GRAY8", or as np.stack'),
    "gray with a channel for BGR": (GRAY[..., None], "BGR", 'format="GRAY8", or as np.stack'),
    "BGR for gray": (PICTURE, "GRAY8", r"cv2.cvtColor\(array, cv2.COLOR_BGR2GRAY\)"),
    "channels first": (PICTURE.transpose(2, 0, 1), "BGR", r"the channels come last, array.transpose\(1, 2, 0\)"),
    "channels first and float": (
        PICTURE.transpose(2, 0, 1) / 255,
        "BGR",
        r"array.transpose\(1, 2, 0\); scale .*\* 255",
    ),
    "columns first": (PICTURE.transpose(1, 0, 2), "BGR", r"rows come first.*\(height, width, ...\)"),
    "a batch of one": (PICTURE[None], "BGR", r"array\[0\] is the picture"),
    "a batch": (np.stack([PICTURE] * 2), "BGR", "one by one"),
    "another size": (
        np.zeros((96, 128, 3), np.uint8),
        "BGR",
        r"cv2.resize\(array, \(64, 48\)\), or .*width=128, height=96",
    ),
    "bytes of another size": (b"too short", "BGR", r"shape \(48, 64, 3\) of uint8, but got shape \(9,\)"),
    "a JPEG file": (b"\xff\xd8\xff and so on", "BGR", r"a JPEG file: decode it first, cv2.imdecode\("),
    "BGR for I420": (PICTURE, "I420", r"cv2.cvtColor\(array, cv2.COLOR_BGR2YUV_I420\), or .*format=\"BGR\""),
    "BGR for NV12": (PICTURE, "NV12", 'open the producer with format="BGR" or "RGB"; consumers convert'),
    "a list of numbers": (PICTURE.tolist(), "BGR", r"np.asarray\(data, np.uint8\)"),
    "a list of pictures": ([PICTURE, PICTURE], "BGR", "write pictures one by one"),
    "VideoCapture.read()": ((True, PICTURE), "BGR", "ok, picture = capture.read()"),
    "VideoCapture.read() for two planes": ((True, PICTURE), "NV12", "ok, picture = capture.read()"),
    "None": (None, "BGR", r"cv2.imread\(\) and VideoCapture.read\(\) return None"),
    "a path": ("picture.png", "BGR", r"open a picture file first, cv2.imread\(path\)"),
    "a path of pathlib": (Path("picture.png"), "BGR", "open the picture file first"),
    "a number": (7, "BGR", r"np.full\(producer.shape, value, np.uint8\)"),
    "an array of no dimension": (np.array(7, np.uint8), "BGR", "a number is no picture"),
    "a tensor on the GPU": (device(2), "BGR", r"Tensor, whose memory is on a CUDA GPU \(number 0\).*, tensor.cpu\(\)"),
    "an OpenCV matrix on the GPU": (named("GpuMat"), "BGR", r"download it, picture.download\(\)"),
    "an OpenCV matrix that may be": (named("UMat"), "BGR", r"download it, picture.get\(\)"),
    "an array of the GPU without DLPack": (
        named("DeviceNDArray", __cuda_array_interface__={}),
        "BGR",
        "its memory is that of a GPU: copy it",
    ),
    "text for bytes": ("text", None, r"text.encode\(\)"),
    "an object": (
        object(),
        "BGR",
        r"write\(\) takes an array, planes by name, or the bytes of a whole frame, not object$",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_written_by_mistake_is_refused_with_the_remedy(directory, mistake):
    data, format, said = MISTAKES[mistake]
    picture = {"width": 64, "height": 48, "format": format, "fps": 30} if format else {}
    with shmflow.Producer("t", **picture) as producer:
        with pytest.raises(ERRORS, match=said):
            producer.write(data)
        assert producer.stats["published"] == 0 and shmflow.inspect("t")["claimed_slots"] == 0


# What is written, the format, and the array that consumers see.
RIGHT = {
    "a mask": (GRAY > 99, "GRAY8", np.where(GRAY > 99, 255, 0)),
    "a mask in colours": (PICTURE > 99, "BGR", np.where(PICTURE > 99, 255, 0)),
    "gray with a channel": (GRAY[..., None], "GRAY8", GRAY),
    "a part with gaps": (np.dstack([PICTURE, GRAY])[..., :3], "BGR", PICTURE),
    "mirrored": (PICTURE[:, ::-1], "BGR", PICTURE[:, ::-1]),
    "a tensor": (Tensor(PICTURE), "BGR", PICTURE),
    "a tensor with channels first, turned": (Tensor(PICTURE.transpose(2, 0, 1).transpose(1, 2, 0)), "BGR", PICTURE),
    "an array of another library": (named("Array", __array__=lambda *_, **__: PICTURE.copy()), "BGR", PICTURE),
    "a list of one plane": ([PICTURE], "BGR", PICTURE),
}


@pytest.mark.parametrize("given", RIGHT)
def test_what_can_only_mean_one_thing_is_written(directory, given):
    data, format, expected = RIGHT[given]
    with shmflow.Producer("t", 64, 48, format) as producer, shmflow.Consumer("t") as consumer:
        producer.write(data)
        assert np.array_equal(consumer.recv(30).array, expected)


@pytest.mark.parametrize("size", [(63, 47), (1, 1), (2, 1), (5, 2)])
def test_odd_sizes_of_subsampled_formats_are_no_mistake(directory, size):
    width, height = size
    with shmflow.Producer("t", width, height, "NV12") as producer, shmflow.Consumer("t") as consumer:
        producer.write(bytes(producer.frame_size))
        frame = consumer.recv(30)
        assert frame.planes.uv.shape == ((height + 1) // 2, (width + 1) // 2, 2)
        assert frame.bgr().shape == (height, width, 3)


def test_images_of_pil_are_written_in_the_channels_of_the_topic(directory):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    rgb = image.fromarray(PICTURE)
    gray = rgb.convert("L")
    for given, format, expected in (
        (rgb, "RGB", PICTURE),
        (rgb, "BGR", PICTURE[..., ::-1]),
        (rgb, "BGRx", np.dstack([PICTURE[..., ::-1], np.full((48, 64), 255)])),
        (gray, "GRAY8", np.asarray(gray)),
        (gray, "BGR", np.dstack([np.asarray(gray)] * 3)),
        (gray.point(lambda value: value > 99 and 255).convert("1"), "GRAY8", np.where(np.asarray(gray) > 99, 255, 0)),
        (rgb.convert("P"), "RGB", np.asarray(rgb.convert("P").convert("RGB"))),
        (image.fromarray(GRAY.astype(np.uint16)), "GRAY16_LE", GRAY),
    ):
        with shmflow.Producer("t", 64, 48, format) as producer, shmflow.Consumer("t") as consumer:
            producer.write(given)
            assert np.array_equal(consumer.recv(30).array, expected), (given.mode, format)
    with shmflow.Producer("t", 64, 48, "BGR") as producer:
        with pytest.raises(shmflow.InvalidArgument, match=r"64x48 is needed, .* has 32x24: image.resize\(\(64, 48\)\)"):
            producer.write(rgb.resize((32, 24)))
        with pytest.raises(shmflow.InvalidArgument, match=r'mode F does not become BGR: .*image.convert\("RGB"\)'):
            producer.write(gray.convert("F"))
    with shmflow.Producer("t", 64, 48, "NV12") as producer:
        with pytest.raises(shmflow.InvalidArgument, match='format="RGB"'):
            producer.write(rgb)


def test_tensors_of_torch_are_written(directory):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (Debian: python3-torch)")
    with shmflow.Producer("t", 64, 48, "BGR") as producer, shmflow.Consumer("t") as consumer:
        producer.write(torch.from_numpy(PICTURE))
        assert np.array_equal(consumer.recv(30).array, PICTURE)
        channels_first = torch.from_numpy(PICTURE).permute(2, 0, 1).contiguous()
        producer.write(channels_first.permute(1, 2, 0))
        assert np.array_equal(consumer.recv(30).array, PICTURE)
        with pytest.raises(shmflow.InvalidArgument, match=r"tensor.permute\(1, 2, 0\)"):
            producer.write(channels_first)
        with pytest.raises(TypeError, match="detach"):
            producer.write(torch.ones(48, 64, 3, requires_grad=True))


def test_devices_are_told_how_to_copy_by_their_library(directory):
    with shmflow.Producer("t", 64, 48, "BGR") as producer:
        for module, kind, said in (
            ("cupy", 2, "array.get()"),
            ("jax", 2, "jax.device_get(array)"),
            ("torch", 8, "Metal (number 0): copy it to the processor's memory first, tensor.cpu()"),
            ("other", 99, "device type 99 of DLPack"),
        ):
            with pytest.raises(TypeError) as error:
                producer.write(device(kind, module))
            assert said in str(error.value)


BAD_SETTINGS = {
    "a topic that is a path": ({"topic": Path("/dev/shm/camera")}, TypeError, 'a name, such as "camera"'),
    "no topic": ({"topic": None}, TypeError, 'a name, such as "camera"'),
    "an empty topic": ({"topic": ""}, shmflow.InvalidArgument, "empty"),
    "a size of text": ({"width": "64", "height": 48, "format": "BGR"}, TypeError, "width must be a number of pixels"),
    "half a pixel": ({"width": 64.5, "height": 48, "format": "BGR"}, TypeError, "width must be a number of pixels"),
    "a tuple as caps": ({"caps": ("BGR", 64, 48)}, TypeError, 'caps must be a text, such as "video/x-raw'),
    "a dictionary as caps": ({"caps": {"format": "BGR"}}, TypeError, "or pass width=, height=, format= and fps="),
    "small letters": (
        {"width": 64, "height": 48, "format": "bgr"},
        shmflow.InvalidArgument,
        'GStreamer calls it "BGR"',
    ),
    "a format of V4L2": ({"width": 64, "height": 48, "format": "YUYV"}, shmflow.InvalidArgument, 'it "YUY2"'),
    "a format of ROS": ({"width": 64, "height": 48, "format": "rgb8"}, shmflow.InvalidArgument, 'it "RGB"'),
    "no format": ({"width": 64, "height": 48}, shmflow.InvalidArgument, "a picture needs format, width and height"),
    "another directory": ({"directory": "/no/such/place"}, shmflow.ShmflowError, "/no/such/place"),
}


@pytest.mark.parametrize("mistake", BAD_SETTINGS)
def test_settings_by_mistake(directory, mistake):
    settings, error, said = BAD_SETTINGS[mistake]
    with pytest.raises(error) as raised:
        shmflow.Producer(**{"topic": "t", **settings})
    assert said in str(raised.value)


def test_sizes_as_opencv_tells_them_are_no_mistake(directory):
    with shmflow.Producer("t", 64.0, np.int64(48), "BGR") as producer:
        assert producer.shape == (48, 64, 3)


def test_frames_of_another_topic_are_told_how_to_become_a_picture(directory):
    source = shmflow.Producer("source", 64, 48, "NV12")
    frames = shmflow.Consumer("source")
    source.write(bytes(source.frame_size))
    frame = frames.recv(30)
    with shmflow.Producer("t", 64, 48, "BGR") as producer:
        with pytest.raises(shmflow.InvalidArgument, match=r"one of NV12; write frame.bgr\(size=\(64, 48\)\)"):
            producer.write(frame)
        producer.write(frame.bgr())
    with shmflow.Producer("t", 32, 24, "RGB") as producer:
        with pytest.raises(shmflow.InvalidArgument, match=r"write frame.rgb\(size=\(32, 24\)\)"):
            producer.write(frame)
        producer.write(frame.rgb(size=(32, 24)))
    with shmflow.Producer("t", 32, 24, "NV12") as producer:
        with pytest.raises(shmflow.InvalidArgument, match="caps=frame.caps"):
            producer.write(frame)
    with shmflow.Producer("t", caps=frame.caps) as producer:
        assert producer.write(frame) > 0


def test_a_closed_producer_says_so(directory):
    producer = shmflow.Producer("t", 64, 48, "BGR")
    producer.close()
    with pytest.raises(shmflow.Closed, match="this producer of topic `t` is closed; open another one"):
        producer.write(PICTURE)


def test_two_exclusive_producers(directory):
    with shmflow.Producer("t", mode="exclusive", name="the one"):
        with pytest.raises(shmflow.InUse, match="the one"):
            shmflow.Producer("t", mode="exclusive")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_topic_of_another_user(directory):
    directory.chmod(0o777)
    with shmflow.Producer("t", perms=0o600):
        code = (
            "import os, shmflow; os.setgid(65534); os.setuid(65534)\n"
            "try: shmflow.Producer('t')\n"
            "except PermissionError as error: print(type(error).__name__, error)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.startswith("PermissionDenied") and "run as its owner" in done.stdout, done


def test_metadata_that_nobody_can_read_is_not_published(directory):
    with shmflow.Producer("t", 64, 48, "BGR") as producer, shmflow.Consumer("t") as consumer:
        for block in (b"no metadata", b"x" * 4096, b"SHMF", b"\0" * 128):
            with pytest.raises(shmflow.MetadataError, match="no metadata block .*Frame.metadata_bytes"):
                producer.write(PICTURE, metadata=block)
        producer.write(PICTURE, pts=5)
        frame = consumer.recv(30)
        producer.write(PICTURE, metadata=frame.metadata_bytes)
        assert consumer.recv(30).pts == 5
        # It says that the frame is larger than it is.
        with shmflow.Producer("other", 32, 24, "BGR") as other:
            with pytest.raises(shmflow.MetadataError, match="BGR of 64x48"):
                other.write(PICTURE[:24, :32], metadata=frame.metadata_bytes)
            assert other.stats["published"] == 0
        with shmflow.Producer("bytes") as bare:
            with pytest.raises(shmflow.MetadataError, match="video"):
                bare.write(b"short", metadata=frame.metadata_bytes)
            assert bare.stats["published"] == 0 and shmflow.inspect("bytes")["claimed_slots"] == 0
