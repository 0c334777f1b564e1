"""Writing frames: copies of whatever is an array, and straight into shared memory."""

import array as arrays
import gc

import numpy as np
import pytest
import shmflow

SHAPE = (48, 64, 3)


def picture(seed, shape=SHAPE, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)


@pytest.fixture
def pair(directory):
    producer = shmflow.Producer("t", width=64, height=48, format="BGR", fps=30)
    return producer, shmflow.Consumer("t")


def test_arrays_of_any_strides_are_written(pair):
    producer, consumer = pair
    big = picture(1, (200, 300, 4))
    for source in (
        big[:48, :64, :3],
        big[10:58, 20:84, 1:],
        big[95:47:-1, 10:74, :3],
        big[:48, 63::-1, 2::-1],
        big[:96:2, :192:3, :3],
        np.asfortranarray(big[:48, :64, :3]),
        big.transpose(1, 0, 2)[:48, :64, :3],
        np.broadcast_to(np.array([1, 2, 3], np.uint8), SHAPE),
        memoryview(np.ascontiguousarray(big[:48, :64, :3])),
    ):
        producer.write(source)
        assert np.array_equal(consumer.recv(30).array, np.asarray(source))


def test_whole_frames_are_written_as_bytes(pair):
    producer, consumer = pair
    data = picture(1).tobytes()
    for source in (data, bytearray(data), memoryview(data), arrays.array("B", data), picture(1).reshape(-1)):
        producer.write(source)
        assert bytes(consumer.recv(30)) == data


def test_what_does_not_fit_is_refused_with_both_shapes(pair):
    producer, _ = pair
    for wrong, said in (
        (picture(1, (64, 48, 3)), r"needs shape \(48, 64, 3\) of uint8, but got shape \(64, 48, 3\) of uint8"),
        (picture(1, (48, 64)), r"but got shape \(48, 64\) of uint8"),
        (picture(1, (48, 64, 4)), r"\(48, 64, 4\)"),
        (picture(1, dtype=np.float32), "float32"),
        (picture(1, dtype=np.int8), "int8"),
        (picture(1, dtype=np.uint16), "uint16"),
        (b"too short", r"\(9,\)"),
    ):
        with pytest.raises(shmflow.InvalidArgument, match=said):
            producer.write(wrong)
    for wrong in ("text", None, 5, object()):
        with pytest.raises(TypeError, match="write\\(\\) takes"):
            producer.write(wrong)
    assert producer.stats == {"published": 0, "dropped": 0, "bytes": 0, "stalls": 0}


def test_the_byte_order_of_deep_pictures_counts(directory):
    producer = shmflow.Producer("t", 8, 4, "GRAY16_BE")
    consumer = shmflow.Consumer("t")
    values = np.arange(32).reshape(4, 8) * 1000
    producer.write(values.astype(">u2"))
    frame = consumer.recv(30)
    assert frame.array.dtype == np.dtype(">u2") and np.array_equal(frame.array, values)
    with pytest.raises(shmflow.InvalidArgument, match="big-endian"):
        producer.write(values.astype("<u2"))


def test_planes_by_name_in_order_or_as_opencv_shapes_them(directory):
    producer = shmflow.Producer("t", 64, 48, "I420")
    consumer = shmflow.Consumer("t")
    planes = {"y": picture(1, (48, 64)), "u": picture(2, (24, 32)), "v": picture(3, (24, 32))}
    stacked = np.concatenate([plane.reshape(-1) for plane in planes.values()])
    assert producer.shape == {"y": (48, 64), "u": (24, 32), "v": (24, 32)} and producer.frame_size == stacked.size
    for source in (
        planes,
        list(planes.values()),
        tuple(planes.values()),
        stacked,
        stacked.reshape(72, 64),
        bytes(stacked),
    ):
        producer.write(source)
        frame = consumer.recv(30)
        assert list(frame.planes) == ["y", "u", "v"]
        assert all(np.array_equal(frame.planes[name], plane) for name, plane in planes.items())
        assert frame.planes.u is not frame.planes.v
    producer.write(frame)
    assert all(np.array_equal(consumer.recv(30).planes[name], planes[name]) for name in ["v"])
    with pytest.raises(AttributeError, match="no plane 'x'; it has y, u, v"):
        _ = frame.planes.x
    with pytest.raises(shmflow.FormatError, match="use frame.planes"):
        _ = frame.array
    for wrong, said in (
        ({"y": planes["y"]}, "needs the planes y, u, v, but got 1 planes"),
        ({"y": planes["y"], "u": planes["u"], "w": planes["v"]}, "the planes y, u, v"),
        ([planes["y"]] * 3, r"plane u .* needs shape \(24, 32\)"),
        (planes["y"], "planes by name"),
    ):
        with pytest.raises(shmflow.InvalidArgument, match=said):
            producer.write(wrong)


