"""The live workers as the scheduler sees them: who could run what, who can now, and whose turn it is among them.

Workloads that ask for the same type, hard and anti-affinity have the same *demand*: the same workers suit them. What
a demand's workers are is worked out once for each composition of the fleet. Soft affinity is no part of it: it only
chooses among them.

Some workers work for a few customers only. Those customers' demands are worked out for each of them, all others'
once for all of them: who has no worker of its own is named by nothing (`Fleet.pool_of`).
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterable
from enum import Enum

from niyanta.domain.placement import Affinity, Constraint, WorkerView, could_run, rank

__all__ = ["Demand", "Fit", "Fleet", "Hook", "Shortlist", "demand_of"]

Demand = tuple[object, ...]
"""Names what a workload asks for of its worker; equal for those that the same workers suit."""

Hook = tuple[str, ...]
"""One condition that every worker for a demand fulfils: ``(worker, id)``, ``(tag, key, value)`` or ``(type, name)``.
"""

_MOST_KNOWN_DEMANDS = 2000


class Fit(Enum):
    """Whether a demand can be met."""

    NOW = "now"
    BUSY = "busy"
    """Workers suit it, but none has a free slot for it at the moment."""
    NEVER = "never"
    """No live worker suits it."""


def _constraint_key(constraint: Constraint) -> tuple[object, ...]:
    return constraint.worker_id, tuple(sorted(constraint.worker_tags.items())), constraint.workload_types


def demand_of(workload_type: str, affinity: Affinity) -> Demand:
    """The demand's name."""
    return workload_type, _constraint_key(affinity.hard), _constraint_key(affinity.anti), affinity.misfits


def _is_kept_off(worker: WorkerView, away_from: tuple[str, ...]) -> bool:
    return any(worker.running.get(kind) for kind in away_from)


class Fleet:
    """The live workers with their load."""

    def __init__(self) -> None:
        self._workers: dict[str, WorkerView] = {}
        self._hooks: dict[str, tuple[Hook, ...]] = {}
        self._hooked: dict[Hook, int] = {}
        self._favoured: frozenset[str] = frozenset()
        """Customers for whom some worker works, and not for everybody."""
        self._fitting: dict[tuple[str, Demand], list[WorkerView]] = {}

    def replace(self, views: Iterable[WorkerView]) -> list[WorkerView]:
        """Take over who is there; loads carry over. Gives those that are new or suit other workloads than before."""
        before, self._workers = self._workers, {view.worker_id: view for view in views}
        changed = []
        for worker_id, view in self._workers.items():
            old = before.get(worker_id)
            if old is None:
                changed.append(view)
                continue
            view.used, view.running = old.used, old.running
            if view.incarnation == old.incarnation:
                view.resting, view.lingering = old.resting, old.lingering
            same = (old.incarnation, old.tags, old.types, old.customers) == (
                view.incarnation,
                view.tags,
                view.types,
                view.customers,
            )
            if not same or view.free > old.free:
                changed.append(view)
        self._hooks = {view.worker_id: _hooks(view) for view in self._workers.values()}
        self._hooked = {}
        for hooks in self._hooks.values():
            for hook in hooks:
                self._hooked[hook] = self._hooked.get(hook, 0) + 1
        self._favoured = frozenset().union(*(view.customers for view in self._workers.values()))
        self._fitting.clear()
        return changed

    def __len__(self) -> int:
        return len(self._workers)

    def get(self, worker_id: str) -> WorkerView | None:
        """One worker's view; None when it isn't there."""
        return self._workers.get(worker_id)

    def views(self) -> Iterable[WorkerView]:
        """All of them, in no order."""
        return self._workers.values()

    def open(self) -> list[WorkerView]:
        """Those with a free slot."""
        return [view for view in self._workers.values() if view.free > 0]

    def hooks(self, worker_id: str) -> tuple[Hook, ...]:
        """All hooks that the worker fulfils."""
        return self._hooks.get(worker_id, ())

    def hook_for(self, workload_type: str, affinity: Affinity) -> Hook:
        """The hook under which a demand waits: of its conditions the one that the fewest workers fulfil."""
        hard = affinity.hard
        if hard.worker_id is not None:
            return ("worker", hard.worker_id)
        hooks: list[Hook] = [("type", workload_type), *(("tag", k, v) for k, v in hard.worker_tags.items())]
        return min(hooks, key=lambda hook: self._hooked.get(hook, 0))

    def can_please(self, soft: Constraint) -> bool:
        """Whether some worker fulfils any of these wishes."""
        if soft.is_empty:
            return False
        wished: list[Hook] = [("tag", key, value) for key, value in soft.worker_tags.items()]
        wished += [("type", kind) for kind in soft.workload_types]
        if soft.worker_id is not None:
            wished.append(("worker", soft.worker_id))
        return any(hook in self._hooked for hook in wished)

    def pool_of(self, customer_id: str) -> str:
        """Names the workers that work for a customer: equal for customers for whom the same do."""
        return customer_id if customer_id in self._favoured else ""

    def fitting(self, customer_id: str, demand: Demand, workload_type: str, affinity: Affinity) -> list[WorkerView]:
        """The workers that suit a customer's demand, however busy."""
        key = self.pool_of(customer_id), demand
        found = self._fitting.get(key)
        if found is None:
            if len(self._fitting) >= _MOST_KNOWN_DEMANDS:
                self._fitting.clear()
            views = self._workers.values()
            found = [v for v in views if v.serves(customer_id) and could_run(v, workload_type, affinity)]
            self._fitting[key] = found
        return found

    def fit(self, customer_id: str, demand: Demand, workload_type: str, affinity: Affinity) -> Fit:
        """Whether some worker can take it now."""
        fitting = self.fitting(customer_id, demand, workload_type, affinity)
        away_from = affinity.anti.workload_types
        for view in fitting:
            if view.free > 0 and not _is_kept_off(view, away_from):
                return Fit.NOW
        return Fit.BUSY if any(not view.draining for view in fitting) else Fit.NEVER


def _hooks(view: WorkerView) -> tuple[Hook, ...]:
    tags: list[Hook] = [("tag", key, value) for key, value in view.tags.items()]
    return (("worker", view.worker_id), *tags, *(("type", kind) for kind in sorted(view.types)))


class Shortlist:
    """The workers for one demand and one set of soft wishes, best first, within one pass.

    Within a pass free slots only shrink, so that who is full, or runs what an anti-affinity avoids, is dropped for
    good.
    """

    def __init__(self, fitting: Iterable[WorkerView], affinity: Affinity) -> None:
        self._away_from = affinity.anti.workload_types
        self._soft = affinity.soft
        self._heap = [(rank(view, affinity.soft), view) for view in fitting if view.free > 0]
        heapq.heapify(self._heap)

    def best(self, avoid: Container[str] = ()) -> WorkerView | None:
        """The one that `niyanta.domain.placement.choose` would take; None when no worker is left.

        Args:
            avoid: Ids of workers that won't do this time.
        """
        heap = self._heap
        passed_by = []
        found = None
        while heap and found is None:
            entry = place, view = heap[0]
            if view.free <= 0 or _is_kept_off(view, self._away_from):
                heapq.heappop(heap)
            elif (now := rank(view, self._soft)) != place:
                heapq.heapreplace(heap, (now, view))
            elif view.worker_id in avoid:
                passed_by.append(entry)
                heapq.heappop(heap)
            else:
                found = view
        for entry in passed_by:
            heapq.heappush(heap, entry)
        return found
