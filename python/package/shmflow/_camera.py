"""A topic in the shape of OpenCV's ``cv2.VideoCapture``, always with the newest frame."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ._shmflow import Consumer
from .errors import Ended, InvalidArgument, ShmflowError, Timeout

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Self

    from ._shmflow import Frame

# OpenCV's numbers, so that a program may use cv2's names, and none needs cv2 for them.
CAP_PROP_POS_MSEC = 0
CAP_PROP_POS_FRAMES = 1
CAP_PROP_FRAME_WIDTH = 3
CAP_PROP_FRAME_HEIGHT = 4
CAP_PROP_FPS = 5
CAP_PROP_FOURCC = 6
CAP_PROP_FRAME_COUNT = 7
CAP_PROP_CONVERT_RGB = 16
CAP_PROP_BUFFERSIZE = 38
CAP_PROP_OPEN_TIMEOUT_MSEC = 53
CAP_PROP_READ_TIMEOUT_MSEC = 54

_log = logging.getLogger("shmflow")


class Camera:
    """The newest picture of a topic, as ``cv2.VideoCapture`` gives those of a camera: BGR, writable, your own.

    ``read`` returns ``(True, picture)``, or ``(False, None)`` when no frame came in time or the stream has ended. A producer
    that is started again, and a topic that is made again, are picked up by themselves: just read on.
    """

    def __init__(
        self,
        topic: str | None = None,
        apiPreference: int = 0,
        params: Sequence[int] = (),
        *,
        open_timeout: float = 30.0,
        read_timeout: float = 30.0,
        max_age: float | None = None,
        directory: str | PathLike[str] | None = None,
        name: str | None = None,
        allow_foreign_owner: bool = False,
        read_only: bool = False,
    ) -> None:
        self._open_timeout = open_timeout
        self._read_timeout = read_timeout
        self._settings: dict[str, Any] = {
            "max_age": max_age,
            "directory": directory,
            "name": name,
            "allow_foreign_owner": allow_foreign_owner,
            "read_only": read_only,
        }
        self._topic = ""
        self._consumer: Consumer | None = None
        # What was grabbed, and what was looked at for its size before anything was.
        self._grabbed: Frame | None = None
        self._peeked: Frame | None = None
        self._caps: Frame | None = None
        self._raises = False
        self._converts = True
        self._max_rate: float | None = None
        self._size: list[int] = [0, 0]
        if topic is not None:
            self.open(topic, apiPreference, params)

    def open(self, topic: str, apiPreference: int = 0, params: Sequence[int] = ()) -> bool:
        """Opens a topic, waiting for its producer if need be. Whether it is open; otherwise the reason is logged."""
        if not isinstance(topic, str):
            raise TypeError(
                f'a camera is opened by the name of its topic, not by {topic!r}: shmflow.Camera("camera"), where '
                "a producer is, such as: gst-launch-1.0 v4l2src ! shmflowsink topic=camera"
            )
        if len(params) % 2:
            raise InvalidArgument(f"params={params!r}: it must have pairs of a property and its value")
        self.release()
        self._topic = topic
        for prop, value in zip(params[::2], params[1::2], strict=True):
            self.set(prop, value)
        return self._connect(self._open_timeout)

    def _connect(self, timeout: float) -> bool:
        try:
            self._consumer = Consumer(
                self._topic,
                connect_timeout=timeout,
                latest=True,
                reconnect=True,
                max_rate=self._max_rate,
                **self._settings,
            )
        except ShmflowError as error:
            self._fail(error)
            return False
        return True

    def _fail(self, error: ShmflowError) -> None:
        if self._raises:
            raise error
        _log.warning("%s", error)

    def isOpened(self) -> bool:
        """Whether a topic is open."""
        return self._consumer is not None

    def release(self) -> None:
        """Leaves the topic. The pictures that were read stay."""
        if self._consumer is not None:
            self._consumer.close()
        self._consumer = self._grabbed = self._peeked = self._caps = None

    def grab(self) -> bool:
        """Takes the newest frame that was not taken yet, or waits for the next. Cheap: it is not converted."""
        self._grabbed = self._next()
        return self._grabbed is not None

    def _next(self) -> Frame | None:
        consumer = self._consumer
        if consumer is None:
            return None
        peeked, self._peeked = self._peeked, None
        try:
            frame = consumer.try_recv()
            if frame is None:
                frame = peeked if peeked is not None else consumer.recv(self._read_timeout)
        except (Ended, Timeout) as error:
            # The ends that OpenCV's captures have, too: no reason to raise.
            _log.info("%s", error)
            return None
        except ShmflowError as error:
            if consumer.closed:
                return None  # released by another thread, or by a signal handler
            self._fail(error)
            return None
        self._caps = frame
        return frame

    def retrieve(self, image: NDArray[Any] | None = None, flag: int = 0) -> tuple[bool, NDArray[Any] | None]:
        """The frame that was grabbed, as a picture. Into ``image``, if it has the right shape."""
        frame = self._grabbed
        if frame is None:
            return False, None
        try:
            picture = self._picture(frame, image)
        except ShmflowError as error:
            self._fail(error)
            return False, None
        if image is None or picture is image:
            return True, picture
        if image.shape == picture.shape and image.dtype == picture.dtype:
            image[...] = picture
            picture = image
        return True, picture

    def _picture(self, frame: Frame, image: NDArray[Any] | None) -> NDArray[Any]:
        """In ``image``, if that fits and has no gaps."""
        if not self._converts:
            return frame.array.copy()
        size = (self._size[0], self._size[1]) if all(self._size) else None
        if image is not None:
            try:
                return frame.bgr(image, size=size)
            except InvalidArgument:
                pass  # It does not fit.
        return frame.bgr(size=size)

    def read(self, image: NDArray[Any] | None = None) -> tuple[bool, NDArray[Any] | None]:
        """``grab`` and ``retrieve``."""
        if not self.grab():
            return False, None
        return self.retrieve(image)

    def get(self, propId: int) -> float:
        """A property, by OpenCV's number; 0.0 for those that a topic does not have, and before a topic is open.

        The size and the rate are those of the newest frame; the first question waits for one.
        """
        if propId == CAP_PROP_OPEN_TIMEOUT_MSEC:
            return self._open_timeout * 1000
        if propId == CAP_PROP_READ_TIMEOUT_MSEC:
            return self._read_timeout * 1000
        if self._consumer is None:
            return 0.0
        if propId == CAP_PROP_BUFFERSIZE:
            return 1.0
        if propId == CAP_PROP_CONVERT_RGB:
            return float(self._converts)
        frame = self._described()
        if frame is None:
            return 0.0
        values = {
            CAP_PROP_POS_MSEC: (frame.pts if frame.pts is not None else frame.capture_time or 0) / 1e6,
            CAP_PROP_POS_FRAMES: frame.seq,
            CAP_PROP_FRAME_WIDTH: self._size[0] if all(self._size) else frame.width or 0,
            CAP_PROP_FRAME_HEIGHT: self._size[1] if all(self._size) else frame.height or 0,
            CAP_PROP_FPS: self._max_rate or frame.fps or 0,
            CAP_PROP_FOURCC: int.from_bytes(b"BGR3", "little"),
            # As of a live stream: not known.
            CAP_PROP_FRAME_COUNT: -1,
        }
        return float(values.get(propId, 0))

    def _described(self) -> Frame | None:
        """A frame that tells the format."""
        if self._caps is None:
            self._peeked = self._next()
        return self._caps

    def set(self, propId: int, value: float) -> bool:
        """Sets a property, by OpenCV's number. Whether it has an effect.

        Width and height, once both are set: pictures are resized to that. The rate: at most so many frames a
        second. The time-outs of opening and of reading. Not converting: ``retrieve`` gives ``Frame.array`` as it is.
        """
        if propId in (CAP_PROP_FRAME_WIDTH, CAP_PROP_FRAME_HEIGHT):
            if not 0 < value <= 1 << 15:
                return False
            self._size[propId == CAP_PROP_FRAME_HEIGHT] = int(value)
            return True
        if propId == CAP_PROP_FPS:
            if not value > 0:
                return False
            self._max_rate = value
            consumer = self._consumer
            if consumer is None:
                return True
            # The old one stays if there is no topic just now.
            connected = self._connect(0)
            if connected:
                consumer.close()
            return connected
        if propId == CAP_PROP_OPEN_TIMEOUT_MSEC and value >= 0:
            self._open_timeout = value / 1000
            return True
        if propId == CAP_PROP_READ_TIMEOUT_MSEC and value >= 0:
            self._read_timeout = value / 1000
            return True
        if propId == CAP_PROP_CONVERT_RGB:
            self._converts = bool(value)
            return True
        # There is no queue: the newest frame is what is read.
        return propId == CAP_PROP_BUFFERSIZE and value == 1

    def getBackendName(self) -> str:
        """``"SHMFLOW"``."""
        return "SHMFLOW"

    def setExceptionMode(self, enable: bool) -> None:
        """Whether errors are raised, as ``ShmflowError``, and not only logged. An end or a time-out is none."""
        self._raises = bool(enable)

    def getExceptionMode(self) -> bool:
        """Whether errors are raised."""
        return self._raises

    @property
    def frame(self) -> Frame | None:
        """The frame that was grabbed, with its sequence number, times, detections and all else."""
        return self._grabbed

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._topic

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Pictures, until ``read`` gives none."""
        while True:
            good, picture = self.read()
            if not good or picture is None:
                return
            yield picture

    def __repr__(self) -> str:
        return f"<shmflow.Camera of {self._topic!r}{'' if self.isOpened() else ', not open'}>"