def test_a_frame_is_written_straight_into_shared_memory(pair):
    producer, consumer = pair
    writer = producer.frame(pts=7)
    with writer as array:
        assert array.shape == SHAPE and array.flags.writeable
        address = array.__array_interface__["data"][0]
        array[:] = picture(1)
    assert (writer.seq, writer.copied) == (1, False)
    frame = consumer.recv(30)
    assert np.array_equal(frame.array, picture(1)) and frame.pts == 7
    inside = [
        line
        for line in open("/proc/self/maps")
        if int(line.split("-")[0], 16) <= address < int(line.split()[0].split("-")[1], 16)
    ]
    assert "shmflow.t.ring" in inside[0]
    assert np.array_equal(array, picture(1)), "who wrote it can still read it"


def test_what_is_published_cannot_be_written_any_more(pair):
    producer, consumer = pair
    with producer.frame() as array:
        array[:] = picture(1)
    frame = consumer.recv(30)
    with pytest.raises(ValueError, match="read-only"):
        array[:] = 0
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.base.flags.writeable = True
    with pytest.raises(ValueError, match="read-only"):
        np.copyto(array, 0)
    with pytest.raises((BufferError, TypeError)):
        memoryview(array)[0, 0, 0] = 1
    assert np.array_equal(frame.array, picture(1))


KEEPERS = {
    "a slice": lambda array: array[5:10],
    "a column": lambda array: array[:, 3],
    "a reshaped one": lambda array: array.reshape(-1),
    "a memoryview": memoryview,
    "a second name": lambda array: array,
    "its base": lambda array: array.base,
    "a slice of a slice": lambda array: array[5:10][::2],
    "a matrix": lambda array: np.asarray(array[..., 0]).view(np.matrix),
    "an iterator": lambda array: np.nditer(array, op_flags=["readwrite"]),
    "an array from the buffer": lambda array: np.asarray(memoryview(array)),
    "a bound method": lambda array: array.fill,
}


@pytest.mark.parametrize("keeper", KEEPERS)
def test_whoever_keeps_something_writable_cannot_change_the_frame(pair, keeper):
    producer, consumer = pair
    writer = producer.frame()
    with writer as array:
        array[:] = picture(1)
        kept = KEEPERS[keeper](array)
    assert writer.copied
    frame = consumer.recv(30)
    if keeper == "a memoryview":
        kept[0, 0, 0] ^= 255
    elif keeper == "an iterator":
        kept[0] = 1
    elif keeper in ("a second name", "its base", "a bound method"):
        with pytest.raises(ValueError, match="read-only"):
            kept(1) if callable(kept) else kept.__setitem__(..., 1)
    else:
        kept[...] = 99
    assert np.array_equal(frame.array, picture(1))
    # Its slot is not used for other frames as long as it is kept, and is afterwards.
    for seed in range(30):
        producer.write(picture(seed))
    assert np.array_equal(frame.array, picture(1)) and shmflow.inspect("t")["claimed_slots"] == 1
    del kept, array
    gc.collect()
    assert shmflow.inspect("t")["claimed_slots"] == 0


def test_a_loop_of_frames_makes_no_copies(pair):
    producer, consumer = pair
    for seed in range(50):
        writer = producer.frame()
        with writer as array:
            np.add(picture(seed), 0, out=array)
        assert not writer.copied
        assert np.array_equal(consumer.recv(30).array, picture(seed))
    assert producer.stats["dropped"] == 0


def test_planes_are_written_in_place(directory):
    producer = shmflow.Producer("t", 63, 47, "NV12")
    consumer = shmflow.Consumer("t")
    writer = producer.frame()
    with writer as planes:
        assert list(planes) == ["y", "uv"] and planes.uv.shape == (24, 32, 2)
        planes.y[:] = picture(1, (47, 63))
        planes.uv[:] = picture(2, (24, 32, 2))
    assert not writer.copied
    frame = consumer.recv(30)
    assert np.array_equal(frame.planes.y, picture(1, (47, 63)))
    assert np.array_equal(frame.planes.uv, picture(2, (24, 32, 2)))
    with pytest.raises(ValueError, match="read-only"):
        planes.uv[:] = 0
    writer = producer.frame()
    with writer as planes:
        luma = planes.y
        luma[:] = 5
    assert writer.copied and (consumer.recv(30).planes.y == 5).all()


