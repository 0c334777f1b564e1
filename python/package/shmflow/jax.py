"""Frames as JAX arrays. JAX itself must be installed.

import shmflow.jax

array = shmflow.jax.array(frame, layout="CHW")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import jax.numpy as _jnp

from ._tensors import arranged, owned

if TYPE_CHECKING:
    from ._shmflow import Frame

__all__ = ["array"]


def array(frame: Frame, *, layout: Literal["HWC", "CHW"] = "HWC", dtype: Any = None) -> Any:
    """The picture as an array of JAX's default device: rows x columns x channels, or, with ``layout="CHW"``, channels x rows x
    columns. Always a copy: JAX takes arrays to be unchangeable for ever, while a frame's slot is used again.

    Raises ``FormatError`` for formats without a single array (use ``frame.rgb()``).
    """
    # JAX may keep the memory that it is given, so that it is given some of its own.
    return _jnp.asarray(owned(arranged(frame, layout)), dtype=dtype)
