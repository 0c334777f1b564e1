"""A frame as a PNG, for notebooks: no library but numpy."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ShmflowError

if TYPE_CHECKING:
    from ._shmflow import Frame

# Where red, green and blue are in packed formats.
_CHANNELS = {
    "RGB": (0, 1, 2),
    "BGR": (2, 1, 0),
    "RGBx": (0, 1, 2),
    "RGBA": (0, 1, 2),
    "BGRx": (2, 1, 0),
    "BGRA": (2, 1, 0),
    "xRGB": (1, 2, 3),
    "ARGB": (1, 2, 3),
    "xBGR": (3, 2, 1),
    "ABGR": (3, 2, 1),
}
# A preview: every n-th pixel of larger pictures.
_WIDEST = 1280


def of_frame(frame: Frame) -> bytes | None:
    """None for what is no picture that can be shown."""
    try:
        pixels = _pixels(frame)
    except (ShmflowError, ImportError):
        return None
    if pixels is None or 0 in pixels.shape:
        return None
    step = -(-pixels.shape[1] // _WIDEST)
    return encode(np.ascontiguousarray(pixels[::step, ::step]))


def _pixels(frame: Frame) -> Any:
    if frame.format is None:
        return None
    if frame.format == "GRAY8":
        return frame.array
    channels = _CHANNELS.get(frame.format)
    return frame.rgb() if channels is None else frame.array[..., channels]


def encode(pixels: Any) -> bytes:
    """A PNG of rows x columns (gray) or rows x columns x 3 (RGB) of uint8."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    # Each row begins with its filter: the difference to the row above, which packs better than the pixels themselves.
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    color = 2 if pixels.ndim == 3 else 0
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
