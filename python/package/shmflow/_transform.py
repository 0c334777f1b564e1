"""From one topic to another, through a function that may be slow, hang or crash: the picture goes on.

Two processes: this one passes frames on and runs no code of the user's; the *worker* runs the function. The worker reads the
topic itself, always the newest frame, and publishes what it made on a topic of its own, so that its death in the middle of
anything, or a stop, leaves nothing half-done: that is what the ring is for.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from fractions import Fraction
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

from ._shmflow import CancelToken, Consumer, Producer
from ._wait import wait
from .errors import (
    Cancelled,
    Closed,
    Ended,
    InvalidArgument,
    MetadataError,
    Removed,
    ShmflowError,
    Timeout,
    TopicNotFound,
)

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from ._shmflow import Frame

_log = logging.getLogger("shmflow")

# The worker's note beside what it made: an extension on its own topic, which goes no further.
_NOTE = 0xFFFE
# What a function may add to a frame's metadata.
_ADDS = frozenset(
    "regions detections relations time_codes captions reference_timestamps active_formats audio_levels custom_metas tags "
    "extensions".split()
)
# The worker looks so often whether its parent lives.
_LOOK = 0.5
# And the relay whether a source that was removed has been made again.
_PAUSE = 0.05
# From a crash to the next attempt, in seconds; twice as long each time that nothing came of it.
_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0

# What a function returns: nothing, a picture, metadata, or both.
Result = Any
Transformation = Callable[["Frame"], Result]


class _Note(NamedTuple):
    """What the worker says: of a frame, or (without one) that it is there and what it does."""

    frame: tuple[int, int | None, int | None] | None = None
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    adds: bool = False
    error: str | None = None
    busy: bool = False
    pid: int = 0

    def encoded(self) -> bytes:
        return json.dumps(self).encode()

    @classmethod
    def decoded(cls, data: bytes) -> _Note:
        frame, shape, *rest = json.loads(data)
        return cls(frame and tuple(frame), shape and tuple(shape), *rest)


def _name(frame: Frame) -> tuple[int, int | None, int | None]:
    """A frame among those of a topic, and of one that was made again under its name."""
    try:
        return frame.seq, frame.capture_time, frame.pts
    except MetadataError:
        return frame.seq, None, None


def transform(
    source: str,
    target: str,
    function: Transformation,
    *,
    deadline: float = 0.1,
    format: str | None = None,
    restart_after: float = 10.0,
    start_method: str | None = None,
    cancel_token: CancelToken | None = None,
    directory: str | PathLike[str] | None = None,
    connect_timeout: float | None = None,
    **settings: Any,
) -> dict[str, int]:
    """Has ``function`` change or annotate the frames of the topic ``source``, and publishes them on the topic ``target``.

    ``function(frame)`` returns a picture of the same size; or metadata to add, as a dictionary such as
    ``{"detections": [...]}``; or both, as a tuple; or None for neither. It runs in a process of its own. A frame for which it
    has not returned ``deadline`` seconds after the frame arrived passes on as it came, as do all while that process is not
    there: it is started again when it dies, and when it takes longer than ``restart_after`` seconds for one frame.

    ``format`` ("BGR", "RGB") is what is published, if that is to be another than what comes, also of frames that pass on. Runs
    until the stream ends, or ``cancel_token`` is cancelled, and returns how many frames were ``transformed`` and ``passed`` on,
    of those were ``late``, and how often the worker was ``restarted``. ``settings`` are those of the producer.
    """
    if not deadline > 0:
        raise InvalidArgument(f"deadline={deadline}: it must be a number of seconds above 0")
    if format not in (None, "BGR", "RGB"):
        raise InvalidArgument(f'format={format!r}: it must be "BGR", "RGB" or None, for that of the source')
    if source == target:
        raise InvalidArgument(f"source and target are the same topic, `{source}`")
    token = CancelToken() if cancel_token is None else cancel_token
    with Consumer(
        source,
        connect_timeout=connect_timeout,
        directory=directory,
        reconnect=True,
        cancel_token=token,
        name="transform",
    ) as consumer:
        worker = _Worker(
            function=function,
            source=source,
            topic=f"{target}/worker",
            directory=directory,
            start_method=start_method,
            restart_after=restart_after,
        )
        relay = _Relay(
            consumer=consumer,
            worker=worker,
            target=target,
            deadline=deadline,
            format=format,
            directory=directory,
            settings=settings,
        )
        try:
            relay.run(token)
        finally:
            worker.stop()
            relay.close()
        return relay.counts


class _Pending(NamedTuple):
    frame: Frame
    deadline: float


class _Relay:
    """Passes frames on, with or without what the worker made of them, in their order."""

    def __init__(
        self,
        *,
        consumer: Consumer,
        worker: _Worker,
        target: str,
        deadline: float,
        format: str | None,
        directory: str | PathLike[str] | None,
        settings: dict[str, Any],
    ) -> None:
        self._consumer = consumer
        self._worker = worker
        self._target = target
        self._deadline = deadline
        self._format = format
        self._settings = {"directory": directory, **settings}
        self._producer: Producer | None = None
        self._described: tuple[Any, ...] | None = None
        self._pending: deque[_Pending] = deque()
        self._told: set[str] = set()
        self.counts = {"transformed": 0, "passed": 0, "late": 0, "restarted": 0}

    def run(self, token: CancelToken) -> None:
        while not token.cancelled:
            # First what a worker that died had finished.
            self._take_results()
            self.counts["restarted"] = self._worker.look()
            if not self._worker.is_there:
                self._pass(len(self._pending))
            left = self._pending[0].deadline - time.monotonic() if self._pending else _LOOK
            try:
                ready = wait([self._consumer, self._worker.results], min(max(left, 0.0), _LOOK))
                self._take_results()
                if self._consumer in ready:
                    # A frame, or the end.
                    self._take(self._consumer.recv(0))
            except (Timeout, TopicNotFound):
                # The source was removed, which it tells of each time that it is asked. One that is made again is followed.
                wait([self._worker.results], min(max(left, 0.0), _PAUSE))
            except (Cancelled, Closed):
                break
            except Ended:
                self._finish()
                return
            self._pass_late()
        self._pass(len(self._pending))

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close()

    def _take(self, frame: Frame) -> None:
        # Without a worker there is nothing to wait for.
        wait_for = self._deadline if self._worker.is_there else 0.0
        self._pending.append(_Pending(frame, time.monotonic() + wait_for))

    def _finish(self) -> None:
        """The stream ended: what is still in work has its time."""
        while self._pending and self._worker.is_there:
            left = self._pending[0].deadline - time.monotonic()
            if left <= 0:
                self._pass_late()
            else:
                wait([self._worker.results], min(left, _LOOK))
                self._take_results()
                self._worker.look()
        self._pass(len(self._pending))
        if self._producer is not None:
            self._producer.end()

    def _pass_late(self) -> None:
        now = time.monotonic()
        count = sum(1 for pending in self._pending if pending.deadline <= now)
        if count and self._worker.is_there:
            self.counts["late"] += count
        self._pass(count)

    def _pass(self, count: int) -> None:
        """The oldest frames go on as they came."""
        for _ in range(count):
            self._pass_on(self._pending.popleft().frame)

    def _take_results(self) -> None:
        while True:
            result = self._worker.receive()
            if result is None:
                return
            note, made = result
            if note.error is not None:
                self._tell(note.error)
            position = self._position(note)
            if position is None:
                continue  # too late: it has gone on
            # Those before it the worker has left out.
            self._pass(position)
            frame = self._pending.popleft().frame
            if note.error is not None:
                self._pass_on(frame)
            else:
                self._publish_result(frame, note, made)

    def _position(self, note: _Note) -> int | None:
        """Where the frame is that the worker has finished; None if it has gone on."""
        while True:
            for position, pending in enumerate(self._pending):
                if _name(pending.frame) == note.frame:
                    return position
            # The worker may have been faster than we, who have not even taken it.
            frame = self._consumer.try_recv()
            if frame is None:
                return None
            self._take(frame)

    def _publish_result(self, frame: Frame, note: _Note, made: Frame) -> None:
        try:
            metadata = frame.metadata
            if note.adds:
                metadata = _merged(metadata, made.metadata)
            if note.shape is None:
                data: Any = self._original(frame)
            elif note.dtype is None:
                data = bytes(made)
            else:
                import numpy as np

                data = np.frombuffer(memoryview(made), np.dtype(note.dtype)).reshape(note.shape)
            self._write(frame, data, metadata)
            self.counts["transformed"] += 1
        except (ShmflowError, TypeError, ValueError) as error:
            # What does not fit is the function's mistake, and costs nobody the picture.
            self._tell(f"what the function made of frame {frame.seq} cannot be published: {error}")
            self._pass_on(frame)

    def _original(self, frame: Frame) -> Any:
        if self._format is None or self._format == frame.format or frame.format is None:
            return frame
        return frame.bgr() if self._format == "BGR" else frame.rgb()

    def _pass_on(self, frame: Frame) -> None:
        """As it came. What cannot be read, or not be converted, is told and left out: others follow."""
        try:
            self._write(frame, self._original(frame), frame.metadata)
            self.counts["passed"] += 1
        except ShmflowError as error:
            self._tell(f"frame {frame.seq} of topic `{self._consumer.topic}` cannot be passed on: {error}")

    def _write(self, frame: Frame, data: Any, metadata: dict[str, Any] | None) -> None:
        try:
            self._open(frame).write(data, metadata=metadata)
        except Removed:
            # By somebody who wanted it gone for a moment.
            self.close()
            self._producer = None
            self._open(frame).write(data, metadata=metadata)

    def _open(self, frame: Frame) -> Producer:
        """The producer for frames like this one."""
        described = (frame.caps, frame.format, frame.width, frame.height)
        if self._producer is None or described != self._described:
            converts = self._format is not None and frame.format is not None and self._format != frame.format
            if converts:
                fps = frame.fps if frame.fps else Fraction(0)
                what: dict[str, Any] = {
                    "width": frame.width,
                    "height": frame.height,
                    "format": self._format,
                    "fps": fps or None,
                }
            else:
                what = {"caps": frame.caps}
            # First the new one, so that the topic never lacks a producer.
            new = Producer(self._target, name="transform", **what, **self._settings)
            if self._producer is not None:
                self._producer.close()
            self._producer, self._described = new, described
        return self._producer

    def _tell(self, text: str) -> None:
        """Each text once: it may be the same for every frame."""
        key = "".join(letter for letter in text if not letter.isdigit())
        if key not in self._told and len(self._told) < 100:
            self._told.add(key)
            _log.warning("%s", text)


class _Worker:
    """The process that runs the function, and what comes of it."""

    def __init__(
        self,
        *,
        function: Transformation,
        source: str,
        topic: str,
        directory: str | PathLike[str] | None,
        start_method: str | None,
        restart_after: float,
    ) -> None:
        method = start_method or ("spawn" if _can_be_spawned(function) else "fork")
        self._context = multiprocessing.get_context(method)
        self._arguments = (function, source, topic, directory)
        self._restart_after = restart_after
        self._process: BaseProcess | None = None
        self._pause = _SHORTEST_PAUSE
        self._next_start = 0.0
        self._restarts = -1
        # Since when the worker has been busy with a frame.
        self._busy_since: float | None = None
        # Its topic has a producer of this process, too, which writes nothing, so that it outlives every worker.
        self._keeper = Producer(topic, directory=directory, name="transform")
        self.results = Consumer(topic, directory=directory, name="transform", delivery="latest", on_lapped="newest")
        # Whether it can be expected to make something.
        self.is_there = False

    def look(self) -> int:
        """Starts the worker, again if it is dead or hangs. How often it was started again."""
        now = time.monotonic()
        process = self._process
        if process is not None and process.is_alive():
            if self._busy_since is None or now - self._busy_since <= self._restart_after:
                return self._restarts
            _log.warning("the worker takes longer than %s s for a frame, and is started again", self._restart_after)
            process.kill()
            # However it ends, it is not waited for: it may not even be killed at once.
        elif process is not None:
            _log.warning("the worker has ended (%s), and is started again", _how(process.exitcode))
        if process is not None:
            self._process, self._busy_since, self.is_there = None, None, False
            self._next_start = now + self._pause
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        if now >= self._next_start:
            self._start()
        return self._restarts

    def _start(self) -> None:
        process = self._context.Process(target=_work, args=self._arguments, daemon=True)  # type: ignore[attr-defined]
        try:
            process.start()
        except OSError as error:
            if self._restarts < 0:
                raise
            _log.warning("the worker cannot be started: %s", error)
            self._next_start = time.monotonic() + _LONGEST_PAUSE
            return
        self._process = process
        self._restarts += 1

    def receive(self) -> tuple[_Note, Frame] | None:
        """What it made of a frame, if there is something."""
        while (made := self.results.try_recv()) is not None:
            note = _note(made)
            if self._process is not None and note.pid == self._process.pid:
                self.is_there = True
                self._busy_since = time.monotonic() if note.busy else None
            if note.frame is not None:
                self._pause = _SHORTEST_PAUSE
                return note, made
        return None

    def stop(self) -> None:
        if self._process is not None and self._process.is_alive():
            self._process.kill()
            self._process.join(1)
        self.results.close()
        self._keeper.close()


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"
    return f"exit status {code}"


def _can_be_spawned(function: Transformation) -> bool:
    """Whether a new interpreter finds the function: not that of a notebook, of ``python -c``, or one made within another."""
    main = sys.modules.get("__main__")
    if getattr(function, "__module__", None) == "__main__" and not getattr(main, "__file__", None):
        return False
    try:
        pickle.dumps(function)
    except Exception:
        return False
    return True


def _note(made: Frame) -> _Note:
    for kind, data in reversed((made.metadata or {}).get("extensions", ())):
        if kind == _NOTE:
            return _Note.decoded(data)
    return _Note()


def _merged(metadata: dict[str, Any] | None, added: dict[str, Any] | None) -> dict[str, Any]:
    """A frame's metadata, where what was added takes the place of what is of its kind."""
    new = [extension for extension in (added or {}).get("extensions", ()) if extension[0] != _NOTE]
    kinds = {kind for kind, _ in new}
    old = [extension for extension in (metadata or {}).get("extensions", ()) if extension[0] not in kinds]
    return {**(metadata or {}), "extensions": [*old, *new]}