def test_an_exception_drops_the_frame(pair):
    producer, consumer = pair
    writer = producer.frame()
    with pytest.raises(ZeroDivisionError), writer as array:
        array[:] = 1
        _ = 1 / 0
    assert writer.seq is None and "dropped" in repr(writer)
    assert consumer.try_recv() is None and producer.stats["published"] == 0
    del array
    gc.collect()
    assert shmflow.inspect("t")["claimed_slots"] == 0
    with pytest.raises(RuntimeError, match="written once"), writer:
        pass


def test_an_array_whose_publication_failed_stays_readable(directory):
    first = shmflow.Producer("t", 64, 48, "BGR", mode="primary")
    second = shmflow.Producer("t", 64, 48, "BGR", mode="primary", takeover_timeout=0)
    first.write(picture(1))
    writer = second.frame()
    with pytest.raises(shmflow.Standby), writer as array:
        array[:] = picture(2)
    second.close()
    first.close()
    for seed in range(3):
        with shmflow.Producer("t", 64, 48, "BGR") as again:
            again.write(picture(seed))
    assert np.array_equal(array, picture(2)) and writer.seq is None
    with pytest.raises(ValueError, match="read-only"):
        array[:] = 0


def test_bare_bytes_in_place(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t")
    with producer.frame(5) as array:
        array[:] = list(b"hello")
    assert bytes(consumer.recv(30)) == b"hello"
    with pytest.raises(shmflow.InvalidArgument, match="pass their number"):
        producer.frame()
    producer.write(b"x" * 300_000)
    assert len(consumer.recv(30)) == 300_000, "the topic grows with its frames"
    producer.write(np.arange(10, dtype=np.float64)[::2])
    assert np.frombuffer(consumer.recv(30)).tolist() == [0, 2, 4, 6, 8]


def test_a_producer_that_is_left_has_ended_its_stream(directory):
    with shmflow.Producer("t", 64, 48, "BGR") as producer:
        consumer = shmflow.Consumer("t")
        producer.write(picture(1))
        producer.write(picture(2))
        assert producer.consumer_count == 1
    assert [frame.seq for frame in consumer] == [1, 2]
    assert consumer.ended
    # The end was told, once.
    with pytest.raises(shmflow.Timeout):
        consumer.recv(0.1)
    with pytest.raises(shmflow.Closed, match="closed"):
        producer.write(picture(1))
    # A producer that comes later goes on with the stream.
    with shmflow.Producer("t", 64, 48, "BGR") as again:
        again.write(picture(3))
        assert np.array_equal(next(consumer).array, picture(3))
    for end in (shmflow.Ended, shmflow.Timeout):
        with pytest.raises(end) as error:
            consumer.recv(0.1)
        assert isinstance(error.value, EOFError) == (end is shmflow.Ended)


def test_a_producer_that_failed_has_not_ended_its_stream(directory):
    with pytest.raises(ZeroDivisionError), shmflow.Producer("t", 64, 48, "BGR") as producer:
        consumer = shmflow.Consumer("t")
        producer.write(picture(1))
        _ = 1 / 0
    assert consumer.recv(30).seq == 1
    assert not consumer.ended and consumer.producer_count == 0
    with pytest.raises(shmflow.Timeout):
        consumer.recv(0.01)


def test_rates(directory):
    from fractions import Fraction

    for fps, text in (
        (30, "30/1"),
        (29.97, "2997/100"),
        (Fraction(30000, 1001), "30000/1001"),
        ((24000, 1001), "24000/1001"),
        ("60000/1001", "60000/1001"),
        (None, "0/1"),
        (0, "0/1"),
        (12.5, "25/2"),
    ):
        with shmflow.Producer("t", 64, 48, "BGR", fps) as producer:
            assert producer.caps.endswith(f"framerate=(fraction){text}")
    for fps in (-1, "many", float("nan"), float("inf"), [1], (1, 0)):
        with pytest.raises(shmflow.InvalidArgument, match="fps"):
            shmflow.Producer("t", 64, 48, "BGR", fps)


def test_accepted_caps_reach_the_producer(pair):
    producer, consumer = pair
    assert [caps for _, caps in producer.consumers] == [None]
    consumer.set_accepted_caps("video/x-raw, format=(string)BGR")
    other = shmflow.Consumer("t", accepted_caps="video/x-raw", name="viewer")
    assert sorted(caps for _, caps in producer.consumers) == ["video/x-raw", "video/x-raw, format=(string)BGR"]
    assert ("viewer", "video/x-raw") in producer.consumers and producer.consumer_count == 2
    other.close()
    assert producer.consumer_count == 1
