"""Finds a mistake with ``Producer.frame``: the name after ``as`` was bound to another picture, so the frame was not written.

It looks at the code of the ``with`` statement, and only when the array that was given out is gone before the block ends.
"""

from __future__ import annotations

import dis
import functools
import sys
from types import CodeType


def rebound(code: CodeType, enters_at: int) -> str | None:
    """The name that the with statement bound to the array, if it refers to another picture now.

    ``enters_at`` is the position of the instruction that entered the block. The caller is the code of the block.
    """
    frame = sys._getframe(1)
    if frame.f_code is not code:
        return None
    name = _name(code, enters_at)
    if name is None:
        return None
    value = frame.f_locals.get(name, frame.f_globals.get(name))
    return name if _is_picture(value) else None


@functools.lru_cache(maxsize=256)
def _name(code: CodeType, enters_at: int) -> str | None:
    """The name in which the array was stored; None if it went elsewhere, or nowhere."""
    for instruction in dis.get_instructions(code):
        if instruction.offset > enters_at and instruction.opname not in ("EXTENDED_ARG", "CACHE"):
            if not instruction.opname.startswith("STORE_") or instruction.opname == "STORE_ATTR":
                return None
            # Newer compilers store one name and use another in one instruction.
            stored = instruction.argval
            name = stored[0] if isinstance(stored, tuple) else stored
            return name if isinstance(name, str) else None
    return None


def _is_picture(value: object) -> bool:
    """Not None or a number: a name may be used for something else once the picture is written."""
    if isinstance(value, (bytes, bytearray, memoryview, list, tuple, dict)):
        return True
    return any(hasattr(value, name) for name in ("__array_interface__", "__array__", "__dlpack__", "__buffer__"))
