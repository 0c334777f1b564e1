"""Frames in the hands of other libraries: numpy's and DLPack's protocols, tensors, pictures."""

import ctypes
import gc
import itertools
import struct
import threading
import zlib

import numpy as np
import pytest
import shmflow

NUMBERS = itertools.count()


def picture(seed=1, shape=(48, 64, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def received(picture, format="BGR"):
    topic = f"t{next(NUMBERS)}"
    producer = shmflow.Producer(topic, picture.shape[1], picture.shape[0], format)
    consumer = shmflow.Consumer(topic)
    producer.write(picture)
    return consumer, consumer.recv(30)


# What numpy and those that ask as it does see.


def test_numpy_sees_the_picture(directory):
    _, frame = received(picture())
    for array in (np.asarray(frame), np.array(frame), frame.__array__(), np.asanyarray(frame)):
        assert np.array_equal(array, picture()) and array.dtype == np.uint8
    assert (frame.shape, frame.ndim, frame.dtype) == ((48, 64, 3), 3, np.dtype("u1"))
    assert np.shares_memory(np.asarray(frame), frame.array) and not np.asarray(frame).flags.writeable
    assert np.array(frame).flags.writeable and not np.shares_memory(np.array(frame), frame.array)
    assert np.asarray(frame, np.float32).dtype == np.float32
    assert float(np.mean(frame)) == picture().mean() and np.array_equal(np.add(frame, 0), picture())


def test_the_array_protocol_of_numpy_2(directory):
    _, frame = received(picture())
    assert np.shares_memory(frame.__array__(copy=False), frame.array)
    for copied in (frame.__array__(copy=True), frame.__array__(np.dtype("u1"), copy=True), frame.__array__("f4")):
        assert copied.flags.writeable and np.array_equal(copied, picture())
    with pytest.raises(ValueError, match="copy=False"):
        frame.__array__(np.float32, copy=False)


def test_who_asks_for_bytes_gets_the_payload(directory):
    _, frame = received(picture(shape=(48, 63, 3)))  # rows of 189 bytes, in 192
    assert memoryview(frame).shape == (48, 63, 3) and len(frame) == 48 * 192
    for flat in (np.frombuffer(frame.payload, np.uint8), np.frombuffer(bytes(frame), np.uint8)):
        assert flat.shape == (48 * 192,)
        assert np.array_equal(flat.reshape(48, 192)[:, :189].reshape(48, 63, 3), picture(shape=(48, 63, 3)))
    assert frame.tobytes() == picture(shape=(48, 63, 3)).tobytes()


def test_formats_without_a_single_array_name_the_remedy(directory):
    producer = shmflow.Producer("t", 64, 48, "NV12")
    producer.write({"y": np.zeros((48, 64), np.uint8), "uv": np.zeros((24, 32, 2), np.uint8)})
    frame = shmflow.Consumer("t").recv(30)
    uses = [lambda: np.asarray(frame), lambda: frame.shape, frame.__array__, frame.__dlpack__]
    for use in uses:
        with pytest.raises(shmflow.FormatError, match="frame.planes"):
            use()
    with pytest.raises(BufferError, match="frame.planes"):
        memoryview(frame)
    assert len(bytes(frame)) == len(np.frombuffer(frame.payload, "u1")) == len(frame)


def test_frames_that_are_no_picture(directory):
    producer = shmflow.Producer("t")
    producer.write(b"hello")
    frame = shmflow.Consumer("t").recv(30)
    assert (frame.shape, np.asarray(frame).tobytes(), frame._repr_png_()) == ((5,), b"hello", None)


def test_a_frame_is_passed_on_with_all_of_its_bytes(directory):
    _, frame = received(picture(shape=(48, 63, 3)))
    onward = shmflow.Producer("bytes")
    onward.write(frame, metadata=frame.metadata)
    again = shmflow.Consumer("bytes").recv(30)
    assert bytes(again) == bytes(frame) and np.array_equal(again.array, frame.array)


def test_pil_makes_an_image_of_it(directory):
    image = pytest.importorskip("PIL.Image", reason="PIL is not installed (Debian: python3-pil)")
    for shape in ((48, 64, 3), (48, 63, 3)):
        _, frame = received(picture(shape=shape), "RGB")
        assert np.array_equal(np.asarray(image.fromarray(frame)), picture(shape=shape))
        del frame


def test_matplotlib_shows_it(directory):
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed (Debian: python3-matplotlib)")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    _, frame = received(picture(), "RGB")
    shown = pyplot.imshow(frame)
    assert np.array_equal(shown.get_array(), picture())
    pyplot.close("all")


def decoded(png):
    """A PNG as the tests' own reader sees it: 8 bits, one filter."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length) == (zlib.crc32(kind + data),)
        chunks[kind], at = data, at + 12 + length
    width, height, depth, color = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    channels = {0: 1, 2: 3}[color]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + width * channels)
    assert depth == 8 and (rows[:, 0] == 2).all()
    return np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).reshape(height, width, channels)


@pytest.mark.parametrize(
    ("format", "channels"),
    [("RGB", [0, 1, 2]), ("BGR", [2, 1, 0]), ("xRGB", [1, 2, 3]), ("BGRA", [2, 1, 0]), ("GRAY8", [0])],
)
def test_notebooks_show_the_picture_in_its_colours(directory, format, channels):
    count = {"GRAY8": 1, "RGB": 3, "BGR": 3}.get(format, 4)
    source = picture(shape=(48, 62, count))
    _, frame = received(source if count > 1 else source[..., 0], format)
    assert np.array_equal(decoded(frame._repr_png_()), source[..., channels])


def test_notebooks_show_large_pictures_smaller(directory):
    _, frame = received(picture(shape=(1080, 1920, 3)), "RGB")
    assert np.array_equal(decoded(frame._repr_png_()), picture(shape=(1080, 1920, 3))[::2, ::2])
    frame.release()
    assert frame._repr_png_() is None


# Copies.


def test_a_copy_is_ones_own(directory):
    consumer, frame = received(picture())
    copied = frame.copy()
    assert copied.is_copy and (copied.seq, copied.pts, copied.format) == (frame.seq, frame.pts, frame.format)
    frame.release()
    assert consumer.stats["leases"] == 0
    array = copied.array
    assert array.flags.writeable and np.array_equal(array, picture())
    array[...] = 7
    memoryview(copied)[0, 0, 0] = 8
    assert (copied.array.sum(), np.asarray(copied)[0, 0, 0]) == (7 * array.size + 1, 8)
    copied.planes["pixels"][1] = 0
    consumer.close()
    assert (copied.array[1] == 0).all() and np.array_equal(copied.copy().array, copied.array)
    with pytest.raises(shmflow.Closed):
        frame.copy()


def test_a_consumer_that_copies_holds_nothing(directory):
    producer = shmflow.Producer("t", 64, 48, "BGR", depth=4)
    consumer = shmflow.Consumer("t", copy=True)
    frames = []
    for seed in range(12):
        producer.write(picture(seed))
        frames.append(consumer.recv(30))
        assert frames[-1].is_copy and frames[-1].array.flags.writeable
    assert consumer.stats["leases"] == 0 and consumer.stats["lost"] == 0
    for seed, frame in enumerate(frames):
        assert np.array_equal(frame.array, picture(seed))
        frame.array[...] = 0
    with pytest.raises(shmflow.InvalidArgument, match="copies"):
        shmflow.Consumer("t", copy=True, allow_copies=False)


def test_a_copy_that_was_not_asked_for_stays_read_only(directory):
    producer = shmflow.Producer("t", 64, 48, "BGR", perms=0o644)
    consumer = shmflow.Consumer("t", read_only=True)
    producer.write(picture())
    frame = consumer.recv(30)
    assert frame.is_copy and not frame.array.flags.writeable


# DLPack.

PYTHON = ctypes.pythonapi
PYTHON.PyCapsule_GetName.restype = ctypes.c_char_p
PYTHON.PyCapsule_GetName.argtypes = [ctypes.py_object]
PYTHON.PyCapsule_GetPointer.restype = ctypes.c_void_p
PYTHON.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
PYTHON.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]
READ_ONLY, COPIED = 1, 2


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]

    def dimensions(self):
        return self.shape[: self.ndim], self.strides[: self.ndim]


DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Old(ctypes.Structure):
    _fields_ = [("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", DELETER)]


class Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", DELETER),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    ]


FORMS = {b"dltensor": Old, b"dltensor_versioned": Versioned}
USED = {name: b"used_" + name for name in FORMS}


def opened(capsule):
    name = PYTHON.PyCapsule_GetName(capsule)
    return FORMS[name].from_address(PYTHON.PyCapsule_GetPointer(capsule, name))


def taken(capsule):
    """As a framework takes a tensor: the caller of the deleter is then somebody else."""
    name = PYTHON.PyCapsule_GetName(capsule)
    form = opened(capsule)
    PYTHON.PyCapsule_SetName(capsule, USED[name])
    return form


def test_a_versioned_tensor_is_the_memory_itself_and_says_that_it_is_read_only(directory):
    _, frame = received(picture(shape=(48, 63, 3)))
    for copy in (None, False):
        form = opened(capsule := frame.__dlpack__(max_version=(1, 1), copy=copy, dl_device=(1, 0)))
        assert (form.major, form.flags, form.tensor.data) == (1, READ_ONLY, frame.array.ctypes.data)
        assert form.tensor.dimensions() == ([48, 63, 3], [192, 3, 1]) and form.tensor.byte_offset == 0
        assert (form.tensor.code, form.tensor.bits, form.tensor.lanes, form.tensor.device_type) == (1, 8, 1, 1)
        del capsule
    assert frame.__dlpack_device__() == (1, 0)


def test_a_copy_can_be_asked_for(directory):
    _, frame = received(picture(shape=(48, 63, 3)))
    form = opened(capsule := frame.__dlpack__(max_version=(1, 0), copy=True))
    assert form.flags == COPIED and form.tensor.dimensions() == ([48, 63, 3], [189, 3, 1])
    assert ctypes.string_at(form.tensor.data, 48 * 189) == picture(shape=(48, 63, 3)).tobytes()
    del capsule


def test_who_knows_no_read_only_tensors_gets_a_copy(directory):
    _, frame = received(picture())
    for arguments in ({}, {"max_version": (0, 8)}, {"copy": True}):
        form = opened(capsule := frame.__dlpack__(**arguments))
        assert isinstance(form, Old) and form.tensor.data != frame.array.ctypes.data
        ctypes.memset(form.tensor.data, 0, frame.array.nbytes)
        assert np.array_equal(frame.array, picture())
        del capsule
    with pytest.raises(BufferError, match="read-only"):
        frame.__dlpack__(copy=False)
    # A frame of one's own is no such case.
    own = frame.copy()
    old, new = own.__dlpack__(copy=False), own.__dlpack__(max_version=(1, 0))
    assert opened(old).tensor.data == opened(new).tensor.data == own.array.ctypes.data and opened(new).flags == 0


def test_what_dlpack_cannot_say_is_an_error(directory):
    _, frame = received(picture())
    for arguments, why in (({"stream": 1}, "stream"), ({"dl_device": (2, 0)}, "processor")):
        with pytest.raises(BufferError, match=why):
            frame.__dlpack__(**arguments)
    for arguments in ({"max_version": "1"}, {"copy": "yes"}, {"dl_device": 1}):
        with pytest.raises(TypeError):
            frame.__dlpack__(**arguments)
    frame.release()
    with pytest.raises(shmflow.Closed):
        frame.__dlpack__()


def test_numbers_in_another_byte_order(directory):
    producer = shmflow.Producer("t", 64, 48, "GRAY16_BE")
    producer.write(np.arange(48 * 64).reshape(48, 64).astype(">u2"))
    frame = shmflow.Consumer("t").recv(30)
    assert frame.dtype == np.dtype(">u2") and np.array_equal(np.asarray(frame), np.arange(48 * 64).reshape(48, 64))
    with pytest.raises(BufferError, match="byte order"):
        frame.__dlpack__(max_version=(1, 0))


@pytest.mark.parametrize("arguments", [{}, {"max_version": (1, 0)}, {"max_version": (1, 0), "copy": True}])
def test_memory_goes_with_the_tensor_whoever_drops_it(directory, arguments):
    consumer, frame = received(picture())
    shared = arguments == {"max_version": (1, 0)}
    # Not taken.
    capsule = frame.__dlpack__(**arguments)
    frame.release()
    assert consumer.stats["leases"] == shared
    del capsule
    assert consumer.stats["leases"] == 0

    producer = shmflow.Producer(consumer.topic, 64, 48, "BGR")
    producer.write(picture(2))
    frame = consumer.recv(30)
    # Taken: the capsule's end is nobody's business then, and the deleter may be called by a thread without the interpreter.
    capsule = frame.__dlpack__(**arguments)
    form = taken(capsule)
    frame.release()
    del capsule
    gc.collect()
    assert consumer.stats["leases"] == shared
    assert ctypes.string_at(form.tensor.data, 48 * 64 * 3) == picture(2).tobytes()
    deleter = form.deleter  # a call by ctypes releases the interpreter
    thread = threading.Thread(target=deleter, args=(ctypes.addressof(form),))
    thread.start()
    thread.join()
    assert consumer.stats["leases"] == 0


def test_numpy_takes_a_tensor(directory):
    _, frame = received(picture())
    array = np.from_dlpack(frame)
    assert np.array_equal(array, picture())
    if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
        assert np.shares_memory(array, frame.array) and not array.flags.writeable
    else:
        assert not np.shares_memory(array, frame.array)


# Frameworks.


def test_torch_takes_a_tensor(directory):
    torch = pytest.importorskip("torch", reason="torch is not installed (Debian: python3-torch)")
    _, frame = received(picture())
    tensor = torch.from_dlpack(frame)
    assert np.array_equal(tensor.numpy(), picture())
    tensor.add_(1)
    assert np.array_equal(frame.array, picture()), "it was a copy, or this test needs to know better"


def test_torch_tensors_of_ones_own(directory):
    torch = pytest.importorskip("torch", reason="torch is not installed (Debian: python3-torch)")
    import shmflow.torch

    consumer, frame = received(picture())
    tensor = shmflow.torch.tensor(frame)
    assert tensor.dtype == torch.uint8 and tensor.shape == (48, 64, 3) and tensor.is_contiguous()
    tensor.zero_()
    assert np.array_equal(frame.array, picture())
    tensor = shmflow.torch.tensor(frame, layout="CHW", dtype=torch.float32)
    assert tensor.shape == (3, 48, 64) and tensor.is_contiguous() and tensor.dtype == torch.float32
    assert np.array_equal(tensor.numpy(), picture().transpose(2, 0, 1).astype(np.float32))
    frame.release()
    assert consumer.stats["leases"] == 0
    with pytest.raises(shmflow.Closed):
        shmflow.torch.tensor(frame)


def test_torch_tensors_over_the_frame(directory, recwarn):
    torch = pytest.importorskip("torch", reason="torch is not installed (Debian: python3-torch)")
    import shmflow.torch

    consumer, frame = received(picture())
    for layout, shape in (("HWC", (48, 64, 3)), ("CHW", (3, 48, 64))):
        tensor = shmflow.torch.tensor(frame, copy=False, layout=layout)
        assert tensor.shape == shape and tensor.data_ptr() == frame.array.ctypes.data
    address = frame.array.ctypes.data
    frame.release()
    assert consumer.stats["leases"] == 1 and tensor.data_ptr() == address
    assert np.array_equal(tensor.numpy(), picture().transpose(2, 0, 1))
    del tensor
    assert consumer.stats["leases"] == 0 and not recwarn.list
    assert torch.uint8


def test_torch_what_cannot_be_shared(directory):
    torch = pytest.importorskip("torch", reason="torch is not installed (Debian: python3-torch)")
    import shmflow.torch

    _, frame = received(picture())
    with pytest.raises(shmflow.FormatError, match="copy=True"):
        shmflow.torch.tensor(frame, copy=False, dtype=torch.float32)
    with pytest.raises(shmflow.InvalidArgument, match="CHW"):
        shmflow.torch.tensor(frame, layout="NCHW")
    producer = shmflow.Producer("wide", 64, 48, "GRAY16_BE")
    producer.write(np.arange(48 * 64).reshape(48, 64).astype(">u2"))
    frame = shmflow.Consumer("wide").recv(30)
    tensor = shmflow.torch.tensor(frame, dtype=torch.int32, layout="CHW")
    assert tensor.shape == (1, 48, 64) and np.array_equal(tensor.numpy()[0], np.arange(48 * 64).reshape(48, 64))
    with pytest.raises(shmflow.FormatError, match="copy=True"):
        shmflow.torch.tensor(frame, copy=False)


def test_jax_arrays(directory):
    pytest.importorskip("jax", reason="jax is not installed (pip install jax)")
    import shmflow.jax

    _, frame = received(picture())
    assert np.array_equal(np.asarray(shmflow.jax.array(frame, layout="CHW")), picture().transpose(2, 0, 1))


def test_cupy_arrays(directory):
    cupy = pytest.importorskip("cupy", reason="cupy is not installed, or there is no GPU")
    import shmflow.cupy

    _, frame = received(picture())
    assert np.array_equal(cupy.asnumpy(shmflow.cupy.array(frame, layout="CHW")), picture().transpose(2, 0, 1))


# The mapping, for drivers.


def test_the_mapping_is_the_ring_and_stays(directory):
    consumer, frame = received(picture())
    mapping = frame.mapping
    read = ctypes.string_at(mapping.address + mapping.offset, len(mapping))
    assert read == bytes(frame) and mapping.address % 4096 == 0
    assert mapping.offset + len(mapping) <= mapping.size
    # What a library wrote onto the array is not in it.
    ctypes.memset(frame.array.ctypes.data, 1, 100)
    assert ctypes.string_at(mapping.address + mapping.offset, len(mapping)) == picture().tobytes()
    producer = shmflow.Producer(consumer.topic, 64, 48, "BGR")
    producer.write(picture(2))
    later = consumer.recv(30)
    assert (later.mapping.address, later.mapping.size) == (mapping.address, mapping.size)
    assert later.mapping.offset != mapping.offset and later.copy().mapping is None
    del frame, later
    consumer.close()
    assert ctypes.string_at(mapping.address, 4096), "it outlives the consumer"


def test_a_driver_registers_the_mapping_once(directory):
    """On a machine with an NVIDIA GPU; elsewhere the test says that there is none."""
    import sys

    from conftest import ROOT

    sys.path.insert(0, str(ROOT / "python/examples"))
    try:
        import gpu_upload
    finally:
        sys.path.pop(0)
    try:
        cuda = gpu_upload.Cuda()
    except OSError as error:
        pytest.skip(f"no GPU to upload to: {error}")
    producer = shmflow.Producer("t", 640, 480, "BGR")
    consumer = shmflow.Consumer("t")
    uploader = gpu_upload.Uploader(cuda)
    for value in range(30):
        producer.write(np.full((480, 640, 3), value, np.uint8))
        frame = consumer.recv(30)
        uploader.upload(frame)
        assert uploader.download() == bytes(frame)
    assert uploader.registrations == 1
    uploader.close()
