"""Draws the detections and regions of interest that hang on a topic's frames, for a GStreamer without `objectdetectionoverlay`.

python draw_boxes.py camera/found camera/drawn
gst-launch-1.0 shmflowsrc topic=camera/drawn ! videoconvert ! autovideosink
"""

import argparse

import numpy as np
import shmflow

RED = (0, 0, 255)


def outline(picture: np.ndarray, box: dict[str, int]) -> None:
    """A red frame of two pixels just within a box, or what of it is in the picture."""
    left, right = (max(side, 0) for side in (box["x"], box["x"] + box["width"]))
    top, bottom = (max(side, 0) for side in (box["y"], box["y"] + box["height"]))
    picture[top : top + 2, left:right] = RED
    picture[max(bottom - 2, 0) : bottom, left:right] = RED
    picture[top:bottom, left : left + 2] = RED
    picture[top:bottom, max(right - 2, 0) : right] = RED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic")
    parser.add_argument("result")
    options = parser.parse_args()
    producer = None
    for frame in shmflow.Consumer(options.topic):
        picture = frame.bgr()
        if producer is None or producer.shape != picture.shape:
            producer = shmflow.Producer(options.result, frame.width, frame.height, "BGR", frame.fps)
        # GStreamer 1.22 passes detections on as regions.
        for one in [*frame.detections, *frame.regions]:
            if "width" in one:
                outline(picture, one)
        producer.write(picture, pts=frame.pts, capture_time=frame.capture_time)
    if producer is not None:
        producer.end()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
