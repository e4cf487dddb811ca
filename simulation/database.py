"""A model of the database: workloads that move by the real transitions, workers, and the leader's lease.

Every write has the guards of the real one: the version a decision was made on, and the leader's epoch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from niyanta.domain import transitions
from niyanta.domain.arrivals import Arrival
from niyanta.domain.lanes import Agenda
from niyanta.domain.placement import Affinity, WorkerView
from niyanta.domain.roster import Found, Held
from niyanta.domain.workload import Actor, ActorType, Move, Status, WorkloadState
from simulation.backlog import Backlog

__all__ = ["ACTOR", "Away", "Database", "Row", "Stored", "Submitted"]

ACTOR = Actor(ActorType.COORDINATOR, "simulated")
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)

Key = tuple[str, str]


class Away(Exception):  # noqa: N818 -- the database is away
    """The database doesn't answer."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A workload that a customer wants to have run."""

    arrival: Arrival
    seconds: float
    """That it runs."""
    poison: str | None = None

    @property
    def key(self) -> Key:
        return self.arrival.customer_id, self.arrival.workload_id


@dataclass(slots=True)
class Stored:
    """A workload with what never changes of it."""

    state: WorkloadState
    created_at: float
    rank: float
    affinity: Affinity
    placement_key: int
    run_seconds: float
    poison: str | None = None
    """``early``: ends its worker before the start is committed; ``late``: after."""
    first_start: float | None = None
    ended_at: float | None = None
    deaths: int = 0
    completions: int = 0


@dataclass(slots=True)
class Row:
    """A worker's row."""

    worker_id: str
    incarnation: str
    heard_at: float
    is_dead: bool = False
    reason: str | None = None


@dataclass(slots=True)
class Database:
    """All that is durable."""

    now: Callable[[], float]
    is_away: bool = False
    epoch: int = 0
    lease_until: float = 0.0
    workloads: dict[Key, Stored] = field(default_factory=dict)
    workers: dict[str, Row] = field(default_factory=dict)
    backlog: Backlog = field(default_factory=Backlog)
    held: dict[Key, Stored] = field(default_factory=dict)
    slots: Counter[str] = field(default_factory=Counter)
    """Taken, by worker."""
    running: Counter[str] = field(default_factory=Counter)
    """Held, by customer."""
    open_count: int = 0
    """Workloads that have not ended."""

    def answer(self) -> None:
        """Be asked something.

        Raises:
            Away: It doesn't answer.
        """
        if self.is_away:
            raise Away

    def moment(self) -> datetime:
        """The database's time."""
        return _BEGAN + timedelta(seconds=self.now())

    def submit(self, submitted: Sequence[Submitted]) -> None:
        """Workloads are committed."""
        self.answer()
        for new in submitted:
            arrival = new.arrival
            state = WorkloadState(*new.key, arrival.workload_type, Status.PENDING)
            stored = Stored(
                state, self.now(), arrival.rank, arrival.affinity, arrival.placement_key, new.seconds, new.poison
            )
            self.workloads[new.key] = stored
            self.open_count += 1
            self._queue(new.key, stored)

    def submit_assigned(self, submitted: Sequence[Submitted], workers: Mapping[Key, WorkerView], epoch: int) -> bool:
        """Workloads are committed, some of them assigned; False when that may not be, and nothing is."""
        self.answer()
        if epoch != self.epoch:
            return False
        if any(new.key in workers and self.backlog.has_before(new.arrival) for new in submitted):
            return False
        self.submit(submitted)
        for key, worker in workers.items():
            state = self.workloads[key].state
            move = transitions.schedule(state, self.moment(), ACTOR, worker.worker_id, worker.incarnation, 0)
            self.move(key, state.version, move, epoch)
        return True

    def _queue(self, key: Key, stored: Stored) -> None:
        suspect = stored.state.death_streak >= transitions.DEATHS_BEFORE_SUSPICION
        kind = stored.state.workload_type
        self.backlog.add(*key, stored.rank, kind, stored.affinity, stored.placement_key, is_suspect=suspect)

    def move(self, key: Key, version: int, move: Move, epoch: int | None = None) -> bool:
        """The one guarded write; False when another was quicker, or another leads."""
        self.answer()
        stored = self.workloads[key]
        if stored.state.version != version or (epoch is not None and epoch != self.epoch):
            return False
        before, after = stored.state, move.state
        stored.state = after
        if before.ready and not after.ready:
            self.backlog.take(key)
        if after.status.is_held:
            self.held[key] = stored
        else:
            self.held.pop(key, None)
        if before.status.is_held:
            self.slots[before.worker_id or ""] -= 1
            self.running[key[0]] -= 1
        if after.status.is_held:
            self.slots[after.worker_id or ""] += 1
            self.running[key[0]] += 1
        if after.status is Status.RUNNING and stored.first_start is None:
            stored.first_start = self.now()
        if after.ready and not before.ready:
            self._queue(key, stored)
        if after.status.is_terminal and not before.status.is_terminal:
            stored.ended_at = self.now()
            self.open_count -= 1
        if after.status is Status.COMPLETED:
            stored.completions += 1
        return True

    def read(self, agenda: Agenda, *, with_suspects: bool) -> dict[tuple[str, int], Found]:
        """The heads of some lanes."""
        self.answer()
        return self.backlog.read(agenda, with_suspects=with_suspects)

    def read_held(self, workers: Iterable[str] | None = None) -> list[Held]:
        """Who holds what."""
        self.answer()
        wanted = None if workers is None else set(workers)
        return [
            Held(key, stored.state.generation, stored.state.worker_id or "", stored.state.workload_type)
            for key, stored in self.held.items()
            if wanted is None or stored.state.worker_id in wanted
        ]

    def take_lease(self, seconds: float) -> int | None:
        """Become the leader."""
        self.answer()
        if self.lease_until > self.now():
            return None
        self.epoch += 1
        self.lease_until = self.now() + seconds
        return self.epoch

    def renew_lease(self, epoch: int, seconds: float) -> bool:
        """Stay the leader."""
        self.answer()
        if epoch != self.epoch:
            return False
        self.lease_until = self.now() + seconds
        return True

    def register(self, worker_id: str, incarnation: str, lease_seconds: float) -> bool:
        """A worker comes to life."""
        self.answer()
        row = self.workers.get(worker_id)
        if row and not row.is_dead and row.incarnation != incarnation and self.now() - row.heard_at < lease_seconds:
            return False
        self.workers[worker_id] = Row(worker_id, incarnation, self.now())
        return True

    def beat(self, worker_id: str, incarnation: str) -> bool:
        """Record a heartbeat; False for an incarnation that isn't live."""
        self.answer()
        row = self.workers.get(worker_id)
        if row is None or row.is_dead or row.incarnation != incarnation:
            return False
        row.heard_at = self.now()
        return True

    def orphaned(self) -> set[tuple[str, str]]:
        """Incarnations that hold something but are gone."""
        self.answer()
        found = {(s.state.worker_id or "", s.state.incarnation or "") for s in self.held.values()}
        live = {(row.worker_id, row.incarnation) for row in self.workers.values() if not row.is_dead}
        return found - live
