"""Hides a region of a stream's pictures, and goes on without a break if it is slow or crashes.

    gst-launch-1.0 videotestsrc is-live=true ! shmflowsink topic=camera
    python transform.py camera hidden
    gst-launch-1.0 shmflowsrc topic=hidden ! videoconvert ! autovideosink

A frame that is not ready within the deadline passes on as it came. So the picture never stops; for a region that nobody may
see, let the function run in the plain loop instead.
"""

import sys

import numpy as np
import shmflow

# The middle of so many parts of width and height.
PARTS = 3
BLOCK = 16


def pixelate(frame: shmflow.Frame) -> tuple[np.ndarray, dict]:
    """Runs in a process of its own."""
    picture = frame.bgr()
    height, width = picture.shape[:2]
    top, left = height // PARTS, width // PARTS
    region = picture[top : 2 * top, left : 2 * left]
    coarse = region[::BLOCK, ::BLOCK].repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
    region[:] = coarse[: region.shape[0], : region.shape[1]]
    box = {"kind": "hidden", "x": left, "y": top, "width": region.shape[1], "height": region.shape[0]}
    return picture, {"regions": [box]}


def main() -> None:
    print(shmflow.transform(sys.argv[1], sys.argv[2], pixelate, deadline=0.05, format="BGR"))


# The process of the function imports this file.
if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
