"""CPU of a consumer for each frame of 1080p that it receives and converts to BGR: shmflow, and what people use instead.

Every producer is a process that writes 30 NV12 pictures a second; every consumer is a process of its own, whose CPU time,
user and system, is divided by the frames that it received.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from multiprocessing import resource_tracker, shared_memory
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, FPS = 1920, 1080, 30
SIZE = WIDTH * HEIGHT * 3 // 2
SLOTS = 8
BGR = "video/x-raw,format=BGR"
CAPS = f"video/x-raw,format=NV12,width={WIDTH},height={HEIGHT},framerate={FPS}/1"


def paced(seconds: float) -> Iterator[int]:
    start, number = time.monotonic(), 0
    while time.monotonic() < start + seconds:
        yield number
        number += 1
        time.sleep(max(0, start + number / FPS - time.monotonic()))


# A hand-made ring: the number of the newest picture, whether there is a reader, then the slots. Its reader looks again each millisecond, copies (the
# writer may come round meanwhile), and looks whether it did.
def write_by_hand(name: str, seconds: float) -> None:
    import numpy as np

    memory = shared_memory.SharedMemory(name, create=True, size=16 + SLOTS * SIZE)
    count = np.ndarray(2, np.uint64, memory.buf)
    slots = np.ndarray((SLOTS, SIZE), np.uint8, memory.buf, 16)
    picture = np.zeros(SIZE, np.uint8)
    while not count[1]:
        time.sleep(0.01)
    for number in paced(seconds):
        slots[number % SLOTS] = picture
        count[0] = number + 1
    count[0] = 2**64 - 1
    del count, slots
    memory.close()
    memory.unlink()


def read_by_hand(name: str) -> Iterator[Any]:
    import numpy as np

    memory = attached(name)
    count = np.ndarray(2, np.uint64, memory.buf)
    slots = np.ndarray((SLOTS, SIZE), np.uint8, memory.buf, 16)
    seen, count[1] = 0, 1
    while (newest := int(count[0])) != 2**64 - 1:
        if newest == seen:
            time.sleep(0.001)
            continue
        picture = slots[(newest - 1) % SLOTS].copy()
        if int(count[0]) - newest < SLOTS - 1:
            seen = newest
            yield picture
    del count, slots
    memory.close()


def attached(name: str) -> shared_memory.SharedMemory:
    while True:
        try:
            memory = shared_memory.SharedMemory(name)
            # It is the writer's to remove.
            resource_tracker.unregister(memory._name, "shared_memory")
            return memory
        except (FileNotFoundError, ValueError):
            time.sleep(0.01)


def by_hand_name(directory: str) -> str:
    return "-".join(Path(directory).parts[-2:])


def by_hand(directory: str) -> Iterator[object]:
    import cv2

    for picture in read_by_hand(by_hand_name(directory)):
        yield cv2.cvtColor(picture.reshape(HEIGHT * 3 // 2, WIDTH), cv2.COLOR_YUV2BGR_NV12)


def by_shmflow(directory: str) -> Iterator[object]:
    import numpy as np
    import shmflow

    out = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    for frame in shmflow.Consumer("compare", directory=directory):
        yield frame.bgr(out)


async def by_shmflow_in_asyncio(directory: str) -> AsyncIterator[object]:
    import numpy as np
    import shmflow

    out = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    async for frame in shmflow.Consumer("compare", directory=directory):
        yield frame.bgr(out)


def by_capture(pipeline: str) -> Iterator[object]:
    import cv2

    while not (capture := cv2.VideoCapture(f"{pipeline} ! appsink", cv2.CAP_GSTREAMER)).isOpened():
        time.sleep(0.2)
    while (read := capture.read())[0]:
        yield read


def by_shmsrc(directory: str) -> Iterator[object]:
    return by_capture(f"shmsrc socket-path={directory}/socket is-live=true ! {CAPS} ! videoconvert ! {BGR}")


def by_capture_of_a_topic(directory: str) -> Iterator[object]:
    return by_capture(f"shmflowsrc topic=compare on-disconnect=eos ! videoconvert ! {BGR}")


def write_topic(directory: str, seconds: float) -> None:
    import numpy as np
    import shmflow

    picture = np.zeros(SIZE, np.uint8)
    with shmflow.Producer("compare", WIDTH, HEIGHT, "NV12", FPS, directory=directory) as producer:
        while not producer.consumer_count:
            time.sleep(0.01)
        for _ in paced(seconds):
            producer.write(picture)


def write_shmsink(directory: str, seconds: float) -> None:
    pipeline = (
        f"videotestsrc pattern=black is-live=true num-buffers={int(seconds * FPS)} ! {CAPS} ! "
        # Room for what comes before the reader plays: shmsink stops for good when its area was full once.
        f"shmsink socket-path={directory}/socket wait-for-connection=true shm-size={8 * SLOTS * SIZE}"
    )
    # It ends with an error of its own, when the reader has left.
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.execvp("gst-launch-1.0", ["gst-launch-1.0", "-q", *pipeline.split()])


def write_ring_by_hand(directory: str, seconds: float) -> None:
    write_by_hand(by_hand_name(directory), seconds)


Reader = Callable[[str], Iterator[object] | AsyncIterator[object]]
WAYS: dict[str, tuple[str, Callable[[str, float], None], Reader]] = {
    "shmflow": ("shmflow, frame.bgr(out)", write_topic, by_shmflow),
    "async": ("the same in an async for", write_topic, by_shmflow_in_asyncio),
    "hand": ("a ring by hand, multiprocessing.shared_memory, and cv2.cvtColor", write_ring_by_hand, by_hand),
    "shmsrc": ("cv2.VideoCapture of shmsrc", write_shmsink, by_shmsrc),
    "capture": ("cv2.VideoCapture of shmflowsrc", write_topic, by_capture_of_a_topic),
}


ROUNDS = 5


def rows(directory: str, seconds: float) -> Iterator[str]:
    """Rows of a table: the median of several rounds, in which the ways take turns, and their spread. What needs OpenCV or GStreamer
    and does not find it says so."""
    results: dict[str, list[tuple[int, float]]] = {name: [] for name in WAYS}
    for number in range(ROUNDS):
        for name, found in results.items():
            place = Path(directory, f"{name}-{number}")
            place.mkdir()
            found.extend(once(name, place, seconds / 2))
    plainly = statistics.median(milliseconds for _, milliseconds in results["shmflow"] or [(0, 1.0)])
    for name, found in results.items():
        what = f"{WAYS[name][0]}, 1080p NV12 at {FPS} fps"
        if len(found) < ROUNDS:
            yield f"| {what} | not measured: frames came in {len(found)} of {ROUNDS} rounds | | |"
            continue
        times = [milliseconds for _, milliseconds in found]
        spread = f"{min(times):.2f} to {max(times):.2f} ms, {min(count for count, _ in found)} frames or more each time"
        target = f"{statistics.median(times) / plainly:.2f} of the plain loop, < 1.2" if name == "async" else ""
        yield f"| {what} | {statistics.median(times):.2f} ms of CPU a frame | {spread} | {target} |"


def once(name: str, directory: Path, seconds: float) -> list[tuple[int, float]]:
    """Frames received, and milliseconds of CPU for each; nothing if none came."""
    environment = os.environ | {"SHMFLOW_DIR": str(directory)}
    command = [sys.executable, __file__, name, str(directory), str(seconds)]
    writer = subprocess.Popen([*command, "write"], env=environment)
    try:
        reader = subprocess.run(
            [*command, "read"], env=environment, capture_output=True, text=True, timeout=seconds + 30
        )
        received, milliseconds = reader.stdout.split()[-2:]
        return [(int(received), float(milliseconds))]
    except (ValueError, subprocess.TimeoutExpired):
        return []
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            writer.wait(5)
        writer.kill()
        writer.wait()
        # shmsink leaves its memory behind.
        for left in Path("/dev/shm").glob(f"shmpipe.{writer.pid:5}.*"):
            left.unlink()


def main() -> None:
    name, directory, seconds, role = sys.argv[1:]
    _, write, read = WAYS[name]
    if role == "write":
        write(directory, float(seconds))
        return
    frames = read(directory)
    received, seconds = asyncio.run(spent(frames)) if isinstance(frames, AsyncIterator) else spend(frames)
    print(received, f"{1000 * seconds / received:.3f}")


# What is loaded for the first frame is not counted.
def spend(frames: Iterator[object]) -> tuple[int, float]:
    next(frames)
    before, received = cpu(), 0
    for _ in frames:
        received += 1
    return received, cpu() - before


async def spent(frames: AsyncIterator[object]) -> tuple[int, float]:
    await anext(frames)
    before, received = cpu(), 0
    async for _ in frames:
        received += 1
    return received, cpu() - before


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
