"""Frames of a topic in OpenCV, whatever their format: shown in a window, or every so manieth saved.

gst-launch-1.0 videotestsrc is-live=true ! shmflowsink topic=camera
python opencv_reader.py camera
python opencv_reader.py camera --save picture-%04d.png --every 30
"""

import argparse

import cv2
import shmflow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic")
    parser.add_argument("--save", help="file name with a place for the frame's number, such as picture-%%04d.png")
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    # A window shows what is new; what is saved is to be complete.
    start, lapped = ("oldest", "oldest") if options.save else ("newest", "newest")
    with shmflow.Consumer(options.topic, start=start, on_lapped=lapped) as consumer:
        for frame in consumer:
            if frame.lost_before:
                print(f"{frame.lost_before} frames lost before {frame.seq}")
            if options.save is None:
                cv2.imshow(options.topic, frame.bgr())
                if cv2.waitKey(1) == ord("q"):
                    break
            elif frame.seq % options.every == 0:
                cv2.imwrite(options.save % frame.seq, frame.bgr())
        print(f"{consumer.stats['received']} frames received, {consumer.stats['lost']} lost")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
