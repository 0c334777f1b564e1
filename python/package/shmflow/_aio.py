"""What ``async for`` needs of asyncio, beside what it needs for each frame."""

from __future__ import annotations

import asyncio
import os


def forget(loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    """The loop no longer watches the descriptor, which is closed."""
    if loop.is_closed() or asyncio._get_running_loop() is loop:
        _close(loop, descriptor)
        return
    try:
        # An iterator may end in any thread.
        loop.call_soon_threadsafe(_close, loop, descriptor)
    except RuntimeError:  # closed meanwhile
        os.close(descriptor)


def _close(loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    if not loop.is_closed():
        loop.remove_reader(descriptor)
    os.close(descriptor)
