"""Cancels that get lost in other people's waiting, and how they are heeded all the same.

``asyncio.wait_for`` on Python 3.11 swallows a cancel that arrives in the same turn of the loop as the result or the
time-out. Clients of brokers and databases wait by it. A loop around such a call then goes on for ever, and so does
whoever cancelled it and waits for its end. A task counts the cancels that were asked of it, so a lost one shows.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

__all__ = ["heeded"]


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """Raise the cancel that came within and was swallowed, whatever came of the rest.

    Raises:
        CancelledError: One came.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
