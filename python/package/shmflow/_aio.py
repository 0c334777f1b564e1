"""Frames for ``async for``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from .errors import Closed, Ended, Removed

if TYPE_CHECKING:
    from ._shmflow import Consumer, Frame

# So many frames that are there are given out before others of the loop have their turn.
_TURN = 32


async def frames(consumer: Consumer) -> AsyncIterator[Frame]:
    """Frames, each once and in order, until the stream ends or the consumer is closed."""
    loop = asyncio.get_running_loop()
    poll = consumer._poll
    descriptor = None
    try:
        while True:
            try:
                for _ in range(_TURN):
                    frame = poll()
                    if frame is None:
                        if descriptor is None:
                            # One of its own, which tells of the end of the consumer's, too.
                            descriptor = os.dup(consumer.fileno())
                            continue
                        await _readable(loop, descriptor)
                    else:
                        yield frame
                        # Only the program that iterates keeps it.
                        del frame
                await asyncio.sleep(0)
            except Removed:
                if not consumer._reconnect:
                    raise
                if descriptor is not None:
                    os.close(descriptor)
                    descriptor = None
                # It may take for ever, so that a thread does it.
                await loop.run_in_executor(None, consumer._reopen)
    except Ended:
        return
    except Closed:
        if not consumer.closed:
            raise
    finally:
        if descriptor is not None:
            os.close(descriptor)


async def _readable(loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    """Sleeps until there may be something."""
    done = loop.create_future()

    def ready() -> None:
        if not done.done():
            done.set_result(None)

    loop.add_reader(descriptor, ready)
    try:
        await done
    finally:
        loop.remove_reader(descriptor)
