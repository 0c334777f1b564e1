"""What a received frame is: a read-only view of memory that stays as it is."""

import gc
import pickle
import random
import weakref

import numpy as np
import pytest
import shmflow


def picture(seed, shape=(48, 64, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture
def pair(directory):
    producer = shmflow.Producer("t", width=64, height=48, format="BGR", fps=30)
    return producer, shmflow.Consumer("t")


def test_an_array_is_the_shared_memory_itself(pair):
    producer, consumer = pair
    producer.write(picture(1))
    frame = consumer.recv(30)
    assert np.array_equal(frame.array, picture(1))
    assert (frame.seq, frame.lost_before, frame.is_copy) == (1, 0, False)
    addresses = {frame.array.__array_interface__["data"][0] for _ in range(3)}
    assert addresses == {np.frombuffer(frame, np.uint8).__array_interface__["data"][0]}
    maps = open("/proc/self/maps").read().splitlines()
    inside = [
        line
        for line in maps
        if (a := next(iter(addresses))) >= int(line.split("-")[0], 16) and a < int(line.split()[0].split("-")[1], 16)
    ]
    assert len(inside) == 1 and "shmflow.t.ring" in inside[0]


def test_an_array_cannot_be_made_writable(pair):
    producer, consumer = pair
    producer.write(picture(1))
    frame = consumer.recv(30)
    array = frame.array
    for view in (array, array[1:], array.T, np.frombuffer(frame, np.uint8), np.asarray(memoryview(frame))):
        assert not view.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            view.flags.writeable = True
        with pytest.raises(ValueError, match="read-only"):
            view[...] = 0
    with pytest.raises(TypeError):
        memoryview(frame)[0] = 1
    with pytest.raises((BufferError, TypeError)):
        memoryview(frame).cast("B")[0] = 1
    assert np.array_equal(array, picture(1))


def test_an_array_outlives_its_frame_its_consumer_and_the_producer(pair, directory):
    producer, consumer = pair
    producer.write(picture(1))
    array = consumer.recv(30).array[5:20, ::2]
    for seed in range(2, 40):
        producer.write(picture(seed))
    consumer.close()
    producer.close()
    gc.collect()
    assert np.array_equal(array, picture(1)[5:20, ::2])
    assert list(directory.iterdir()), "the topic is kept by the lease"
    del array
    assert not list(directory.iterdir())


def test_leases_go_with_the_last_view_in_any_order(directory):
    producer = shmflow.Producer("t", width=64, height=48, format="BGR", depth=8)
    consumer = shmflow.Consumer("t", max_leases=8)
    numbers = random.Random(7)
    for _ in range(20):
        things = []
        for seed in range(6):
            producer.write(picture(seed))
            frame = consumer.recv(30)
            assert not frame.is_copy
            views = [frame, frame.array, frame.array[3:], memoryview(frame), frame.planes, np.frombuffer(frame, "u1")]
            things.append((seed, numbers.sample(views, 3)))
            del frame, views
        assert consumer.stats["leases"] == 6
        numbers.shuffle(things)
        while things:
            _, views = things.pop()
            numbers.shuffle(views)
            while views:
                views.pop()
            assert consumer.stats["leases"] == len(things)
    (_, reader) = shmflow.inspect("t")["participants"]
    assert (reader["role"], reader["held_slots"]) == ("consumer", 0)


def test_cycles_are_collected(pair):
    producer, consumer = pair
    producer.write(picture(1))

    class Holder:
        pass

    holder = Holder()
    holder.frame, holder.itself = consumer.recv(30), holder
    holder.array = holder.frame.array
    alive = weakref.ref(holder.frame)
    del holder
    gc.collect()
    assert alive() is None and consumer.stats["leases"] == 0


def test_release_gives_up_the_memory_and_keeps_what_the_frame_says(pair):
    producer, consumer = pair
    producer.write(picture(1), pts=5)
    frame = consumer.recv(30)
    array = frame.array
    frame.release()
    assert frame.released and consumer.stats["leases"] == 1, "the array is still there"
    assert np.array_equal(array, picture(1))
    del array
    assert consumer.stats["leases"] == 0
    for use in (lambda: frame.array, lambda: frame.planes, lambda: bytes(frame), lambda: memoryview(frame)):
        with pytest.raises(shmflow.Closed, match="released"):
            use()
    assert (frame.seq, frame.pts, frame.format, len(frame)) == (1, 5, "BGR", 64 * 48 * 3)
    producer.write(picture(2))
    with consumer.recv(30) as frame:
        assert np.array_equal(frame.array, picture(2))
    assert frame.released


def test_the_buffer_protocol(pair):
    producer, consumer = pair
    producer.write(picture(1))
    frame = consumer.recv(30)
    view = memoryview(frame)
    assert (view.readonly, view.format, view.shape, view.nbytes) == (True, "B", (48, 64, 3), len(frame))
    flat = frame.payload
    assert (flat.readonly, flat.format, flat.ndim, flat.nbytes, flat.c_contiguous) == (True, "B", 1, len(frame), True)
    assert bytes(frame) == bytes(view) == picture(1).tobytes()
    assert bytearray(frame)[:10] == picture(1).tobytes()[:10]
    assert b"".join([frame]) == bytes(frame)
    assert memoryview(frame.array).shape == (48, 64, 3)


def test_what_a_frame_says(directory):
    producer = shmflow.Producer("t", 320, 240, "GRAY8", fps="30000/1001")
    consumer = shmflow.Consumer("t")
    producer.write(
        np.zeros((240, 320), np.uint8),
        pts=1,
        capture_time=2,
        duration=3,
        metadata={
            "flags": ["gap"],
            "crop": {"x": 1, "y": 2, "width": 3, "height": 4},
            "extensions": [(0x8001, b"own")],
        },
    )
    frame = consumer.recv(30)
    assert (frame.pts, frame.capture_time, frame.clock, frame.duration) == (1, 2, "monotonic", 3)
    assert (frame.format, frame.width, frame.height) == ("GRAY8", 320, 240)
    assert (frame.fps.numerator, frame.fps.denominator) == (30000, 1001)
    assert frame.caps == producer.caps
    assert frame.flags == {"gap"} and frame.crop == {"x": 1, "y": 2, "width": 3, "height": 4}
    assert frame.metadata["extensions"] == [(0x8001, b"own")]
    assert frame.producer[0] == 0 and frame.epoch >= 1
    # What one says, another passes on.
    other = shmflow.Producer("other", 320, 240, "GRAY8", fps="30000/1001")
    through = shmflow.Consumer("other")
    other.write(frame, metadata=frame.metadata)
    assert through.recv(30).metadata == frame.metadata


def test_the_capture_time_is_now_unless_given(pair):
    import time

    producer, consumer = pair
    before = time.monotonic_ns()
    producer.write(picture(1))
    with producer.frame() as array:
        array[:] = 0
    times = [consumer.recv(30).capture_time for _ in range(2)]
    assert before <= times[0] <= times[1] <= time.monotonic_ns()


def test_bare_bytes_are_a_row_of_bytes_unless_the_consumer_knows_more(directory):
    producer = shmflow.Producer("t")
    plain = shmflow.Consumer("t")
    knows = shmflow.Consumer("t", format="BGR", width=4, height=2)
    caps = shmflow.Consumer("t", caps="video/x-raw,format=GRAY8,width=8,height=3,framerate=30/1")
    producer.write(bytes(range(24)))
    frame = plain.recv(30)
    assert frame.array.shape == (24,) and frame.array.dtype == np.uint8
    assert (frame.caps, frame.format, frame.metadata, frame.pts) == (None, None, None, None)
    assert bytes(frame) == bytes(range(24))
    with pytest.raises(shmflow.FormatError, match="carries no video layout"):
        _ = frame.planes
    assert knows.recv(30).array.tolist() == np.arange(24).reshape(2, 4, 3).tolist()
    gray = caps.recv(30)
    assert gray.array.shape == (3, 8) and gray.format == "GRAY8" and "framerate" in gray.caps
    producer.write(b"short")
    with pytest.raises(shmflow.FormatError, match="5 bytes"):
        _ = knows.recv(30).array
    producer.write(b"")
    assert plain.recv(30).array.shape == (5,) and plain.recv(30).array.shape == (0,)


FIELDS = "video/x-raw(format:Interlaced), format=GRAY8, width=4, height=2, interlace-mode=alternate"


def test_caps_alone_say_how_a_frame_lies(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t")
    for text in (
        "video/x-raw, format=(string)GRAY8, width=(int)6, height=(int)4, framerate=(fraction)30/1",
        'video/x-raw(memory:SystemMemory),height=4,width=6,format="GRAY8",x=(string){ a, b }; other/thing',
    ):
        producer.write(bytes(range(32)), metadata={"caps": text, "kind": "video"})
        frame = consumer.recv(30)
        assert frame.array.shape == (4, 6) and frame.array.strides == (8, 1), "rows begin at multiples of 4"
        assert frame.caps == text
    for text in (
        "video/x-raw",
        "video/x-raw, format=GRAY8, width=[1, 5], height=4",
        "audio/x-raw",
        "",
        "{,}=;\\",
        FIELDS,
    ):
        producer.write(b"12345678", metadata={"caps": text})
        assert consumer.recv(30).array.shape == (8,)


HOSTILE = [
    {"planes": [{"offset": 0, "stride": 1 << 30}]},
    {"planes": [{"offset": 1 << 63, "stride": 192}]},
    {"planes": [{"offset": 2**64 - 1, "stride": -192}]},
    {"planes": [{"offset": 0, "stride": -192}]},
    {"planes": [{"offset": 1, "stride": 192}]},
    {"planes": [{"offset": 0, "stride": 0}]},
    {"planes": [{"offset": 0, "stride": 191}]},
    {"planes": [{"offset": 0, "stride": 192}] * 2},
    {"width": 2**32 - 1},
    {"height": 2**32 - 1},
    {"width": 2**32 - 1, "height": 2**32 - 1, "planes": [{"offset": 0, "stride": 2**31 - 1}]},
    {"format": "NV12"},
    {"format": "NONSENSE"},
]


@pytest.mark.parametrize("change", HOSTILE)
def test_a_layout_that_leaves_its_payload_gives_an_error_and_no_array(directory, change):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t")
    video = {"format": "BGR", "width": 64, "height": 48, "fps": [30, 1], "planes": [{"offset": 0, "stride": 192}]}
    data = picture(1).tobytes()
    producer.write(data, metadata={"kind": "video", "video": video})
    assert np.array_equal(consumer.recv(30).array, picture(1))
    producer.write(data, metadata={"kind": "video", "video": video | change})
    frame = consumer.recv(30)
    with pytest.raises(shmflow.FormatError, match="frame 2 of topic `t`"):
        _ = frame.array
    with pytest.raises(shmflow.FormatError):
        _ = frame.planes
    assert bytes(frame) == data
    producer.write(data, metadata={"kind": "video", "video": video})
    assert np.array_equal(consumer.recv(30).array, picture(1)), "the next frame is none the worse"


def test_rows_that_lie_bottom_up(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t")
    planes = [{"offset": 192 * 47, "stride": -192}]
    video = {"format": "BGR", "width": 64, "height": 48, "fps": [0, 1], "planes": planes}
    producer.write(picture(1).tobytes(), metadata={"kind": "video", "video": video})
    array = consumer.recv(30).array
    assert array.strides == (-192, 3, 1) and np.array_equal(array, picture(1)[::-1])


def test_frames_are_not_pickled(pair):
    producer, consumer = pair
    producer.write(picture(1))
    for thing, remedy in ((consumer.recv(30), "bytes"), (producer, "by its name"), (consumer, "by its name")):
        with pytest.raises(TypeError, match=f"cannot be pickled.*{remedy}"):
            pickle.dumps(thing)


def test_names_for_people(pair):
    producer, consumer = pair
    producer.write(picture(1))
    assert repr(producer) == '<shmflow.Producer of "t": BGR 64x48>'
    assert repr(consumer) == '<shmflow.Consumer of "t">'
    assert repr(consumer.recv(30)) == '<shmflow.Frame 1 of "t": BGR 64x48, 9216 bytes>'
