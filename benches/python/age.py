"""How old the frames are that a slow consumer acts on, by the way it reads: run by hand, after `tools/install-python.sh`.

Usage: age.py [seconds for each way]. A producer at 60 frames a second in a process of its own; the consumer needs 20 ms for each
frame, a little more than there is.
"""

import statistics
import subprocess
import sys
import tempfile
import time

import shmflow

WRITER = """
import shmflow, sys, time
producer = shmflow.Producer("age", 640, 480, "BGR", 60, directory=sys.argv[1], depth=16)
start, number = time.monotonic(), 0
while True:
    with producer.frame() as array:
        array[0] = number % 256
    number += 1
    time.sleep(max(0, start + number / 60 - time.monotonic()))
"""
BUSY = 0.020


def newest_by_hand(consumer: shmflow.Consumer) -> shmflow.Frame:
    consumer.skip_to_newest()
    return consumer.recv()


WAYS = {
    "the plain loop": ({}, shmflow.Consumer.recv),
    'on_lapped="newest"': ({"on_lapped": "newest"}, shmflow.Consumer.recv),
    "skip_to_newest() before each recv()": ({}, newest_by_hand),
    "latest=True": ({"latest": True}, shmflow.Consumer.recv),
}


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="shmflow-age-") as directory:
        writer = subprocess.Popen([sys.executable, "-c", WRITER, directory])
        try:
            print("| way | median age | 90th percentile |\n|---|---|---|")
            for way, (settings, receive) in WAYS.items():
                consumer = shmflow.Consumer("age", directory=directory, **settings)
                ages, end = [], time.monotonic() + seconds
                while time.monotonic() < end:
                    frame = receive(consumer)
                    ages.append((time.monotonic_ns() - frame.capture_time) / 1e6)
                    time.sleep(BUSY)
                steady = ages[len(ages) // 3 :]
                tenths = statistics.quantiles(steady, n=10)
                print(f"| {way} | {statistics.median(steady):.1f} ms | {tenths[-1]:.1f} ms |")
                consumer.close()
        finally:
            writer.kill()
            writer.wait()


if __name__ == "__main__":
    main()
