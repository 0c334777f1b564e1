"""What can go wrong. Every message says what happened, to which topic, and what to do about it."""

__all__ = [
    "Busy",
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
    "WouldCopy",
]


class ShmflowError(Exception):
    """Every error of this package that is not about a wrong argument type."""


class TopicNotFound(ShmflowError, FileNotFoundError):
    """There is no such topic, and it was not to be waited for. ``errno`` is ``ENOENT``."""


class Timeout(ShmflowError, TimeoutError):
    """Nothing came within the time given. ``errno`` is ``ETIMEDOUT``."""


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
    """The object was made before a ``fork`` and belongs to the parent process. Open the topic again in this one."""


class PermissionDenied(ShmflowError, PermissionError):
    """The permissions of the topic's files forbid it, or it belongs to another user. ``errno`` is ``EACCES``."""


class NoSpace(ShmflowError, OSError):
    """There is not enough shared memory. ``needed`` and ``free`` are bytes, ``errno`` is ``ENOSPC``."""

    needed: int
    free: int


class SystemFailure(ShmflowError, OSError):
    """The operating system refused, for a reason that no other class describes; ``errno`` says which."""


class NoSlot(ShmflowError):
    """All slots are being written, read or retained. The frame was dropped."""


class Full(ShmflowError):
    """With ``overflow_policy="drop"``: consumers have not read what is there. The frame was dropped."""


class Standby(ShmflowError):
    """With ``mode="primary"``: another producer is the primary. The frame was dropped."""


class InUse(ShmflowError):
    """Others use the topic in a way that excludes this."""


class Busy(ShmflowError):
    """Somebody has been opening or closing the topic for too long, most likely a stopped process."""


class Corrupt(ShmflowError):
    """The files of the topic hold what no correct program writes, or are of another version."""


class TooLarge(ShmflowError, ValueError):
    """The frame is larger than the topic can ever hold."""


class InvalidArgument(ShmflowError, ValueError):
    """A topic's name or a setting that cannot work, or an array of another shape than the frame."""


class FormatError(ShmflowError, ValueError):
    """The frame's format has no such array or conversion, or does not fit its bytes."""


class MetadataError(ShmflowError, ValueError):
    """The frame's metadata block cannot be understood, or cannot be written."""
