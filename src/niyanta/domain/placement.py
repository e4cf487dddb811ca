"""Which worker takes a workload: affinity and capacity. Why none can is in `niyanta.domain.explanation`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from niyanta.domain.forms import ANY_FORM

__all__ = ["Affinity", "Constraint", "WorkerView", "choose", "could_run", "eligible", "is_misfit", "rank"]


@dataclass(frozen=True, slots=True)
class Constraint:
    """One side of an affinity rule; an empty one says nothing."""

    worker_id: str | None = None
    worker_tags: Mapping[str, str] = field(default_factory=dict)
    workload_types: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it asks for nothing."""
        return self.worker_id is None and not self.worker_tags and not self.workload_types


@dataclass(frozen=True, slots=True)
class Affinity:
    """What a workload asks of its worker: ``hard`` and ``anti`` filter, ``soft`` prefers."""

    hard: Constraint = Constraint()
    soft: Constraint = Constraint()
    anti: Constraint = Constraint()
    misfits: frozenset[str] = frozenset()
    """Forms of its type's input that its own doesn't fit (`niyanta.domain.forms`)."""


@dataclass(slots=True)
class WorkerView:
    """What the scheduler knows of one live worker."""

    worker_id: str
    incarnation: str
    capacity: int
    tags: Mapping[str, str]
    types: frozenset[str]
    """Workload types that it serves."""
    draining: bool = False
    lingering: int = 0
    """Slots that it says are held by attempts which are no longer its: they are ending, or don't want to."""
    used: int = 0
    running: Counter[str] = field(default_factory=Counter)
    """Workloads by type that hold its slots now."""
    resting: bool = False
    """It refused an assignment a moment ago, and is given nothing for a while."""
    forms: Mapping[str, str] = field(default_factory=dict)
    """By workload type the form of input that its handler takes; `ANY_FORM` for those left out."""
    customers: frozenset[str] = frozenset()
    """The only ones that it works for; empty for everybody."""
    since: float = 0.0
    """When it registered, in seconds of any one clock."""

    def serves(self, customer_id: str) -> bool:
        """Whether it works for the customer."""
        return not self.customers or customer_id in self.customers

    @property
    def free(self) -> int:
        """Slots that could be filled now."""
        return 0 if self.draining or self.resting else max(0, self.capacity - self.used - self.lingering)

    def take(self, workload_type: str) -> None:
        """Fill a slot with a workload of a type."""
        self.used += 1
        self.running[workload_type] += 1

    def give_back(self, workload_type: str) -> None:
        """Free a slot that `take` has filled."""
        self.used -= 1
        self.running[workload_type] -= 1
        if self.running[workload_type] <= 0:
            del self.running[workload_type]


def is_misfit(worker: WorkerView, workload_type: str, affinity: Affinity) -> bool:
    """Whether the worker serves the type in a form that the workload's input doesn't fit."""
    return bool(affinity.misfits) and worker.forms.get(workload_type, ANY_FORM) in affinity.misfits


def could_run(worker: WorkerView, workload_type: str, affinity: Affinity) -> bool:
    """Whether the worker fits the workload, leaving aside what runs on it at the moment."""
    if workload_type not in worker.types or is_misfit(worker, workload_type, affinity):
        return False
    hard, anti = affinity.hard, affinity.anti
    if hard.worker_id is not None and worker.worker_id != hard.worker_id:
        return False
    if any(worker.tags.get(key) != value for key, value in hard.worker_tags.items()):
        return False
    if any(served not in worker.types for served in hard.workload_types):
        return False
    if anti.worker_id is not None and worker.worker_id == anti.worker_id:
        return False
    return not any(worker.tags.get(key) == value for key, value in anti.worker_tags.items())


def eligible(
    workers: Iterable[WorkerView], customer_id: str, workload_type: str, affinity: Affinity
) -> list[WorkerView]:
    """The workers that work for the customer, `could_run` it and take new work at all."""
    return [w for w in workers if not w.draining and w.serves(customer_id) and could_run(w, workload_type, affinity)]


def _preference(worker: WorkerView, soft: Constraint) -> int:
    """How many of the soft wishes it fulfils."""
    score = 0
    if soft.worker_id is not None and worker.worker_id == soft.worker_id:
        score += 1
    score += sum(worker.tags.get(key) == value for key, value in soft.worker_tags.items())
    score += sum(served in worker.types for served in soft.workload_types)
    return score


def rank(worker: WorkerView, soft: Constraint) -> tuple[int, bool, float, float, str]:
    """Its place among those that fit, the best first.

    Most soft matches, then those that work for a few customers only, then the least loaded, then who has been there
    longest: what was lost with a worker goes to another rather than to the one that has just come back.
    """
    liked = 0 if soft.is_empty else _preference(worker, soft)
    return -liked, not worker.customers, worker.used / worker.capacity, worker.since, worker.worker_id


def choose(candidates: Iterable[WorkerView], affinity: Affinity) -> WorkerView | None:
    """The best of the eligible workers with a free slot."""
    away_from = affinity.anti.workload_types
    free = (w for w in candidates if w.free > 0 and not any(w.running.get(kind) for kind in away_from))
    return min(free, key=lambda worker: rank(worker, affinity.soft), default=None)
