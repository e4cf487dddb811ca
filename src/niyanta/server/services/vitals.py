"""How the system is at this moment, for a scrape of the metrics."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from niyanta.domain.ids import milliseconds_of
from niyanta.domain.limits import MAX_METRIC_TAG_VALUES, Tier
from niyanta.domain.placement import WorkerView
from niyanta.domain.workers import WorkerStatus
from niyanta.errors import ServiceUnavailableError
from niyanta.server.leader.election import Election
from niyanta.server.leader.scheduler import Scheduler
from niyanta.server.leader.upkeep import Upkeep
from niyanta.server.observability.busiest import OTHER
from niyanta.server.observability.gauges import PoolUse, Reading
from niyanta.server.services.occupancy import Occupancy
from niyanta.server.store.audit_seals import AuditSealStore
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.lease import LeaseStore
from niyanta.server.store.vitals import VitalsStore
from niyanta.server.store.workers import WorkerStore
from niyanta.wire.broker import Broker

__all__ = ["Vitals", "slots_by_tag"]


class Vitals:
    """Reads what the gauges show, by queries that cost a row for each customer, queued type and worker.

    Args:
        database: Whose queries, and whose pools.
        broker: Whose link.
        election: Says who leads.
        customers: Say what waits and runs.
        scheduler: The leader's knows the lanes.
        upkeep: The leader's knows when it last went through.
        occupancy: The workers with their load.
        watchers: How many there are.
        tag: By whose values slots are shown; none when empty.
        certificate_ends_at: Tells when the listeners' certificate ends, as Unix time; None where there is none.
    """

    def __init__(  # noqa: PLR0913 -- one for each thing that is shown
        self,
        database: Database,
        broker: Broker,
        election: Election,
        customers: CustomerStore,
        scheduler: Scheduler,
        upkeep: Upkeep,
        occupancy: Occupancy,
        watchers: Callable[[], int],
        tag: str,
        certificate_ends_at: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._database = database
        self._broker = broker
        self._watchers = watchers
        self._election = election
        self._customers = customers
        self._scheduler = scheduler
        self._upkeep = upkeep
        self._occupancy = occupancy
        self._tag = tag
        self._certificate_ends_at = certificate_ends_at
        self._workers = WorkerStore()
        self._lease = LeaseStore()
        self._store = VitalsStore()
        self._seals = AuditSealStore()

    async def read(self) -> Reading:
        """Read all of it, within two seconds; without the database, what is known without it."""
        reading = self._own()
        try:
            async with asyncio.timeout(2):
                usage = await self._customers.usage_by_tier()
                views = await self._occupancy.views() if self._tag else []
                async with self._database.connection(Pool.VITAL) as conn:
                    fleet = await self._workers.summary(conn)
                    lease = await self._lease.current(conn)
                    oldest = await self._store.oldest_waiting(conn)
                    spans = await self._store.partition_spans(conn)
                    unsealed = await self._seals.lag_seconds(conn)
                    now = (await self._workers.time_now(conn)).timestamp()
        except (ServiceUnavailableError, TimeoutError):
            reading.database_failures = self._database.failures
            return reading
        reading.database_connected = True
        reading.epoch = lease.epoch
        reading.leader = lease.holder if lease.held else None
        reading.queued = {tier.tier: tier.queued for tier in usage}
        reading.oldest_seconds = {**dict.fromkeys(reading.queued, 0.0), **_ages(oldest, now)}
        reading.running = {tier.tier: tier.running for tier in usage}
        reading.workers = {status: count for status, (count, _) in fleet.items()}
        reading.capacity = sum(capacity for status, (_, capacity) in fleet.items() if status is not WorkerStatus.DEAD)
        reading.slots_by_tag = slots_by_tag(views, self._tag)
        reading.audit_seal_lag_seconds = unsealed
        reading.partitions_ahead_seconds = {span.parent: span.ahead_seconds for span in spans}
        return reading

    def _own(self) -> Reading:
        """What is known without the database."""
        leads = self._election.epoch is not None
        reading = Reading(leads, self._broker.connected, self._watchers())
        reading.pools = {name: PoolUse(*use) for name, use in self._database.use().items()}
        reading.broker_interruptions = self._broker.interruptions
        reading.certificate_ends_at = self._certificate_ends_at()
        reading.database_failures = self._database.failures
        if leads:
            reading.lanes = self._scheduler.lanes
            reading.upkeep_at = self._upkeep.succeeded_at
        return reading


def _ages(ids: Mapping[Tier, str], now: float) -> dict[str, float]:
    """How old what these ids name is; their clocks may be ahead of the database's a little."""
    made = {tier: milliseconds_of(workload_id) for tier, workload_id in ids.items()}
    return {tier: max(0.0, now - at / 1000) for tier, at in made.items() if at is not None}


def slots_by_tag(views: Iterable[WorkerView], tag: str) -> dict[str, tuple[int, int]]:
    """By the tag's value, slots and how many of them are used; workers without it are under the empty value.

    The values with the most slots are shown, as many as may be, and the others together.
    """
    slots: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for view in views:
        value = view.tags.get(tag, "")
        total, used = slots[value]
        slots[value] = (total + view.capacity, used + view.used)
    ranked = sorted(slots, key=lambda value: (-slots[value][0], value))
    shown = {value: slots[value] for value in ranked[:MAX_METRIC_TAG_VALUES]}
    if rest := ranked[MAX_METRIC_TAG_VALUES:]:
        parts = [slots[value] for value in rest] + ([shown[OTHER]] if OTHER in shown else [])
        shown[OTHER] = (sum(total for total, _ in parts), sum(used for _, used in parts))
    return shown
