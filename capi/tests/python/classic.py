"""The classic interface, as programs in Python use it: classic.py LIBRARY COMMAND ..."""

import ctypes
import sys
import time

HEAD = 8
PATIENCE = 60


def image(seed, size):
    """Bytes that differ from place to place, and from image to image."""
    part = bytes((i * 7 + seed) & 255 for i in range(251))
    return (part * (size // len(part) + 1))[:size]


class Flow:
    def __init__(self, library):
        self.calls = ctypes.CDLL(library)

    def init(self, topic, size):
        self.size = size
        # Behind the buffer, a stretch that nobody may write to.
        self.buffer = ctypes.create_string_buffer(b"\xa5" * (size + 64), size + 64)
        self.calls.init_flow(topic.encode(), size)

    def write(self, data):
        self.calls.write_data(data, len(data))

    def read(self):
        """The next image and its id, or None."""
        if not self.calls.read_data(self.buffer):
            return None
        assert self.buffer.raw[self.size :] == b"\xa5" * 64, "written beyond the size of init_flow"
        total = int.from_bytes(self.buffer.raw[0:4], "big")
        assert HEAD <= total <= self.size, total
        return int.from_bytes(self.buffer.raw[4:8], "big"), self.buffer.raw[HEAD:total]

    def wait(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            got = self.read()
            if got is not None:
                return got
            time.sleep(0.002)
        raise SystemExit("nothing came")


def write(flow, topic, size, image_size, first, count):
    flow.init(topic, int(size))
    for seed in range(int(first), int(first) + int(count)):
        flow.write(image(seed, int(image_size)))


def read(flow, topic, size):
    """Reads everything that is there; each image has the seed of its id."""
    flow.init(topic, int(size))
    ids = []
    while (got := flow.read()) is not None:
        number, data = got
        assert data == image(number, len(data)), f"image {number} is another"
        ids.append(str(number))
    assert flow.read() is None
    print(" ".join(ids))


def follow(flow, topic, size, image_size):
    """Reads as it is written, and answers each line by the id of the next image."""
    flow.init(topic, int(size))
    print("ready", flush=True)
    for _ in sys.stdin:
        number, data = flow.wait()
        assert data == image(number, int(image_size))
        print(number, flow.read() is None, flush=True)


def white(flow, topic, image_size, count):
    """Reads white images that somebody else writes."""
    flow.init(topic, 4 * (int(image_size) + HEAD))
    last = 0
    for _ in range(int(count)):
        number, data = flow.wait()
        assert number > last, (number, last)
        assert data == b"\xff" * int(image_size), f"{len(data)} bytes, of which the first are {data[:8].hex()}"
        last = number
    print("white")


def both(flow, topic):
    """Writer and reader of a topic in one process, and another topic meanwhile."""
    one, two = topic + "/one", topic + "/two"
    flow.init(one, 10000)
    assert flow.read() is None
    flow.write(b"first")
    flow.write(b"second")
    flow.init(two, 10000)
    assert flow.read() is None
    flow.write(b"other")
    assert flow.read() == (1, b"other")
    flow.init(one, 10000)
    assert flow.read() == (1, b"first")
    flow.init(two, 10000)
    flow.init(one, 10000)
    assert flow.read() == (2, b"second"), "it goes on where it was"
    assert flow.read() is None
    flow.write(b"")
    assert flow.read() == (3, b"")
    # Smaller than an image: that one is skipped, the next one fits.
    flow.init(one, 12)
    flow.write(b"too large")
    flow.write(b"fits")
    assert flow.read() == (5, b"fits")
    assert flow.read() is None
    # Larger than any before.
    flow.init(one, 1 << 20)
    flow.write(b"x" * 500000)
    assert flow.read() == (6, b"x" * 500000)
    print("both")


def nonsense(flow, topic):
    """Nothing that one can pass crashes it; what is wrong is said now and then."""
    calls, text = flow.calls, topic.encode()
    buffer = ctypes.create_string_buffer(1000)
    assert calls.read_data(buffer) == 0
    calls.write_data(b"x", 1)
    for bad in (None, b"", b"a\nb", b"\xff", b"x" * 1000):
        calls.init_flow(bad, 1000)
        calls.write_data(b"x", 1)
        assert calls.read_data(buffer) == 0
    for size in (0, -1, 8, -(2**31)):
        calls.init_flow(text, size)
        assert calls.read_data(buffer) == 0
    calls.init_flow(text, 1000)
    calls.write_data(None, 1)
    calls.write_data(b"x", -1)
    assert calls.read_data(None) == 0
    for _ in range(10000):
        assert calls.read_data(None) == 0
    calls.write_data(b"good", 4)
    assert calls.read_data(buffer) == 1 and buffer.raw[8:12] == b"good"
    print("lived")


if __name__ == "__main__":
    library, command, *arguments = sys.argv[1:]
    globals()[command](Flow(library), *arguments)
