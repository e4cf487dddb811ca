"""Estimates of when workloads start and end, at a cost that even a submission can bear.

Once a second the counters are read of the customers that asked lately. For a submission what has been read is enough;
for one workload that is looked at, its place in the queue or its type's past is read besides.

What can't be placed at the moment is not ahead of what can: workloads that wait for a worker which doesn't exist, or
for others' slots, delay nothing that an idle slot is there for. Of what waits for a slot to come free, whatever waits
for one, too, is ahead.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from niyanta.domain.customers import CustomerStatus
from niyanta.domain.estimates import (
    Accuracy,
    ServiceRate,
    TrackRecord,
    estimated_completion,
    estimated_start,
    start_range,
)
from niyanta.domain.limits import MAX_AHEAD
from niyanta.domain.placement import Affinity, WorkerView, choose, eligible
from niyanta.domain.workload import Status
from niyanta.errors import ServiceUnavailableError
from niyanta.server.directory import Directory
from niyanta.server.services.occupancy import Occupancy
from niyanta.server.store.customers import Customer, CustomerStore, CustomerUsage
from niyanta.server.store.database import Database, retried
from niyanta.server.store.states import affinity_from_json
from niyanta.server.store.statistics import QueueLane, StatisticsStore
from niyanta.server.store.stored_workload import StoredWorkload

__all__ = ["Estimator", "Prospect"]

log = logging.getLogger(__name__)

_NOTE_SECONDS = 1.0
_LOOK_SECONDS = 2.0
_ACTIVE_SECONDS = 600.0
"""A customer that hasn't asked for so long isn't followed any more."""
_KEEP_PAST_SECONDS = 10.0
_MOST_PASTS = 10_000
_MOST_BESIDE = 50_000
"""Of those that wait for what isn't there: counted no further, as this is done every other second at the most."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What kept a customer's queue waiting at some moment, although more of it may run."""

    views: Sequence[WorkerView]
    not_now: int
    """How much of it nobody could take at that moment."""
    nowhere: int
    """How much of that nobody could run, busy or not."""

    def beside(self, customer_id: str, workload_type: str, rules: Affinity) -> int:
        """How much of it isn't ahead of one more workload of the customer's."""
        has_slot = choose(eligible(self.views, customer_id, workload_type, rules), rules) is not None
        return self.not_now if has_slot else self.nowhere


@dataclass(frozen=True, slots=True)
class Prospect:
    """A queued workload's place among its customer's own, and when it will start."""

    ahead: int
    """How many of the customer's own go before it."""
    is_bounded: bool
    """So many or more: counting ends there."""
    half: datetime | None = None
    """By when half of such workloads start; None when it can't be told."""
    late: datetime | None = None
    """By when nine of ten do."""
    accuracy: Accuracy | None = None
    """Of the last such estimates; None when nothing is known of them."""


@dataclass(slots=True)
class _Known:
    """What is known of a customer that asked lately."""

    rate: ServiceRate = field(default_factory=ServiceRate)
    record: TrackRecord = field(default_factory=TrackRecord)
    usage: CustomerUsage | None = None
    waiting: _Waiting | None = None
    """Of what is queued, when more may run."""
    looked_at: float = float("-inf")


