"""Whether this coordinator can serve: its database, its broker, and whether anybody leads."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from niyanta.errors import ServiceUnavailableError
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.lease import LeaseStore
from niyanta.wire.broker import Broker

__all__ = ["Health", "Readiness"]


@dataclass(frozen=True, slots=True)
class Readiness:
    """Which of the things that a coordinator needs it has."""

    database: bool
    broker: bool
    leader_elected: bool

    @property
    def is_ready(self) -> bool:
        """Whether it has all of them."""
        return self.database and self.broker and self.leader_elected


class Health:
    """Real checks, each bounded."""

    def __init__(self, database: Database, broker: Broker) -> None:
        self._database = database
        self._broker = broker
        self._lease = LeaseStore()

    async def check(self) -> Readiness:
        """Ask the database who leads, within two seconds."""
        try:
            async with asyncio.timeout(2), self._database.connection(Pool.VITAL) as conn:
                held = (await self._lease.current(conn)).held
        except (ServiceUnavailableError, TimeoutError):
            return Readiness(False, self._broker.connected, False)
        return Readiness(True, self._broker.connected, held)
