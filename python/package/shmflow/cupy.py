"""Frames as CuPy arrays, on the GPU. CuPy itself must be installed.

    import shmflow.cupy

    array = shmflow.cupy.array(frame, layout="CHW")

The copy goes through a buffer of the driver's. To copy from the ring itself, register ``frame.mapping`` with it: see
``python/examples/gpu_upload.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import cupy as _cupy

from ._tensors import arranged, owned

if TYPE_CHECKING:
    from ._shmflow import Frame

__all__ = ["array"]


def array(frame: Frame, *, layout: Literal["HWC", "CHW"] = "HWC", dtype: Any = None) -> Any:
    """The picture as an array of the current device: rows x columns x channels, or, with ``layout="CHW"``, channels x rows x
    columns. Always a copy.

    Raises ``FormatError`` for formats without a single array (use ``frame.rgb()``).
    """
    view = arranged(frame, layout)
    # Uploaded as it lies where that is one piece, and put in order there.
    host = frame.array if frame.array.flags.c_contiguous and frame.array.dtype.isnative else owned(frame.array)
    device = _cupy.asarray(host).reshape(host.shape + (1,) * (view.ndim - host.ndim))
    if layout == "CHW" and view.ndim == 3:
        device = device.transpose(2, 0, 1)
    return _cupy.ascontiguousarray(device if dtype is None else device.astype(dtype))
