"""Frames as PyTorch tensors.

    import shmflow.torch

    batch = shmflow.torch.tensor(frame, layout="CHW", dtype=torch.float32).div_(255)[None]

PyTorch itself must be installed (Debian: python3-torch).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import torch as _torch

from ._tensors import arranged, owned
from .errors import FormatError

if TYPE_CHECKING:
    from ._shmflow import Frame

__all__ = ["tensor"]


def tensor(
    frame: Frame, *, copy: bool = True, layout: Literal["HWC", "CHW"] = "HWC", dtype: _torch.dtype | None = None
) -> _torch.Tensor:
    """The picture as a tensor of rows x columns x channels, or, with ``layout="CHW"``, channels x rows x columns; gray ones
    have one channel. Frames that are no picture are a row of bytes.

    With ``copy=True`` it is yours. With ``copy=False`` it is the frame's own memory and holds the slot as long as it lives: do not
    write to it. PyTorch has no read-only tensors, so an in-place operation changes this frame for this process (no other
    process sees it). ``dtype`` converts the numbers as they are, without scaling, which is a copy.

    Raises ``FormatError`` for formats without a single array (use ``frame.rgb()``), and for ``copy=False`` where a copy is needed.
    """
    view = arranged(frame, layout)
    converts = dtype is not None and dtype != _dtype_of(view)
    if copy or converts:
        if not copy:
            raise FormatError(f"a tensor of {dtype} over a frame of {view.dtype} needs a copy: use copy=True")
        return _copied(view, dtype)
    if any(stride < 0 for stride in view.strides) or not view.dtype.isnative or _dtype_of(view) is None:
        raise FormatError(
            f"PyTorch has no tensor over a frame of {view.dtype} with strides of {view.strides} bytes: use copy=True, with a dtype "
            "that it knows"
        )
    return _shared(view)


def _copied(view: Any, dtype: _torch.dtype | None) -> _torch.Tensor:
    if _dtype_of(view) is not None or dtype is None:
        # One pass over the memory, and one more where numbers change.
        copied = _torch.from_numpy(owned(view))
        return copied if dtype is None else copied.to(dtype)
    # Numbers that this PyTorch does not know (uint16 before 2.3): by way of the next larger type.
    return _torch.from_numpy(owned(view.astype("int64"))).to(dtype)


def _dtype_of(view: Any) -> _torch.dtype | None:
    """PyTorch's name of an array's type."""
    found = getattr(_torch, view.dtype.newbyteorder("=").name, None)
    return found if isinstance(found, _torch.dtype) else None


def _shared(view: Any) -> _torch.Tensor:
    with warnings.catch_warnings():
        # That it must not be written is said above.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        return _torch.from_numpy(view)
