"""How the system is at this moment, for a scrape of the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from niyanta.domain.workers import WorkerStatus
from niyanta.errors import ServiceUnavailableError
from niyanta.server.leader.election import Election
from niyanta.server.observability.metrics import Reading
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.lease import LeaseStore
from niyanta.server.store.workers import WorkerStore
from niyanta.wire.broker import Broker

__all__ = ["Vitals"]


class Vitals:
    """Reads what the gauges show, by queries that cost a row for each customer and worker."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        election: Election,
        customers: CustomerStore,
        watchers: Callable[[], int],
    ) -> None:
        self._database = database
        self._broker = broker
        self._watchers = watchers
        self._election = election
        self._customers = customers
        self._workers = WorkerStore()
        self._lease = LeaseStore()

    async def read(self) -> Reading:
        """Read all of it, within two seconds; without the database, what is known without it."""
        reading = Reading(self._election.epoch is not None, self._broker.connected, self._watchers())
        try:
            async with asyncio.timeout(2):
                usage = await self._customers.usage_by_tier()
                async with self._database.connection(Pool.VITAL) as conn:
                    fleet = await self._workers.summary(conn)
                    lease = await self._lease.current(conn)
        except (ServiceUnavailableError, TimeoutError):
            return reading
        reading.database_connected = True
        reading.epoch = lease.epoch
        reading.queued = {tier.tier: tier.queued for tier in usage}
        reading.running = {tier.tier: tier.running for tier in usage}
        reading.workers = {status: count for status, (count, _) in fleet.items()}
        reading.capacity = sum(capacity for status, (_, capacity) in fleet.items() if status is not WorkerStatus.DEAD)
        return reading
