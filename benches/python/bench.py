"""What Python pays for a frame: run by `make python-bench`, which installs the package first.

CPU time is that of this process alone, user and system. The loop at 4K60 is fed by another process.
"""

import ctypes
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import colours
import compare
import shmflow

ROUNDS = 101
DEPTH = 32
SIZES = {"64x64": (64, 64), "1080p": (1920, 1080), "4K": (3840, 2160)}


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def receiving(directory: str, width: int, height: int, touch: str) -> list[float]:
    """Microseconds of CPU for each frame, in rounds: the ring is filled, then read without waiting."""
    topic = f"{width}x{height}-{touch.replace(' ', '-')}"
    producer = shmflow.Producer(topic, width, height, "BGR", 60, depth=DEPTH, directory=directory)
    consumer = shmflow.Consumer(topic, directory=directory)
    results = []
    for _ in range(ROUNDS):
        for _ in range(DEPTH):
            # Published without a look at its pixels.
            with producer.frame():
                pass
        before = time.process_time_ns()
        for _ in range(DEPTH):
            frame = consumer.try_recv()
            if touch == "array":
                _ = frame.array
            elif touch == "read":
                frame.array.reshape(-1)[::4096].sum()
            elif touch == "one page":
                ctypes.memset(frame.array.ctypes.data, 1, 1)
            elif touch == "all of it":
                ctypes.memset(frame.array.ctypes.data, 1, len(frame))
        results.append((time.process_time_ns() - before) / DEPTH / 1000)
        frame = _ = None
    stats = consumer.stats
    assert stats["copied"] == stats["lost"] == stats["leases"] == 0 and stats["received"] == ROUNDS * DEPTH
    return results


def capsules(directory: str, arguments: dict[str, Any]) -> list[float]:
    """Microseconds for a DLPack capsule, made and dropped."""
    width, height = SIZES["1080p"]
    with shmflow.Producer("capsules", width, height, "BGR", directory=directory) as producer:
        consumer = shmflow.Consumer("capsules", directory=directory)
        with producer.frame():
            pass
        frame = consumer.recv()
        count = 1000 if "max_version" in arguments else 20

        def once() -> float:
            start = time.perf_counter()
            for _ in range(count):
                frame.__dlpack__(**arguments)
            return 1e6 * (time.perf_counter() - start) / count

        return [once() for _ in range(15)]


WRITER = """
import shmflow, sys, time
directory, seconds = sys.argv[1], float(sys.argv[2])
with shmflow.Producer("4k60", 3840, 2160, "BGR", 60, directory=directory) as producer:
    while not producer.consumer_count:
        time.sleep(0.01)
    start, number = time.monotonic(), 0
    while time.monotonic() < start + seconds:
        with producer.frame() as array:
            array[number % 2160] = number % 256
        number += 1
        time.sleep(max(0, start + number / 60 - time.monotonic()))
"""


def loop(directory: str, seconds: float) -> tuple[float, int, int, int]:
    """Percent of a core for `for frame in Consumer` at 4K60; frames received, lost, copied."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, directory, str(seconds)])
    consumer = shmflow.Consumer("4k60", directory=directory)
    first = next(consumer)
    before, start = cpu(), time.monotonic()
    received = 0
    for frame in consumer:
        received += frame.seq > first.seq
    spent, passed = cpu() - before, time.monotonic() - start
    writer.wait()
    return (
        100 * spent / passed,
        received,
        consumer.stats["lost"],
        consumer.stats["copied"],
    )


PACED = """
import shmflow, sys, time
producer = shmflow.Producer(sys.argv[2], 1920, 1080, "BGR", 60, directory=sys.argv[1], depth=16)
start, number = time.monotonic(), 0
while True:
    with producer.frame() as array:
        array[number % 1080] = number % 256
    number += 1
    time.sleep(max(0, start + number / 60 - time.monotonic()))
"""


def plain(consumer: shmflow.Consumer, end: float) -> int:
    count = 0
    for _ in consumer:
        count += 1
        if time.monotonic() > end:
            break
    return count


def awaited(consumer: shmflow.Consumer, end: float) -> int:
    async def main() -> int:
        count = 0
        async for _ in consumer:
            count += 1
            if time.monotonic() > end:
                break
        return count

    import asyncio

    return asyncio.run(main())


TICKER = """
import os, sys, time
start, number = time.monotonic(), 0
while True:
    os.eventfd_write(int(sys.argv[1]), 1)
    number += 1
    time.sleep(max(0, start + number / 60 - time.monotonic()))
