"""The database's time, known without asking each time: one clock for what several coordinators put into one queue."""

from __future__ import annotations

import time

from niyanta.server.store.queries import Connection, Queries

__all__ = ["DatabaseClock"]

_DRIFT = 1e-3
"""Of the monotonic clock's time: how far a reading may have gone wrong since it was made."""
_LEVEL_MS = 1000
"""A step back by less is levelled out, so that what is made one after another has times in that order."""

_queries = Queries("clock.sql")
_now = _queries.sole("now", int)


class DatabaseClock:
    """The best reading so far, carried on by the monotonic clock; this machine's own clock until there is one."""

    def __init__(self) -> None:
        self._ahead_ns: int | None = None
        """Of the monotonic clock."""
        self._error_ns = 0.0
        self._read_at_ns = 0
        self._last_ms = 0

    async def read(self, conn: Connection) -> None:
        """Ask the database."""
        began = time.monotonic_ns()
        now_us = await _now(conn)
        self.learn(now_us, began, time.monotonic_ns())

    def learn(self, now_us: int, asked_ns: int, answered_ns: int) -> None:
        """Take an answer, unless it took so long that the reading before is better.

        Args:
            now_us: The database's time, in microseconds since 1970.
            asked_ns: When it was asked, on the monotonic clock.
            answered_ns: When the answer came.
        """
        ahead = now_us * 1000 - (asked_ns + answered_ns) // 2
        error = (answered_ns - asked_ns) / 2
        known = self._error_ns + (answered_ns - self._read_at_ns) * _DRIFT
        if self._ahead_ns is None or error <= known or abs(ahead - self._ahead_ns) > error + known:
            self._ahead_ns, self._error_ns, self._read_at_ns = ahead, error, answered_ns

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        now = (time.time_ns() if self._ahead_ns is None else time.monotonic_ns() + self._ahead_ns) // 1_000_000
        if not 0 < self._last_ms - now < _LEVEL_MS:
            self._last_ms = now
        return self._last_ms