class Estimator:
    """Knows how fast each customer's queue is served, from that customer's own counters only."""

    def __init__(
        self,
        database: Database,
        customers: CustomerStore,
        directory: Directory,
        occupancy: Occupancy,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._customers = customers
        self._directory = directory
        self._occupancy = occupancy
        self._clock = clock
        self._statistics = StatisticsStore()
        self._asked: dict[str, float] = {}
        self._known: dict[str, _Known] = {}
        self._pasts: dict[tuple[str, str], tuple[float, list[float]]] = {}

    async def run(self) -> None:
        """Note the counters until cancelled."""
        while True:
            try:
                await self.note()
            except ServiceUnavailableError:
                log.debug("estimator.not_noted")
            await asyncio.sleep(_NOTE_SECONDS)

    async def note(self) -> None:
        """Note the counters of those who asked lately, once."""
        now = self._clock()
        self._asked = {customer: at for customer, at in self._asked.items() if now - at < _ACTIVE_SECONDS}
        self._known = {customer: known for customer, known in self._known.items() if customer in self._asked}
        self._take_in(await self._customers.usages(list(self._asked)) if self._asked else [])

    def _take_in(self, usages: Sequence[CustomerUsage]) -> None:
        for usage in usages:
            known = self._known.setdefault(usage.customer_id, _Known())
            known.usage = usage
            at = self._clock()
            known.rate.note(at, usage.assigned, waiting=usage.queued > 0)
            known.record.note(at, usage.assigned, usage.queued, known.rate.per_second)

    async def know(self, customer_id: str) -> CustomerUsage | None:
        """What a customer has under way, not older than a second or two; None for one that doesn't exist."""
        self._asked[customer_id] = self._clock()
        known = self._known.get(customer_id)
        if known is None:
            self._take_in(await self._customers.usages([customer_id]))
            known = self._known.get(customer_id)
        usage = None if known is None else known.usage
        customer = self._directory.known_customer(customer_id)
        if usage is not None and customer is not None and usage.queued and known is not None:
            # It waits although it may run more: maybe for what isn't there.
            may_run = usage.running < customer.max_concurrent_workloads
            if not may_run:
                known.waiting = None
            elif self._clock() - known.looked_at > _LOOK_SECONDS:
                known.looked_at = self._clock()
                known.waiting = await self._waiting(customer_id)
        return usage

    @retried
    async def _waiting(self, customer_id: str) -> _Waiting:
        """What keeps the customer's workloads waiting at the moment."""
        views = await self._occupancy.views()
        async with self._database.connection(customer_id=customer_id) as conn:
            lanes = await self._statistics.lanes(conn, customer_id)
            not_now = [lane for lane in lanes if not _can_be_placed(views, customer_id, lane)]
            nowhere = [lane for lane in not_now if not _could_be_placed(views, customer_id, lane)]
            later = [lane for lane in not_now if lane not in nowhere]
            missing = await self._statistics.count_ahead(conn, customer_id, nowhere, most=_MOST_BESIDE)
            busy = await self._statistics.count_ahead(conn, customer_id, later, most=_MOST_BESIDE)
        return _Waiting(views, missing + busy, missing)

    def start_of_submission(
        self, customer_id: str, now: datetime, workload_type: str, rules: Affinity
    ) -> datetime | None:
        """When a workload submitted now will start. Looks at nothing but memory, after `know`."""
        customer = self._directory.known_customer(customer_id)
        known = self._known.get(customer_id)
        if customer is None or known is None or known.usage is None:
            return None
        beside = 0 if known.waiting is None else known.waiting.beside(customer_id, workload_type, rules)
        return self._start(customer, now, max(0, known.usage.queued - beside))

    async def start(self, workload: StoredWorkload) -> datetime | None:
        """When a queued workload will start; None for any other, and where too many go before it to be counted."""
        customer = self._directory.known_customer(workload.customer_id)
        if customer is None or not self._is_placeable(workload):
            return None
        ahead, is_bounded = await self._ahead(workload)
        return None if is_bounded else self._start(customer, workload.db_now, ahead)

    async def prospect(self, workload: StoredWorkload) -> Prospect:
        """The same at length, for one that waits in the queue; its place also where its start can't be told."""
        ahead, is_bounded = await self._ahead(workload)
        customer = self._directory.known_customer(workload.customer_id)
        known = self._known.get(workload.customer_id)
        accuracy = None if known is None else known.record.accuracy
        start = None
        if customer is not None and not is_bounded and self._is_placeable(workload):
            start = self._start(customer, workload.db_now, ahead)
        if start is None:
            return Prospect(ahead, is_bounded, accuracy=accuracy)
        half, late = start_range(workload.db_now, start, ahead, accuracy)
        return Prospect(ahead, is_bounded, half, late, accuracy)

    def _is_placeable(self, workload: StoredWorkload) -> bool:
        return workload.ready and self._directory.is_placeable(
            workload.customer_id,
            workload.placement_key,
            workload.workload_type,
            workload.affinity_rules,
            workload.misfits,
        )

    @retried
    async def _ahead(self, workload: StoredWorkload) -> tuple[int, bool]:
        """How many of the customer's own go before it, and whether there may be more than were counted."""
        customer_id = workload.customer_id
        await self.know(customer_id)
        views = await self._occupancy.views()
        async with self._database.connection(customer_id=customer_id) as conn:
            lanes = await self._statistics.lanes(conn, customer_id)
            own = next((lane for lane in lanes if lane.placement_key == workload.placement_key), None)
            can = _can_be_placed if own is None or _can_be_placed(views, customer_id, own) else _could_be_placed
            # Only these are counted: of the others there may be very many.
            lanes = [lane for lane in lanes if lane is own or can(views, customer_id, lane)]
            place = workload.queue_rank, workload.workload_id
            ahead = await self._statistics.count_ahead(conn, customer_id, lanes, place, most=MAX_AHEAD)
        return ahead, ahead >= MAX_AHEAD

    async def completion(self, workload: StoredWorkload, *, late: bool = False) -> datetime | None:
        """When a running workload will complete, or by when nine of ten such do (``late``); None for any other."""
        if workload.status is not Status.RUNNING:
            return None
        goes_on = workload.generation > 1 and workload.checkpoint_sequence > 0
        began_at = workload.started_at if goes_on else workload.attempt_started_at
        if began_at is None:
            return None
        past = await self._past(workload.customer_id, workload.workload_type)
        return estimated_completion(workload.db_now, began_at, workload.progress_percent, past, late=late)

    def _start(self, customer: Customer, now: datetime, ahead: int) -> datetime | None:
        if customer.status is not CustomerStatus.ACTIVE:
            return None
        known = self._known.get(customer.customer_id)
        if known is None or known.usage is None:
            return None
        may_run = known.usage.running < customer.max_concurrent_workloads and bool(
            self._directory.workers_for(customer.customer_id)
        )
        return estimated_start(now, ahead, known.rate.per_second, may_run=may_run)

    @retried
    async def _past(self, customer_id: str, workload_type: str) -> list[float]:
        key = (customer_id, workload_type)
        until, past = self._pasts.get(key, (0.0, []))
        if self._clock() >= until:
            async with self._database.connection(customer_id=customer_id) as conn:
                past = await self._statistics.recent_durations(conn, customer_id, workload_type)
            if len(self._pasts) >= _MOST_PASTS:
                self._pasts.clear()
            self._pasts[key] = (self._clock() + _KEEP_PAST_SECONDS, past)
        return past


def _rules(lane: QueueLane) -> Affinity:
    return affinity_from_json(lane.affinity_rules)


def _can_be_placed(views: Iterable[WorkerView], customer_id: str, lane: QueueLane) -> bool:
    """Whether a worker could take the lane's next workload at this moment."""
    rules = _rules(lane)
    return choose(eligible(views, customer_id, lane.workload_type, rules), rules) is not None


def _could_be_placed(views: Iterable[WorkerView], customer_id: str, lane: QueueLane) -> bool:
    """Whether a worker could take it once that has a slot."""
    return bool(eligible(views, customer_id, lane.workload_type, _rules(lane)))
