"""Video frames between processes on one Linux machine, without copying them, as numpy arrays.

    import shmflow

    for frame in shmflow.Consumer("video", latest=True):
        print(frame.seq, frame.array.shape)

    producer = shmflow.Producer("video", width=640, height=480, format="BGR", fps=30)
    with producer.frame() as array:
        array[:] = 0

The topics are those of the GStreamer elements ``shmflowsink`` and ``shmflowsrc``; GStreamer itself is not needed.
"""

from ._planes import Planes
from ._shmflow import (
    CancelToken,
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
    Cancelled,
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
    TopicTimeout,
    WouldCopy,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._camera import Camera
    from ._transform import transform
    from ._wait import Synchronized, synchronized, wait

__all__ = [
    "Busy",
    "Camera",
    "CancelToken",
    "Cancelled",
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
    "Synchronized",
    "SystemFailure",
    "Timeout",
    "TooLarge",
    "TopicNotFound",
    "TopicTimeout",
    "WouldCopy",
    "__version__",
    "gc",
    "inspect",
    "remove",
    "synchronized",
    "topics",
    "transform",
    "wait",
]

# Loaded when they are asked for, with what they need of the standard library.
_LATER = {
    "Camera": "_camera",
    "Synchronized": "_wait",
    "synchronized": "_wait",
    "transform": "_transform",
    "wait": "_wait",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f".{_LATER[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
