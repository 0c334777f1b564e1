"""Finds a mistake with ``Producer.frame``: the name after ``as`` was bound to another picture, so the frame was not written.

It looks at the code of the ``with`` statement, and only when the array that was given out is gone before the block ends. Whether the
array was written first, the code does not say for sure: where it was used first it may have been.
"""

from __future__ import annotations

import dis
import functools
import re
import sys
from types import CodeType


def rebound(code: CodeType, enters_at: int) -> tuple[str, bool] | None:
    """The name that the with statement bound to the array, if it refers to another picture now; and whether the block may have
    written the array before.

    ``enters_at`` is the position of the instruction that entered the block. The caller is the code of the block.
    """
    frame = sys._getframe(1)
    if frame.f_code is not code:
        return None
    name = _name(code, enters_at)
    if name is None:
        return None
    value = frame.f_locals.get(name, frame.f_globals.get(name))
    return (name, _used(code, enters_at, frame.f_lasti, name)) if _is_picture(value) else None


@functools.lru_cache(maxsize=256)
def _name(code: CodeType, enters_at: int) -> str | None:
    """The name in which the array was stored; None if it went elsewhere, or nowhere."""
    for instruction in dis.get_instructions(code):
        if instruction.offset > enters_at and instruction.opname not in ("EXTENDED_ARG", "CACHE"):
            if not instruction.opname.startswith("STORE_") or instruction.opname == "STORE_ATTR":
                return None
            # Newer compilers store one name and use another in one instruction.
            names = _names(instruction)
            return names[0][1] if names else None
    return None


@functools.lru_cache(maxsize=256)
def _used(code: CodeType, enters_at: int, ends_at: int, name: str) -> bool:
    """Whether a statement of the block uses the array before the one that binds its name to another picture.

    What asks for no more than the array's shape, say, does not count: nothing is written by that.
    """
    block = [one for one in dis.get_instructions(code) if enters_at < one.offset <= ends_at and one.opname != "CACHE"]
    line, is_bound = 0, False
    lines_of_use: list[int] = []
    for before, instruction, after in zip([None, *block], block, [*block[1:], None], strict=False):
        line = _line(instruction) or line
        for access, known in _names(instruction):
            if known != name:
                continue
            if access == "LOAD":
                asks = after and after.opname in ("LOAD_ATTR", "LOAD_METHOD") and after.argval in _HARMLESS
                lines_of_use += [] if asks else [line]
            elif not is_bound:
                is_bound = True  # that is the name after `as`
            elif before and _is_in_place(before):
                return True
            else:
                # A statement's line is that of what it binds: what is used there, or below, is used to make the other picture.
                return any(used < line for used in lines_of_use)
    return False


_HARMLESS = frozenset(("shape", "dtype", "ndim", "size", "nbytes", "itemsize", "strides"))


def _names(instruction: dis.Instruction) -> list[tuple[str, str]]:
    """What an instruction does with variables: ("LOAD", "picture")."""
    accesses = re.findall("(LOAD|STORE)_(?:FAST|NAME|GLOBAL|DEREF)", instruction.opname)
    names = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
    return [(access, name) for access, name in zip(accesses, names, strict=False) if isinstance(name, str)]


def _is_in_place(instruction: dis.Instruction) -> bool:
    """``picture += 1`` writes the array."""
    return instruction.opname.startswith("INPLACE_") or (
        instruction.opname == "BINARY_OP" and instruction.argrepr.endswith("=")
    )


def _line(instruction: dis.Instruction) -> int | None:
    positions = getattr(instruction, "positions", None)
    return positions.lineno if positions else instruction.starts_line


def _is_picture(value: object) -> bool:
    """Not None or a number: a name may be used for something else once the picture is written."""
    if isinstance(value, (bytes, bytearray, memoryview, list, tuple, dict)):
        return True
    return any(hasattr(value, name) for name in ("__array_interface__", "__array__", "__dlpack__", "__buffer__"))
