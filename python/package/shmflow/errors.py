"""The exceptions. Every message says what happened, to which topic, and what to do."""

__all__ = [
    "Busy",
    "Cancelled",
    "Closed",
    "Corrupt",
    "Ended",
    "ForkedError",
    "FormatError",
    "Full",
    "InUse",
    "InvalidArgument",
    "MetadataError",
    "NoProducer",
    "NoSlot",
    "NoSpace",
    "PermissionDenied",
    "Removed",
    "ShmflowError",
    "Standby",
    "SystemFailure",
    "Timeout",
    "TooLarge",
    "TopicNotFound",
    "TopicTimeout",
    "WouldCopy",
]


class ShmflowError(Exception):
    """Every error of this package that is not about a wrong argument type."""


class TopicNotFound(ShmflowError, FileNotFoundError):
    """There is no such topic, and ``connect_timeout`` is 0. ``errno`` is ``ENOENT``."""


class Timeout(ShmflowError, TimeoutError):
    """No frame arrived within the timeout; ``TopicTimeout``: no topic. ``errno`` is ``ETIMEDOUT``."""


class TopicTimeout(Timeout, TopicNotFound):
    """There is no such topic, and none was created within ``connect_timeout``. ``errno`` is ``ETIMEDOUT``."""


class Cancelled(ShmflowError):
    """The wait was ended by ``CancelToken.cancel()``."""


class Ended(ShmflowError, EOFError):
    """The stream ended, and every frame of it was read. Iteration ends instead."""


class NoProducer(ShmflowError):
    """With ``report_no_producer=True``: everything was read, and no producer is left that has not ended the stream."""


class WouldCopy(ShmflowError):
    """With ``allow_copies=False``: the next frame could only be copied. It stays where it is until it is overwritten."""


class Removed(ShmflowError):
    """The topic was removed while it was in use: open it again."""


class Closed(ShmflowError, ValueError):
    """The consumer or producer was closed, or the frame released."""


class ForkedError(ShmflowError, RuntimeError):
    """The object was created before a ``fork`` and belongs to the parent process. Open the topic again in this one."""


class PermissionDenied(ShmflowError, PermissionError):
    """The permissions of the topic's files forbid it, or it belongs to another user. ``errno`` is ``EACCES``."""


class NoSpace(ShmflowError, OSError):
    """There is not enough shared memory. ``needed`` and ``free`` are bytes, ``errno`` is ``ENOSPC``."""

    needed: int
    free: int


class SystemFailure(ShmflowError, OSError):
    """Any other error of the operating system, as in ``errno``."""


class NoSlot(ShmflowError):
    """All slots are being written, read or retained. The frame was dropped."""


class Full(ShmflowError):
    """With ``overflow_policy="drop"``: the ring is full of unread frames. The frame was dropped."""


class Standby(ShmflowError):
    """With ``mode="primary"``: another producer is the primary. The frame was dropped."""


class InUse(ShmflowError):
    """Another participant uses the topic in a way that excludes this operation."""


class Busy(ShmflowError):
    """Another process has been opening or closing the topic for too long; it is probably stopped."""


class Corrupt(ShmflowError):
    """The files of the topic are corrupt, or have another layout version."""


class TooLarge(ShmflowError, ValueError):
    """The frame is larger than the topic can ever hold."""


class InvalidArgument(ShmflowError, ValueError):
    """An invalid topic name or setting, or an array of another shape than the frame."""


class FormatError(ShmflowError, ValueError):
    """The frame's format has no such array or conversion, or does not fit its bytes."""


class MetadataError(ShmflowError, ValueError):
    """The frame's metadata block cannot be decoded, or cannot be encoded."""