"""


def bare(_: shmflow.Consumer, end: float) -> int:
    """The least that asyncio takes: a task that awaits a future, which the callback of a descriptor resolves that another process
    makes readable 60 times a second."""
    import asyncio

    async def main() -> int:
        loop, count = asyncio.get_running_loop(), 0
        tick = loop.create_future()
        descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

        def ready() -> None:
            os.eventfd_read(descriptor)
            if not tick.done():
                tick.set_result(None)

        ticker = subprocess.Popen([sys.executable, "-c", TICKER, str(descriptor)], pass_fds=[descriptor])
        try:
            loop.add_reader(descriptor, ready)
            while time.monotonic() < end:
                await tick
                tick = loop.create_future()
                count += 1
        finally:
            loop.remove_reader(descriptor)
            ticker.kill()
            ticker.wait()
            os.close(descriptor)
        return count

    return asyncio.run(main())


def paced(directory: str, seconds: float) -> dict[str, list[tuple[float, float]]]:
    """Percent of a core for loops over 1080p60, in turns, and the microseconds that each frame (or tick) took."""
    ways = {
        "for frame in Consumer": (plain, {}),
        "async for frame in Consumer": (awaited, {}),
        "for frame in Consumer(max_rate=5)": (plain, {"max_rate": 5}),
        "asyncio alone, a future for each event of an eventfd": (bare, {}),
    }
    results: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    writer = subprocess.Popen([sys.executable, "-c", PACED, directory, "paced"])
    try:
        for _ in range(5):
            for way, (read, settings) in ways.items():
                with shmflow.Consumer("paced", directory=directory, start="next", **settings) as consumer:
                    read(consumer, time.monotonic() + 0.2)  # warm
                    before, start = cpu(), time.monotonic()
                    count = read(consumer, start + seconds)
                    spent = cpu() - before
                    results[way].append((100 * spent / (time.monotonic() - start), 1e6 * spent / count))
    finally:
        writer.kill()
        writer.wait()
    return results


def iterating(consumer: shmflow.Consumer) -> int:
    before = time.process_time_ns()
    for _ in consumer:
        pass
    return time.process_time_ns() - before


async def awaiting(consumer: shmflow.Consumer) -> int:
    """Without what the loop takes to start and to end."""
    before = time.process_time_ns()
    async for _ in consumer:
        pass
    return time.process_time_ns() - before


def waiting(directory: str, way: str) -> list[float]:
    """Microseconds of CPU for each of many frames that are there already, in a loop."""
    producer = shmflow.Producer(f"loop-{way}", directory=directory, depth=1000, slot_capacity=64)
    results = []
    import asyncio

    for _ in range(21):
        consumer = shmflow.Consumer(f"loop-{way}", directory=directory, start="next")
        for _ in range(1000):
            producer.write(b"x")
        producer.end()
        spent = asyncio.run(awaiting(consumer)) if way == "async" else iterating(consumer)
        results.append(spent / 1_000_000)
        consumer.close()
    return results


def importing(module: str) -> list[float]:
    """Milliseconds that an import takes, as the interpreter itself says (-X importtime)."""

    def once() -> float:
        command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
        last = next(line for line in reversed(said.splitlines()) if line.split("|")[-1].strip() == module)
        return int(last.split("|")[1]) / 1000

    return [once() for _ in range(15)]


def starting(code: str) -> list[float]:
    """Milliseconds from the start of an interpreter to its end."""

    def once() -> float:
        start = time.monotonic()
        subprocess.run([sys.executable, "-c", code], check=True)
        return 1000 * (time.monotonic() - start)

    return [once() for _ in range(15)]


def show(what: str, values: list[float], unit: str, target: str) -> None:
    middle = statistics.median(values)
    print(f"| {what} | {middle:.2f} {unit} | {min(values):.2f} to {max(values):.2f} | {target} |")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    wheels = sorted(Path(__file__).resolve().parents[2].glob("target/wheels/shmflow-*.whl"))
    print("| what | median | spread | target |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="shmflow-bench-") as directory:
        for name, (width, height) in SIZES.items():
            show(
                f"CPU to receive a frame, {name}",
                receiving(directory, width, height, "none"),
                "µs",
                "< 15 µs",
            )
        import numpy  # noqa: F401 (not to be measured)

        for name, (width, height) in SIZES.items():
            show(
                f"the same with frame.array, {name}",
                receiving(directory, width, height, "array"),
                "µs",
                "",
            )
        for name, (width, height) in SIZES.items():
            for touch in ("read", "one page", "all of it"):
                what = "a look at each page" if touch == "read" else f"a stray write to {touch}"
                show(f"the same with {what}, {name}", receiving(directory, width, height, touch), "µs", "")
        for what, arguments in (("a tensor over the frame", {"max_version": (1, 0)}), ("a copy, 1080p", {})):
            show(f"__dlpack__, {what}", capsules(directory, arguments), "µs", "< 2 µs" if arguments else "")
        percent, received, lost, copied = loop(directory, seconds)
        said = f"{received} received, {lost} lost, {copied} copied"
        print(f"| for frame in Consumer, 4K60 | {percent:.2f} % of a core | {said} | < 2 % |")
        print(f"| the same for each frame, waiting included | {10_000 * percent / 60:.1f} µs | | |")
        for row in (*colours.rows(directory), *compare.rows(directory, seconds)):
            print(row)
        for way in ("plain", "async"):
            show(f"CPU for each of 1000 frames that wait, {way} for", waiting(directory, way), "µs", "")
        found = paced(directory, seconds)
        plainly = statistics.median(percent for percent, _ in found["for frame in Consumer"])
        targets = {"async for": "< 120 %", "for frame in Consumer(": "< 20 %"}
        for way, measured in found.items():
            percents, times = zip(*measured, strict=True)
            percent = statistics.median(percents)
            at = "60 Hz" if way.startswith("asyncio") else "1080p60"
            target = next((text for start, text in targets.items() if way.startswith(start)), "")
            print(
                f"| {way}, {at} | {percent:.2f} % of a core, {100 * percent / plainly:.0f} % of the plain loop; "
                f"{statistics.median(times):.0f} µs a frame | {min(times):.0f} to {max(times):.0f} µs | {target} |"
            )
    show("import shmflow", importing("shmflow"), "ms", "< 50 ms")
    show("import numpy, for comparison", importing("numpy"), "ms", "")
    show("python -c 'import shmflow'", starting("import shmflow"), "ms", "")
    show("python -c 'pass'", starting("pass"), "ms", "")
    for wheel in wheels:
        print(f"| wheel | {wheel.stat().st_size / 1e6:.2f} MB | {wheel.name} | < 3 MB |")


if __name__ == "__main__":
    main()
