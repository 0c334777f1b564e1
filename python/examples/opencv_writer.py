"""Frames of OpenCV into a topic: a film, a camera, or a moving circle.

python opencv_writer.py camera                    a circle, until Ctrl-C
python opencv_writer.py camera --source film.mp4  or 0 for the first camera
gst-launch-1.0 shmflowsrc topic=camera ! videoconvert ! autovideosink
"""

import argparse
import time

import cv2
import shmflow

WIDTH, HEIGHT, FPS = 640, 480, 30


def draw(topic: str, frames: int | None) -> None:
    number = 0
    with shmflow.Producer(topic, WIDTH, HEIGHT, "BGR", FPS) as producer:
        start = time.monotonic()
        while frames is None or number < frames:
            # OpenCV draws straight into shared memory.
            with producer.frame(pts=number * 1_000_000_000 // FPS) as picture:
                picture[:] = 32
                centre = (40 + number * 5 % (WIDTH - 80), HEIGHT // 2)
                cv2.circle(picture, centre, 30, (0, 200, 255), cv2.FILLED)
            number += 1
            time.sleep(max(0.0, start + number / FPS - time.monotonic()))


def play(topic: str, source: str, frames: int | None) -> None:
    film = cv2.VideoCapture(int(source) if source.isdigit() else source)
    if not film.isOpened():
        raise SystemExit(f"{source} cannot be opened")
    width, height = int(film.get(cv2.CAP_PROP_FRAME_WIDTH)), int(film.get(cv2.CAP_PROP_FRAME_HEIGHT))
    number = 0
    with shmflow.Producer(topic, width, height, "BGR", film.get(cv2.CAP_PROP_FPS) or None) as producer:
        while frames is None or number < frames:
            good, picture = film.read()
            if not good:
                break
            producer.write(picture)
            number += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic")
    parser.add_argument("--source", help="a film, an address, or the number of a camera")
    parser.add_argument("--frames", type=int, help="how many; default: all there are")
    options = parser.parse_args()
    if options.source is None:
        draw(options.topic, options.frames)
    else:
        play(options.topic, options.source, options.frames)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
