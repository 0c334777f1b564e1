"""A topic in a program that knows nothing of shmflow: OpenCV's own VideoCapture, through GStreamer.

    python opencv_writer.py camera
    python video_capture.py camera

It needs an OpenCV that was built with GStreamer (Debian's is, those of PyPI are not), and a GStreamer that finds the
plugin (make install, or GST_PLUGIN_PATH).
"""

import sys

import cv2


def main() -> None:
    topic = sys.argv[1]
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else None
    capture = cv2.VideoCapture(f"shmflowsrc topic={topic} ! videoconvert ! appsink", cv2.CAP_GSTREAMER)
    if not capture.isOpened():
        raise SystemExit("the pipeline does not start; has this OpenCV GStreamer? See cv2.getBuildInformation()")
    print("open", int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), flush=True)
    number = 0
    while frames is None or number < frames:
        good, picture = capture.read()
        if not good:
            break
        number += 1
        print(number, picture.shape, int(picture.sum()), flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
