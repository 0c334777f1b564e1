"""Video frames between processes on one Linux machine, without copying them, as numpy arrays.

    import shmflow

    for frame in shmflow.Consumer("video"):
        print(frame.seq, frame.array.shape)

    producer = shmflow.Producer("video", width=640, height=480, format="BGR", fps=30)
    with producer.frame() as array:
        array[:] = 0

The topics are those of the GStreamer elements ``shmflowsink`` and ``shmflowsrc``; GStreamer itself is not needed.
"""

from ._planes import Planes
from ._shmflow import (
    Consumer,
    Frame,
    FrameWriter,
    Mapping,
    Producer,
    __version__,
    gc,
    inspect,
    remove,
    topics,
)
from .errors import (
    Busy,
    Closed,
    Corrupt,
    Ended,
    ForkedError,
    FormatError,
    Full,
    InUse,
    InvalidArgument,
    MetadataError,
    NoProducer,
    NoSlot,
    NoSpace,
    PermissionDenied,
    Removed,
    ShmflowError,
    Standby,
    SystemFailure,
    Timeout,
    TooLarge,
    TopicNotFound,
    WouldCopy,
)

__all__ = [
    "Busy",
    "Closed",
    "Consumer",
    "Corrupt",
    "Ended",
    "ForkedError",
    "FormatError",
    "Frame",
    "FrameWriter",
    "Full",
    "InUse",
    "InvalidArgument",
    "Mapping",
    "MetadataError",
    "NoProducer",
    "NoSlot",
    "NoSpace",
    "PermissionDenied",
    "Planes",
    "Producer",
    "Removed",
    "ShmflowError",
    "Standby",
    "SystemFailure",
    "Timeout",
    "TooLarge",
    "TopicNotFound",
    "WouldCopy",
    "__version__",
    "gc",
    "inspect",
    "remove",
    "topics",
]
