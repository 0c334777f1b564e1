"""A topic where a program has cv2.VideoCapture: the newest picture, in BGR, of the size that is wanted. OpenCV is not needed.

gst-launch-1.0 videotestsrc is-live=true ! shmflowsink topic=camera
python camera.py camera --size 320 240
"""

import argparse

import shmflow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic")
    parser.add_argument("--size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--frames", type=int, help="end after so many")
    options = parser.parse_args()
    with shmflow.Camera(options.topic) as camera:
        if options.size:
            camera.set(3, options.size[0])  # cv2.CAP_PROP_FRAME_WIDTH
            camera.set(4, options.size[1])  # cv2.CAP_PROP_FRAME_HEIGHT
        for number, picture in enumerate(camera, 1):
            # A writable picture of one's own: draw on it, or give it to a model.
            print(camera.frame.seq, picture.shape, "mean of blue, green, red:", picture.mean(axis=(0, 1)).round(1))
            if number == options.frames:
                break


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
