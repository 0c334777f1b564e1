"""No line of Python kills the process: what a library writes onto a received frame, it alone sees, and the next frame is right."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import shmflow

# Each writes onto `a` although numpy says that it is read-only; some libraries look, and raise.
CV2 = {
    "circle": "cv2.circle(a, (300, 200), 90, (1, 2, 3), cv2.FILLED)",
    "rectangle": "cv2.rectangle(a, (0, 0), (639, 479), (1, 2, 3), cv2.FILLED)",
    "line": "cv2.line(a, (0, 0), (639, 479), (1, 2, 3))",
    "putText": "cv2.putText(a, 'text', (10, 200), cv2.FONT_HERSHEY_SIMPLEX, 2, (1, 2, 3), 5)",
    "blur": "cv2.blur(255 - a, (3, 3), dst=a)",
    "a slice": "cv2.rectangle(a[100:300, 200:400], (0, 0), (199, 199), (1, 2, 3), 3)",
}
TORCH = {
    "add_": "torch.from_numpy(a).add_(1)",
    "copy_": "torch.from_numpy(a)[10:20].copy_(torch.zeros(10, 640, 3, dtype=torch.uint8))",
}
OTHERS = {
    "a system call": "open('/dev/zero', 'rb', buffering=0).readinto(pointer(a))",
    "ctypes": "ctypes.memset(a.ctypes.data + 4000, 5, 300000)",
    "a thread": "t = threading.Thread(target=ctypes.memset, args=(a.ctypes.data, 5, 100)); t.start(); t.join()",
    "a forked child": "pid = os.fork()\nif not pid:\n ctypes.memset(a.ctypes.data, 5, 9000); os._exit(0)\nos.waitpid(pid, 0)",
}

# Publishes as told; receives, does the line on every frame, and tells what it saw before it did so.
VICTIM = """
import ctypes, json, os, sys, threading, warnings
import numpy as np, shmflow
warnings.simplefilter("ignore")
line = compile(sys.argv[1], "line", "exec")
modules = {name: __import__(name) for name in sys.argv[2:]}
def pointer(a):
    return (ctypes.c_char * a.nbytes).from_address(a.ctypes.data)
consumer = shmflow.Consumer("t")
print("ready")
changed = refused = 0
for frame in consumer:
    before = frame.array.copy()
    try:
        exec(line, {**globals(), **modules, "a": frame.array})
    except Exception as error:
        refused += 1
        message = repr(error)
    changed += not np.array_equal(before, frame.array)
    print(json.dumps([frame.seq, frame.is_copy, int(before.min()), int(before.max()), bool((before == 255 - frame.seq % 200).all())]))
    frame = None
print(json.dumps([changed, refused]))
"""
FRAMES = 24


def survives(child, line, *modules):
    """Runs a line on frame after frame in another process, beside a consumer here."""
    producer = shmflow.Producer("t", 640, 480, "BGR", depth=4)
    witness = shmflow.Consumer("t", max_leases=4)
    victim = child(VICTIM, line, *modules)
    assert victim.hear() == "ready"
    for number in range(1, FRAMES + 1):
        expected = 255 - number % 200
        producer.write(np.full((480, 640, 3), expected, np.uint8))
        seen = witness.recv(30)
        assert json.loads(victim.hear()) == [number, False, expected, expected, True], (
            "the next frame of the slot is right"
        )
        assert (seen.array == expected).all(), "no other consumer sees what was written"
        # Nor who comes later and reads what is still in the ring.
        late = shmflow.Consumer("t", start="newest")
        assert (late.recv(30).array == expected).all()
    producer.end()
    changed, refused = json.loads(victim.hear())
    assert victim.wait() == 0
    assert changed + refused in (FRAMES, 0)
    return changed


@pytest.mark.parametrize("line", CV2.values(), ids=CV2.keys())
def test_opencv(directory, child, line):
    pytest.importorskip("cv2", reason="OpenCV is not installed (Debian: python3-opencv)")
    survives(child, line, "cv2")


@pytest.mark.parametrize("line", TORCH.values(), ids=TORCH.keys())
def test_torch(directory, child, line):
    pytest.importorskip("torch", reason="torch is not installed (Debian: python3-torch)")
    assert survives(child, line, "torch") == FRAMES


@pytest.mark.parametrize("line", OTHERS.values(), ids=OTHERS.keys())
def test_writes_by_other_ways(directory, child, line):
    assert survives(child, line) == (0 if "fork" in line else FRAMES)


def test_numpy_itself_refuses(directory):
    producer = shmflow.Producer("t", 64, 48, "BGR")
    consumer = shmflow.Consumer("t")
    producer.write(np.zeros((48, 64, 3), np.uint8))
    array = consumer.recv(30).array
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True


def test_a_frame_keeps_what_was_written_as_long_as_it_lives(directory):
    import ctypes

    producer = shmflow.Producer("t", 640, 480, "BGR", depth=4)
    consumer = shmflow.Consumer("t", max_leases=4)
    producer.write(np.full((480, 640, 3), 1, np.uint8))
    one = consumer.recv(30)
    ctypes.memset(one.array.ctypes.data, 9, 10_000)
    consumer.close()
    for number in range(2, 20):
        producer.write(np.full((480, 640, 3), number, np.uint8))
    flat = one.array.reshape(-1)
    assert (flat[:10_000] == 9).all() and (flat[10_000:] == 1).all(), "the frame outlives its consumer"


def test_a_larger_ring_is_as_safe(directory):
    import ctypes

    producer = shmflow.Producer("t", depth=2, slot_capacity=4096)
    consumer = shmflow.Consumer("t")
    for size in (100, 4096, 100_000, 5_000_000, 100, 3_000_000):
        for value in range(6):
            producer.write(bytes([value]) * size)
            array = consumer.recv(30).array
            assert array.shape == (size,) and (array == value).all()
            ctypes.memset(array.ctypes.data, 99, size)
            assert (array == 99).all()
            del array


LOCKED = """
import ctypes, sys, numpy as np, shmflow
libc = ctypes.CDLL(None, use_errno=True)
CURRENT, FUTURE = 1, 2
producer = shmflow.Producer("t", 640, 480, "BGR", depth=4, directory=sys.argv[1])
def check(consumer, values):
    for value in values:
        producer.write(np.full((480, 640, 3), value, np.uint8))
        array = consumer.recv(30).array
        assert (array == value).all(), value
        ctypes.memset(array.ctypes.data, 99, array.nbytes)
        del array
