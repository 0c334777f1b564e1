"""A detector: finds what is bright, and sends each frame on with its findings. GStreamer (1.24 or newer) draws the boxes.

gst-launch-1.0 videotestsrc is-live=true pattern=ball ! shmflowsink topic=camera
python blob_detector.py camera camera/found
gst-launch-1.0 shmflowsrc topic=camera/found ! videoconvert ! objectdetectionoverlay ! videoconvert ! autovideosink

Put a model in the place of `blobs`, and this is an object detector. The frames are sent on as they are, in whatever raw format.
"""

import argparse

import numpy as np
import shmflow

# Pixels are looked at in squares of so many rows and columns.
SQUARE = 8


def brightness(frame: shmflow.Frame) -> np.ndarray:
    """Rows of brightnesses: those of the format, where they are in memory, or else of each pixel's brightest colour."""
    pixels = frame.planes.get("y")
    if pixels is None:
        pixels = frame.array
    if pixels.ndim == 3:
        channels = frame.format or ""
        pixels = pixels[..., [n for n in range(pixels.shape[2]) if channels[n] in "YRGB"]].max(axis=2)
    return pixels


def blobs(gray: np.ndarray, least: int) -> list[dict[str, object]]:
    """What is at least so bright, in boxes. The score is how much of its box is."""
    bright = gray >= least
    squares = np.logical_or.reduceat(bright, range(0, bright.shape[0], SQUARE), axis=0)
    squares = np.logical_or.reduceat(squares, range(0, bright.shape[1], SQUARE), axis=1)
    left = set(zip(*np.nonzero(squares), strict=True))
    found: list[dict[str, object]] = []
    while left:
        # Squares that touch belong together.
        group = [left.pop()]
        for row, column in group:
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            group += near
        rows, columns = np.array(group).T
        top, side = int(rows.min()) * SQUARE, int(columns.min()) * SQUARE
        part = bright[top : (int(rows.max()) + 1) * SQUARE, side : (int(columns.max()) + 1) * SQUARE]
        y, x = np.nonzero(part)
        box = part[y.min() : y.max() + 1, x.min() : x.max() + 1]
        place = {"x": side + int(x.min()), "y": top + int(y.min()), "width": box.shape[1], "height": box.shape[0]}
        found.append({"label": "blob", "score": float(box.mean()), **place})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic")
    parser.add_argument("result")
    parser.add_argument("--least", type=int, default=200, help="how bright a blob is (200)")
    parser.add_argument("--verbose", action="store_true", help="print what is found")
    options = parser.parse_args()
    producer = None
    for frame in shmflow.Consumer(options.topic):
        if producer is None or producer.caps != frame.caps:
            producer = shmflow.Producer(options.result, caps=frame.caps)
        found = blobs(brightness(frame), options.least)
        metadata = {**frame.metadata, "detections": found, "relations": []}
        producer.write(frame, pts=frame.pts, capture_time=frame.capture_time, metadata=metadata)
        if options.verbose:
            print(frame.seq, found, flush=True)
    if producer is not None:
        producer.end()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
