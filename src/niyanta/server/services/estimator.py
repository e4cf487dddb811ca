"""Estimates of when workloads start and end, at a cost that even a submission can bear.

Once a second the customers' counters, which the directory has in memory anyway, are noted; for a submission nothing
else is asked. For one workload that is looked at, its place in the queue or its type's past is read besides.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from niyanta.domain.estimates import ServiceRate, estimated_completion, estimated_start
from niyanta.domain.transitions import Status
from niyanta.server.directory import Directory
from niyanta.server.store.customers import Customer
from niyanta.server.store.database import Database, retried
from niyanta.server.store.statistics import StatisticsStore
from niyanta.server.store.workloads import StoredWorkload

__all__ = ["Estimator"]

_NOTE_SECONDS = 1.0
_KEEP_PAST_SECONDS = 10.0
_MOST_PASTS = 10_000


class Estimator:
    """Knows how fast each customer's queue is served, from that customer's own counters only."""

    def __init__(self, database: Database, directory: Directory, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._directory = directory
        self._clock = clock
        self._statistics = StatisticsStore()
        self._rates: dict[str, ServiceRate] = {}
        self._pasts: dict[tuple[str, str], tuple[float, list[float]]] = {}

    async def run(self) -> None:
        """Note the counters until cancelled."""
        while True:
            self.note()
            await asyncio.sleep(_NOTE_SECONDS)

    def note(self) -> None:
        """Note the counters once."""
        now = self._clock()
        customers = self._directory.customers
        self._rates = {customer_id: self._rates.get(customer_id) or ServiceRate() for customer_id in customers}
        for customer_id, customer in customers.items():
            self._rates[customer_id].note(now, customer.assigned)

    def start_of_submission(self, customer_id: str, now: datetime | None = None) -> datetime | None:
        """When a workload submitted now will start. Looks at nothing but memory."""
        customer = self._directory.known_customer(customer_id)
        if customer is None:
            return None
        return self._start(customer, now or datetime.now(UTC), customer.queued)

    @retried
    async def start(self, workload: StoredWorkload) -> datetime | None:
        """When a queued workload will start; None for any other."""
        customer = self._directory.known_customer(workload.customer_id)
        if customer is None or not workload.ready:
            return None
        if not self._directory.is_placeable(
            workload.placement_key, workload.workload_type, workload.affinity_rules, workload.misfits
        ):
            return None
        async with self._database.connection() as conn:
            ahead = await self._statistics.queue_ahead(
                conn, workload.customer_id, workload.queue_rank, workload.workload_id
            )
        return self._start(customer, workload.db_now, ahead)

    async def completion(self, workload: StoredWorkload) -> datetime | None:
        """When a running workload will complete; None for any other."""
        if workload.status is not Status.RUNNING:
            return None
        goes_on = workload.generation > 1 and workload.checkpoint_sequence > 0
        began_at = workload.started_at if goes_on else workload.attempt_started_at
        if began_at is None:
            return None
        past = await self._past(workload.customer_id, workload.workload_type)
        return estimated_completion(workload.db_now, began_at, workload.progress_percent, past)

    def _start(self, customer: Customer, now: datetime, ahead: int) -> datetime | None:
        if customer.status != "active":
            return None
        rate = self._rates.get(customer.customer_id)
        may_run = customer.running < customer.max_concurrent_workloads and bool(self._directory.workers)
        return estimated_start(now, ahead, rate.per_second if rate else None, may_run=may_run)

    @retried
    async def _past(self, customer_id: str, workload_type: str) -> list[float]:
        key = (customer_id, workload_type)
        until, past = self._pasts.get(key, (0.0, []))
        if self._clock() >= until:
            async with self._database.connection() as conn:
                past = await self._statistics.recent_durations(conn, customer_id, workload_type)
            if len(self._pasts) >= _MOST_PASTS:
                self._pasts.clear()
            self._pasts[key] = (self._clock() + _KEEP_PAST_SECONDS, past)
        return past
