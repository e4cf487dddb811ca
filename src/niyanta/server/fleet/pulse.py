"""Notices from a thread that the event loop stands still, which the loop itself can't.

A coordinator whose loop is stuck (in code that blocks, or on a machine that can't give it time) goes on to get its
share of what workers send, and answers nothing. It can't leave the queue groups by itself, so its link to the broker
is cut under it. The broker gives its share to others at once, and when the loop goes on, it finds the link gone and
joins again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType

__all__ = ["STUCK_SECONDS", "Pulse"]

log = logging.getLogger(__name__)

STUCK_SECONDS = 5.0
"""A loop that hasn't turned for longer is stuck."""
_LOOK_SECONDS = 0.25


class Pulse:
    """Watches the running loop, within a ``with`` block.

    Args:
        on_stuck: Called in a thread of its own, once each time the loop gets stuck.
        seconds: How long the loop may stand still.
    """

    def __init__(self, on_stuck: Callable[[], None], seconds: float = STUCK_SECONDS) -> None:
        self._on_stuck = on_stuck
        self._seconds = seconds
        self._turned_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._over = threading.Event()

    def __enter__(self) -> None:
        """Begin."""
        self._turn(asyncio.get_running_loop())
        threading.Thread(target=self._watch, name="niyanta-pulse", daemon=True).start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop looking."""
        self._over.set()
        if self._timer is not None:
            self._timer.cancel()

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turned_at = time.monotonic()
        self._timer = loop.call_later(_LOOK_SECONDS, self._turn, loop)

    def _watch(self) -> None:
        was_stuck = False
        looked_at = time.monotonic()
        while not self._over.wait(_LOOK_SECONDS):
            now = time.monotonic()
            overslept, looked_at = now - looked_at > 2 * _LOOK_SECONDS, now
            if overslept:
                continue  # the whole process stood still, and the loop has its chance now
            is_stuck = now - self._turned_at > self._seconds
            if is_stuck and not was_stuck:
                log.error("pulse.loop_stuck", extra={"seconds": round(now - self._turned_at, 3)})
                self._on_stuck()
            was_stuck = is_stuck
