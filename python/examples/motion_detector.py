"""From topic to topic: boxes around what moves. GStreamer makes the pictures and shows the result.

gst-launch-1.0 videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420 ! shmflowsink topic=camera
python motion_detector.py camera camera/motion
gst-launch-1.0 shmflowsrc topic=camera/motion ! videoconvert ! autovideosink
"""

import argparse

import cv2
import numpy as np
import shmflow

LEAST_AREA = 100


def moving(gray: np.ndarray, background: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Boxes, as x, y, width and height, around what differs from the background."""
    difference = cv2.absdiff(gray, cv2.convertScaleAbs(background))
    _, mask = cv2.threshold(difference, 40, 255, cv2.THRESH_BINARY)
    contours = cv2.findContours(cv2.dilate(mask, None, iterations=2), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[-2]
    return [cv2.boundingRect(contour) for contour in contours if cv2.contourArea(contour) >= LEAST_AREA]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic")
    parser.add_argument("result")
    parser.add_argument("--verbose", action="store_true", help="print the boxes")
    options = parser.parse_args()
    producer = background = None
    for frame in shmflow.Consumer(options.topic):
        picture = frame.bgr()
        # The brightness of most formats is a plane of its own, and is read where it lies.
        gray = frame.planes.get("y")
        if gray is None:
            gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        if producer is None or background is None:
            producer = shmflow.Producer(options.result, frame.width, frame.height, "BGR", frame.fps)
            background = gray.astype(np.float32)
        boxes = moving(gray, background)
        cv2.accumulateWeighted(gray, background, 0.05)
        with producer.frame(pts=frame.pts, capture_time=frame.capture_time) as marked:
            np.copyto(marked, picture)
            for x, y, width, height in boxes:
                cv2.rectangle(marked, (x, y), (x + width - 1, y + height - 1), (0, 0, 255), 2)
        if options.verbose:
            print(frame.seq, *boxes, flush=True)
    if producer is not None:
        producer.end()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
