"""What the modules for frameworks share: a frame as an array that any of them takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .errors import InvalidArgument

if TYPE_CHECKING:
    from ._shmflow import Frame


def arranged(frame: Frame, layout: Literal["HWC", "CHW"]) -> Any:
    """A view of the picture with three dimensions in this order; of bytes, the bytes."""
    if layout not in ("HWC", "CHW"):
        raise InvalidArgument(f'layout must be "HWC" or "CHW", not {layout!r}')
    array = frame.array
    if frame.format is None:
        return array
    if array.ndim == 2:
        array = array[..., np.newaxis]
    return array.transpose(2, 0, 1) if layout == "CHW" else array


def owned(view: Any) -> Any:
    """A copy in the order of its dimensions and of this machine's bytes, which can be written."""
    return np.array(view, dtype=view.dtype.newbyteorder("="), order="C", copy=True)