early = shmflow.Consumer("t", directory=sys.argv[1])
check(early, range(8))
if libc.mlockall(CURRENT | FUTURE):
    print("refused")
    sys.exit()
check(early, range(8, 30))
early.close()
late = shmflow.Consumer("t", directory=sys.argv[1])
late.skip_to_newest()
late.recv(30)
check(late, range(30, 60))
print("done")
"""


def test_a_process_that_locks_its_memory(directory, child):
    process = child(LOCKED, str(directory))
    said = process.hear()
    if said == "refused":
        pytest.skip("this process may not lock its memory (ulimit -l)")
    assert said == "done" and process.wait() == 0


LIMITED = """
import resource, sys, numpy as np, shmflow
producer = shmflow.Producer("t", 1920, 1080, "BGR", depth=4)
limit = int(open("/proc/self/status").read().split("VmData:")[1].split()[0]) * 1024 + 20_000_000
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
consumer = shmflow.Consumer("t")
for value in range(12):
    with producer.frame() as array:
        array[...] = value
    frame = consumer.recv(30)
    assert frame.is_copy and (frame.array[::100] == value).all()
    frame = array = None
strict = shmflow.Consumer("t", start="newest", allow_copies=False)
try:
    strict.recv(30)
except shmflow.WouldCopy as error:
    print(error)
"""


def test_without_room_for_a_private_mapping_frames_are_copies(directory, child):
    process = child(LIMITED)
    assert "ulimit" in process.hear()
    assert process.wait() == 0


def test_threads_that_write_while_others_receive(directory):
    """Each thread has a consumer and scribbles on what it gets."""
    import ctypes

    producer = shmflow.Producer("t", 640, 480, "BGR", depth=8)
    wrong, consumers = [], [shmflow.Consumer("t", delivery="all") for _ in range(3)]

    def read(consumer):
        for frame in consumer:
            array = frame.array
            if not (array == frame.seq % 251).all():
                wrong.append(frame.seq)
            ctypes.memset(array.ctypes.data + frame.seq % 7 * 100_000, 255, 50_000)
            del array, frame

    threads = [threading.Thread(target=read, args=(consumer,)) for consumer in consumers]
    for thread in threads:
        thread.start()
    for number in range(1, 200):
        producer.write(np.full((480, 640, 3), number % 251, np.uint8))
    producer.end()
    for thread in threads:
        thread.join(30)
    assert not wrong and all(consumer.stats["received"] for consumer in consumers)


def test_the_control_words_stay_shared(directory):
    """A private page of control words would never show another frame."""
    producer = shmflow.Producer("t", 640, 480, "BGR", depth=4)
    consumer = shmflow.Consumer("t")
    with pytest.raises(shmflow.Timeout):
        consumer.recv(0.01)  # a futex of the kernel's, on the ring
    producer.write(np.zeros((480, 640, 3), np.uint8))
    frame = consumer.recv(30)
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if "shmflow.t.ring" in line]
    kinds = sorted({line[1] for line in maps})
    assert kinds == ["r--s", "rw-p", "rw-s"], "the consumer's control words, its frames, and the producer's ring"
    assert frame.seq == 1
