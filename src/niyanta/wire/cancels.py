"""Cancels that get lost in other people's waiting, and such as nobody asked for.

``asyncio.wait_for`` on Python 3.11 swallows a cancel that arrives in the same turn of the loop as the result or the
time-out. Clients of brokers and databases wait by it. A loop around such a call then goes on for ever, and so does
whoever cancelled it and waits for its end. A task counts the cancels that were asked of it, so a lost one shows.

The other way round, ``asyncio.timeout`` can leave a cancel behind: when the time is up in the turn in which what it
guards comes to its end, whatever the task waits for next is cancelled, and by nobody. A loop that ends by that would
be missing from then on, without a word, as a group of tasks takes a cancelled one for an ended one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

__all__ = ["cancels_asked", "heeded", "lasting"]

log = logging.getLogger(__name__)


def cancels_asked() -> int:
    """How many cancels have been asked of this task that it hasn't answered yet."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """Raise the cancel that came within and was swallowed, whatever came of the rest.

    Raises:
        CancelledError: One came.
    """
    before = cancels_asked()
    try:
        yield
    finally:
        if cancels_asked() > before:
            raise asyncio.CancelledError


async def lasting(loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a loop until this task is cancelled; begin it anew after a cancel that nobody asked for."""
    before = cancels_asked()
    while True:
        try:
            return await loop()
        except asyncio.CancelledError:
            if cancels_asked() > before:
                raise
            log.exception("loop.cancelled_by_nobody")
