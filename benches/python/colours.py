"""`Frame.bgr` beside OpenCV's own conversion of the same picture, in turns: 1080p, milliseconds of CPU."""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import shmflow

WIDTH, HEIGHT, ROUNDS = 1920, 1080, 41


def milliseconds(work: Callable[[], object]) -> float:
    before = time.process_time_ns()
    work()
    return (time.process_time_ns() - before) / 1e6


def compare(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float, float]:
    """Medians of both, and of their ratio within a round."""
    pairs = [(milliseconds(ours), milliseconds(theirs)) for _ in range(ROUNDS)][1:]
    ratio = statistics.median(one / other for one, other in pairs)
    return statistics.median(one for one, _ in pairs), statistics.median(other for _, other in pairs), ratio


def rows(directory: str) -> Iterator[str]:
    """Rows of a table, if OpenCV is installed."""
    try:
        import cv2
    except ImportError:
        return
    numbers = np.random.default_rng(1)
    out, small = np.empty((HEIGHT, WIDTH, 3), np.uint8), np.empty((360, 640, 3), np.uint8)
    for name in ("NV12", "I420", "YUY2", "BGRx"):
        with shmflow.Producer(name, WIDTH, HEIGHT, name, 30, directory=directory) as producer:
            consumer = shmflow.Consumer(name, directory=directory)
            data = numbers.integers(0, 256, producer.frame_size, np.uint8)
            producer.write(data)
            frame = consumer.recv(10)
            theirs = _opencv(cv2, name, data)
            for what, ours, other in (
                ("bgr()", frame.bgr, theirs),
                ("bgr(out)", lambda frame=frame: frame.bgr(out), lambda theirs=theirs: theirs(out)),
            ):
                mine, its, ratio = compare(ours, other)
                yield f"| {name}: frame.{what}, 1080p | {mine:.2f} ms | OpenCV {its:.2f} ms | {ratio:.2f} times, < 1.2 |"
            mine, its, ratio = compare(
                lambda frame=frame: frame.bgr(small, size=(640, 360)),
                lambda theirs=theirs: cv2.resize(theirs(out), (640, 360), small, interpolation=cv2.INTER_AREA),
            )
            yield f"| {name}: frame.bgr(out, size=(640, 360)) | {mine:.2f} ms | OpenCV {its:.2f} ms | {ratio:.2f} times |"
            del frame


def _opencv(cv2: Any, name: str, data: Any) -> Callable[..., Any]:
    """OpenCV's conversion of the same bytes, which it gets in the shape that it takes."""
    shape = {"YUY2": (HEIGHT, WIDTH, 2), "BGRx": (HEIGHT, WIDTH, 4)}.get(name, (HEIGHT * 3 // 2, WIDTH))
    code = getattr(cv2, "COLOR_BGRA2BGR" if name == "BGRx" else f"COLOR_YUV2BGR_{name}")
    array = data.reshape(shape)
    return lambda out=None: cv2.cvtColor(array, code, out)
