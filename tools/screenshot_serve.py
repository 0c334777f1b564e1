"""Publishes three topics, opens the page of `shmflow serve` in Chromium, and saves what it shows.

Usage: screenshot_serve.py SHMFLOW FOLDER; the pictures are FOLDER/serve.png and FOLDER/serve-topic.png. The directory of the
topics is $SHMFLOW_DIR.
"""

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import shmflow
from browser import Browser

# Of all topics, and of one.
SIZES = ((1280, 470), (1280, 965))
# So long the lines over time grow before the picture is taken.
SECONDS = 60


def background(height: int, width: int, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> np.ndarray:
    """From one colour to another, as a wall in the light of a lamp."""
    rows = np.linspace(0, 1, height)[:, None, None]
    shade = np.array(top) * (1 - rows) + np.array(bottom) * rows
    columns = 1 - 0.35 * np.abs(np.linspace(-1, 1, width))[None, :, None]
    return (shade * columns).astype(np.uint8)


def parcel(picture: np.ndarray, place: tuple[int, int, int, int], colour: tuple[int, int, int]) -> None:
    """A box with a lid, a side in the shade, and a label."""
    (x, y, width, height), tone = place, np.array(colour)
    left, right = max(x, 0), min(x + width, picture.shape[1])
    if left >= right:
        return
    picture[y : y + height, left:right] = tone
    picture[y : y + height // 7, left:right] = np.minimum(tone * 1.25, 255)
    picture[y : y + height, max(x + width * 4 // 5, 0) : right] = tone * 0.7
    picture[y + height // 2 : y + height * 3 // 4, max(x + width // 8, 0) : max(x + width // 2, 0)] = (236, 238, 240)


class Belt(threading.Thread):
    """A conveyor with parcels, and what a detector would say of them."""

    KINDS = (
        ("parcel", (70, 130, 190)),
        ("crate", (90, 160, 80)),
        ("parcel", (60, 110, 170)),
        ("bottle", (150, 120, 60)),
    )

    def __init__(self, topic: str, fps: int, stop: threading.Event, height: int = 720) -> None:
        super().__init__(daemon=True)
        self.topic, self.fps, self.stop, self.height = topic, fps, stop, height

    def run(self) -> None:
        width, height = self.height * 16 // 9, self.height
        empty = background(height, width, (96, 88, 80), (58, 50, 44))
        belt = height * 7 // 10
        empty[belt : belt + height // 9] = (38, 36, 34)
        empty[belt : belt + 6] = (120, 116, 110)
        with shmflow.Producer(self.topic, width=width, height=height, format="BGR", fps=self.fps) as producer:
            start = time.monotonic()
            for number in range(1 << 30):
                if self.stop.is_set():
                    return
                time.sleep(max(0.0, start + number / self.fps - time.monotonic()))
                moved = int(number * 240 / self.fps) % (width // 2)
                picture = empty.copy()
                picture[belt + height // 30 : belt + height // 12, moved % 64 :: 64] = (66, 63, 60)
                found = []
                for at, (label, colour) in enumerate(self.KINDS):
                    size = height * (34, 26, 22, 40)[at] // 100
                    wide = size * (12, 14, 11, 5)[at] // 10
                    x = (at * width * 28 // 100 + moved) % (width * 112 // 100) - width // 10
                    parcel(picture, (x, belt - size, wide, size), colour)
                    left, right = max(x, 0), min(x + wide, width)
                    if right - left > 24:
                        score = (0.97, 0.91, 0.88, 0.79)[at]
                        box = {"x": left, "y": belt - size, "width": right - left, "height": size}
                        found.append({"label": label, "score": score, **box})
                with producer.frame(metadata={"detections": found, "relations": []}) as frame:
                    frame[:] = picture


class Waves(threading.Thread):
    """What a thermal or a depth camera shows: smooth values."""

    def __init__(self, topic: str, format: str, fps: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.topic, self.format, self.fps, self.stop = topic, format, fps, stop

    def run(self) -> None:
        y, x = np.mgrid[0:480, 0:640] / 100
        with shmflow.Producer(self.topic, width=640, height=480, format=self.format, fps=self.fps) as producer:
            start = time.monotonic()
            for number in range(1 << 30):
                if self.stop.is_set():
                    return
                time.sleep(max(0.0, start + number / self.fps - time.monotonic()))
                at = number / self.fps
                value = (
                    0.5 + 0.25 * np.sin(x + at) * np.cos(y - at / 2) + 0.25 * np.exp(-((x - 3.2) ** 2 + (y - 2.4) ** 2))
                )
                with producer.frame() as frame:
                    if self.format == "GRAY8":
                        frame[:] = value * 255
                    else:
                        parts = [np.clip(4 * value - 2, 0, 1), np.sin(np.pi * value), np.clip(2 - 4 * value, 0, 1)]
                        frame[:] = np.stack(parts, axis=2) * 220


def record(topic: str) -> None:
    """Takes every frame; now and then it is busy for so long that some are lost."""
    for number, _ in enumerate(shmflow.Consumer(topic, name="recorder")):
        if number % 200 == 199:
            time.sleep(0.45)


def main() -> None:
    command, folder = sys.argv[1], Path(sys.argv[2])
    stop = threading.Event()
    topics = [
        Belt("line/belt", 30, stop),
        Waves("line/heat", "BGR", 9, stop),
        Waves("line/depth", "GRAY8", 15, stop),
    ]
    for topic in topics:
        topic.start()
    serve = subprocess.Popen([command, "serve", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    browser = None
    try:
        url = serve.stdout.readline().strip()
        browser = Browser(folder / "profile")
        browser.resize(SIZES[0])
        browser.call("Page.navigate", url=url)
        browser.wait("document.querySelectorAll('.card .shown').length === 3")
        threading.Thread(target=record, args=("line/belt",), daemon=True).start()
        time.sleep(SECONDS)
        browser.save(folder / "serve.png")
        browser.resize(SIZES[1])
        # By a click, as a person does: the keyboard's mark is not shown then.
        browser.call("Runtime.evaluate", expression="document.querySelector('.card').click()")
        browser.wait("document.querySelector('#detail .shown') !== null && document.querySelectorAll('tr').length > 3")
        browser.call("Runtime.evaluate", expression="document.activeElement.blur()")
        time.sleep(2)
        browser.save(folder / "serve-topic.png")
    finally:
        stop.set()
        serve.terminate()
        if browser:
            browser.close()
        for topic in topics:
            topic.join(5)


if __name__ == "__main__":
    main()
