"""Who takes what workers send: a coordinator only while it has a database to write it to.

Coordinators share the workers' subjects by a queue group, so one without a working database takes its share of events
and registrations and can do nothing with them. It leaves the group for these until its database answers again. One
whose event loop is stuck leaves all of them (`Pulse`).
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
"""Without an answer, until all connections are given up."""


class Attendance:
    """Looks whether the database answers, and leaves and joins accordingly."""

    def __init__(self, database: Database, broker: Broker, subjects: Subjects) -> None:
        self._database = database
        self._leases = LeaseStore()
        self._broker = broker
        self._subjects = (subjects.events, subjects.register, subjects.checkpoint)
        self._failures = 0
        self._heard_at = time.monotonic()

    @property
    def attends(self) -> bool:
        """Whether it takes what workers send."""
        return self._failures < _FAILURES

    async def run(self) -> None:
        """Look until cancelled."""
        with Pulse(self._broker.cut):
            while True:
                await self.look()
                await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Look once."""
        attended = self.attends
        try:
            async with asyncio.timeout(_ANSWER_SECONDS), self._database.connection(Pool.LEASE) as conn:
                await self._leases.current(conn)
        except (ServiceUnavailableError, TimeoutError):
            self._failures += 1
            if time.monotonic() - self._heard_at > _SILENT_SECONDS:
                log.warning("attendance.database_silent")
                self._heard_at = time.monotonic()
                await self._database.begin_anew()
        else:
            self._failures = 0
            self._heard_at = time.monotonic()
        if self.attends != attended:
            log.warning("attendance.joined" if self.attends else "attendance.left")
        # Each time, as the broker may have been away the last time; it is nothing when it is so already.
        for subject in self._subjects:
            if self.attends:
                await self._broker.resume(subject)
            else:
                await self._broker.suspend(subject)
