"""Whose turn it is, and which workloads a pass of the scheduler assigns.

Between customers: stride scheduling. Each customer has a *pass* value that grows by 1/weight with every
dispatch; the lowest goes next. A customer that was away starts at the present pass, so that idling saves
nothing up. Over any n consecutive dispatches a customer that always has something eligible gets its weighted
share, give or take one.
Source: Waldspurger and Weihl, "Stride Scheduling", 1995.

Within a customer: by rank, see `queue_rank`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from niyanta.domain.placement import Affinity, WorkerView, choose, eligible

__all__ = [
    "AGEING_SECONDS_PER_PRIORITY",
    "Candidate",
    "CustomerQueue",
    "FairClock",
    "Lane",
    "Placement",
    "plan",
    "queue_rank",
]

AGEING_SECONDS_PER_PRIORITY = 0.6
"""Waiting this long weighs as much as one point of priority: 1000 points are made up for in ten minutes."""


def queue_rank(created_at_seconds: float, priority: int) -> float:
    """A workload's place in its customer's queue; lower goes first.

    Priority grows linearly with waiting, so the order of two workloads never changes while they wait, and the
    rank can be a stored, indexed number (ADR 0005).

    Args:
        created_at_seconds: Unix seconds of the submission.
        priority: 0 to 1000, higher first.
    """
    return created_at_seconds - AGEING_SECONDS_PER_PRIORITY * priority


@dataclass(frozen=True, slots=True)
class Candidate:
    """A queued workload, as far as planning needs it."""

    workload_id: str
    rank: float


@dataclass(slots=True)
class Lane:
    """One customer's queued workloads of one placement class, in rank order."""

    workload_type: str
    affinity: Affinity
    waiting: deque[Candidate]


@dataclass(slots=True)
class CustomerQueue:
    """One customer's lanes and what it may still start."""

    customer_id: str
    weight: int
    allowance: int
    """``max_concurrent_workloads`` less what it runs now."""
    lanes: list[Lane] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Placement:
    """Assign this workload to this worker."""

    customer_id: str
    workload_id: str
    worker: WorkerView


class FairClock:
    """The customers' pass values. Lives with one leader; a new leader starts even."""

    def __init__(self) -> None:
        self._pass: dict[str, float] = {}
        self._now = 0.0

    def enter(self, customer_id: str) -> float:
        """The customer's pass, not before the present."""
        value = max(self._pass.get(customer_id, self._now), self._now)
        self._pass[customer_id] = value
        return value

    def charge(self, customer_id: str, weight: int) -> float:
        """Count one dispatch and give the new pass."""
        value = self._pass[customer_id]
        self._now = max(self._now, value)
        self._pass[customer_id] = value + 1.0 / weight
        return self._pass[customer_id]

    def forget_idle(self, active: Iterable[str]) -> None:
        """Drop customers whose pass is behind anyway, so that memory stays bounded."""
        keep = set(active)
        self._pass = {c: p for c, p in self._pass.items() if c in keep or p > self._now}


def plan(queues: Iterable[CustomerQueue], workers: Iterable[WorkerView], clock: FairClock) -> list[Placement]:
    """Fill free slots fairly. Changes the views (``take``) and consumes the lanes.

    Cost: O((assignments + lanes) x (log customers + eligible workers)); the backlog behind the lanes' heads
    doesn't matter.
    """
    fleet = [worker for worker in workers if worker.free > 0]
    free_slots = sum(worker.free for worker in fleet)
    placements: list[Placement] = []
    turn: list[tuple[float, str, CustomerQueue, list[tuple[float, int, Lane, list[WorkerView]]]]] = []
    for queue in queues:
        if queue.allowance <= 0:
            continue
        heads = []
        for number, lane in enumerate(queue.lanes):
            fitting = eligible(fleet, lane.workload_type, lane.affinity)
            if lane.waiting and fitting:
                heads.append((lane.waiting[0].rank, number, lane, fitting))
        if heads:
            heapq.heapify(heads)
            turn.append((clock.enter(queue.customer_id), queue.customer_id, queue, heads))
    heapq.heapify(turn)
    while turn and free_slots > 0:
        _, customer_id, queue, heads = heapq.heappop(turn)
        while heads:
            _, number, lane, fitting = heapq.heappop(heads)
            worker = choose(fitting, lane.affinity)
            if worker is None:
                continue  # free slots only shrink within a pass, so this lane is done for now
            candidate = lane.waiting.popleft()
            worker.take(lane.workload_type)
            free_slots -= 1
            queue.allowance -= 1
            placements.append(Placement(customer_id, candidate.workload_id, worker))
            if lane.waiting:
                heapq.heappush(heads, (lane.waiting[0].rank, number, lane, fitting))
            next_pass = clock.charge(customer_id, queue.weight)
            if heads and queue.allowance > 0:
                heapq.heappush(turn, (next_pass, customer_id, queue, heads))
            break
    return placements