def _work(function: Transformation, source: str, topic: str, directory: str | PathLike[str] | None) -> None:
    """The worker's life: it ends with its parent."""
    # Either may be late or missing: that of a fork server is another process, and a fork keeps the pipe open by which is_alive() tells.
    parent, above = multiprocessing.parent_process(), os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    consumer = Consumer(source, directory=directory, latest=True, reconnect=True, name="transform worker")
    producer = Producer(topic, directory=directory, name="transform worker")

    def say(note: _Note, payload: Any = b"", metadata: Mapping[str, Any] | None = None) -> None:
        added = dict(metadata or {})
        note = note._replace(pid=os.getpid())
        producer.write(
            payload, metadata={**added, "extensions": [*added.get("extensions", ()), (_NOTE, note.encoded())]}
        )

    say(_Note())
    while os.getppid() == above and (parent is None or parent.is_alive()):
        try:
            frame = consumer.recv(_LOOK)
        except (Timeout, Ended):
            continue  # it may go on
        name = _name(frame)
        say(_Note(busy=True))
        try:
            payload, note, metadata = _made(name, function(frame))
            say(note, payload, metadata)
        except Exception as error:
            text = "".join(traceback.format_exception_only(type(error), error)).strip()
            say(_Note(name, error=f"the function for topic `{topic}` raised {text}"))
        del frame


def _made(name: tuple[int, int | None, int | None], result: Result) -> tuple[Any, _Note, Mapping[str, Any] | None]:
    picture, metadata = result if isinstance(result, tuple) else (result, None)
    if isinstance(picture, Mapping):
        picture, metadata = None, picture
    unknown = sorted(set(metadata or ()) - _ADDS)
    if unknown:
        raise InvalidArgument(
            f"a function may add {', '.join(sorted(_ADDS))} to a frame, not {', '.join(map(str, unknown))}"
        )
    adds = bool(metadata)
    if picture is None:
        return b"", _Note(name, adds=adds), metadata
    if isinstance(picture, bytes | bytearray | memoryview):
        return picture, _Note(name, (len(picture),), adds=adds), metadata
    import numpy as np

    array = np.ascontiguousarray(picture)
    return array.reshape(-1).view(np.uint8), _Note(name, array.shape, array.dtype.str, adds), metadata
