"""Several topics at a time."""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ._shmflow import Consumer
from .errors import Ended, FormatError, InvalidArgument, Timeout

if TYPE_CHECKING:
    from ._shmflow import Frame


def wait(consumers: Iterable[Consumer], timeout: float | None = None) -> list[Consumer]:
    """Those of several consumers that have something: a frame, the end of the stream, an error. Receive with ``recv(0)``.

    Waits until there is one, at most ``timeout`` seconds: then the list is empty.
    """
    consumers = list(consumers)
    end = None if timeout is None else time.monotonic() + timeout
    if not consumers:
        raise InvalidArgument("wait() needs at least one consumer")
    poller = select.poll()
    for consumer in consumers:
        poller.register(consumer.fileno(), select.POLLIN)
    while True:
        # A descriptor may be readable without reason; this puts that right.
        found = [consumer for consumer in consumers if consumer._is_ready()]
        left = None if end is None else end - time.monotonic()
        if found or (left is not None and left <= 0):
            return found
        poller.poll(None if left is None else left * 1000)


class Synchronized:
    """Frames of several topics that were taken at the same moment: see :func:`synchronized`."""

    def __init__(
        self,
        topics: Mapping[str, str | Consumer],
        tolerance: float,
        timeout: float | None,
        settings: dict[str, Any],
    ) -> None:
        if len(topics) < 2:
            raise InvalidArgument("synchronized() needs at least two topics")
        if not tolerance >= 0:
            raise InvalidArgument(f"tolerance={tolerance}: it must be a number of seconds, not below 0")
        self._tolerance = int(tolerance * 1e9)
        self._timeout = timeout
        self._own: list[Consumer] = []
        self._consumers: dict[str, Consumer] = {}
        self._waiting: dict[str, deque[Frame]] = {name: deque() for name in topics}
        self._ended: set[str] = set()
        # Topic and clock of the first frame.
        self._clock: tuple[str, str] | None = None
        self.lost: dict[str, int] = dict.fromkeys(topics, 0)
        try:
            for name, topic in topics.items():
                if isinstance(topic, str):
                    topic = Consumer(topic, **settings)  # noqa: PLW2901
                    self._own.append(topic)
                self._consumers[name] = topic
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the consumers that this has opened."""
        for consumer in self._own:
            consumer.close()

    def __enter__(self) -> Synchronized:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[dict[str, Frame]]:
        return self

    def __next__(self) -> dict[str, Frame]:
        end = None if self._timeout is None else time.monotonic() + self._timeout
        while True:
            found = self._match()
            if found is not None:
                return found
            # Whoever has no frame at hand and gets none any more ends it: no set can be whole.
            lacking = [name for name, frames in self._waiting.items() if not frames]
            if any(name in self._ended for name in lacking):
                raise StopIteration
            left = None if end is None else max(0.0, end - time.monotonic())
            ready = wait([self._consumers[name] for name in lacking], left)
            if not ready:
                raise Timeout(
                    f"timed out: no set of frames within {self._timeout} seconds; {', '.join(lacking)} has none"
                )
            for name in lacking:
                if self._consumers[name] in ready:
                    self._take(name)

    def _take(self, name: str) -> None:
        try:
            frame = self._consumers[name].recv(0)
        except Timeout:
            return
        except Ended:
            self._ended.add(name)
            return
        topic = self._consumers[name].topic
        if frame.capture_time is None:
            raise FormatError(f"frame {frame.seq} of topic `{topic}` does not say when it was captured")
        if self._clock is None:
            self._clock = topic, frame.clock
        if frame.clock != self._clock[1]:
            # They would never meet.
            raise FormatError(
                f"topic `{topic}` has capture times on the clock {frame.clock!r}, and topic `{self._clock[0]}` on "
                f"{self._clock[1]!r}; have both producers use the same clock"
            )
        self.lost[name] += frame.lost_before
        self._waiting[name].append(frame)

    def _match(self) -> dict[str, Frame] | None:
        """A set of the oldest frames at hand, if they belong together; those that can belong to none are left out."""
        while all(self._waiting.values()):
            heads = {name: frames[0] for name, frames in self._waiting.items()}
            newest = max(frame.capture_time or 0 for frame in heads.values())
            stale = [name for name, frame in heads.items() if (frame.capture_time or 0) < newest - self._tolerance]
            if not stale:
                return {name: frames.popleft() for name, frames in self._waiting.items()}
            for name in stale:
                self._waiting[name].popleft()
                self.lost[name] += 1
        return None


def synchronized(
    topics: Mapping[str, str | Consumer], tolerance: float = 0.01, timeout: float | None = None, **settings: Any
) -> Synchronized:
    """Frames of several topics that were captured at the same moment, within ``tolerance`` seconds: iterate over it.

    ``topics`` are names of topics, or consumers, by the names that each set, a dictionary, is to have. Frames without a partner
    are left out, and counted in ``lost``, as are those that a consumer has lost. All clocks must be the same, as they are on
    one machine. ``timeout`` is the longest wait for a set; ``settings`` are those of ``Consumer``.
    """
    return Synchronized(topics, tolerance, timeout, settings)
