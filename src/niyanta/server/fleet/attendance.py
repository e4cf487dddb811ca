"""Who takes what workers send: a coordinator only while it has a database to write it to.

Coordinators share the workers' subjects by a queue group, so one without a working database takes its share of events
and registrations and can do nothing with them. It leaves the group for these until its database answers again. One
whose event loop is stuck leaves all of them (`Pulse`).
A database that is slow is waited for. One that has fallen silent is not: a server that is frozen or cut off leaves
connections that look good for minutes, while another may have taken its place. Both look the same to who waits,
so a new connection is tried beside. All others are given up when it answers, and they still don't.
Heartbeats it goes on answering: "go on, I can't record it now" keeps workers running when no coordinator has a
database.
"""

from __future__ import annotations

import asyncio
import logging
import time

from niyanta.errors import ServiceUnavailableError
from niyanta.server.fleet.pulse import Pulse
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.lease import LeaseStore
from niyanta.wire.broker import Broker
from niyanta.wire.subjects import Subjects

__all__ = ["Attendance"]

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
_ANSWER_SECONDS = 1.0
_FAILURES = 2
"""Looks in a row without an answer, until it leaves."""
_SILENT_SECONDS = 4.0
"""Without an answer, until all connections are given up if a new one has one."""


class Attendance:
    """Looks whether the database answers, and leaves and joins accordingly."""

    def __init__(self, database: Database, broker: Broker, subjects: Subjects) -> None:
        self._database = database
        self._leases = LeaseStore()
        self._broker = broker
        self._subjects = (subjects.events, subjects.register, subjects.checkpoint)
        self._failures = 0
        self._heard_at = time.monotonic()
        self._asked: asyncio.Task[bool] | None = None
        """The last question, which may be under way over several looks."""

    @property
    def attends(self) -> bool:
        """Whether it takes what workers send."""
        return self._failures < _FAILURES

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            with Pulse(self._broker.cut):
                while True:
                    await self.look()
                    await asyncio.sleep(_LOOK_SECONDS)
        finally:
            if self._asked is not None:
                self._asked.cancel()
                await asyncio.gather(self._asked, return_exceptions=True)

    async def look(self) -> None:
        """Look once."""
        attended = self.attends
        self._failures = 0 if await self._answers_in_time() else self._failures + 1
        if self.attends != attended:
            log.warning("attendance.joined" if self.attends else "attendance.left")
        # Each time, as the broker may have been away the last time; it is nothing when it is so already.
        for subject in self._subjects:
            if self.attends:
                await self._broker.resume(subject)
            else:
                await self._broker.suspend(subject)

    async def _answers_in_time(self) -> bool:
        """Whether the database answers within a while; what it was asked before is waited for first."""
        is_late = self._asked is not None
        if self._asked is None:
            self._asked = asyncio.create_task(self._ask())
        anew = asyncio.create_task(self._ask_anew()) if self._failures else None
        try:
            await asyncio.wait({self._asked}, timeout=_ANSWER_SECONDS)
            answers_anew = anew is not None and await anew
        finally:
            if anew is not None:
                anew.cancel()
        if self._asked.done():
            answered = self._asked.result()
            self._asked = None
            if answered:
                self._heard_at = time.monotonic()
            return answered and not is_late
        if answers_anew and time.monotonic() - self._heard_at > _SILENT_SECONDS:
            log.warning("attendance.database_silent")
            self._heard_at = time.monotonic()
            await self._database.begin_anew()
        return False

    async def _ask(self) -> bool:
        """Ask by a connection that stands, as long as that takes."""
        try:
            async with self._database.connection(Pool.LEASE) as conn:
                await self._leases.current(conn)
        except ServiceUnavailableError:
            return False
        return True

    async def _ask_anew(self) -> bool:
        """Ask the same by a new connection, which has no longer for all of it than a look takes."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS), self._database.new_connection() as conn:
                await self._leases.current(conn)
        except (ServiceUnavailableError, TimeoutError):
            return False
        return True
