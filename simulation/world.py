"""A whole system on virtual time: coordinators, workers, customers, the links between them, and what goes wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from niyanta.domain import transitions
from niyanta.domain.arrivals import Arrival
from niyanta.domain.placement import Affinity
from niyanta.domain.roster import Entitlement
from niyanta.domain.workload import Status, WorkloadState
from simulation.database import ACTOR, Away, Database, Submitted
from simulation.leader import WORKER_LEASE, Coordinator
from simulation.timeline import Timeline

__all__ = ["Spec", "Worker", "World"]

Key = tuple[str, str]
BEAT = 2.0
CUT_OFF = 60.0


@dataclass(frozen=True, slots=True)
class Spec:
    """What a worker is."""

    capacity: int
    types: frozenset[str] = frozenset({"count"})
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Running:
    """An attempt at a worker."""

    generation: int
    ends_at: float
    is_started: bool = False
    is_done: bool = False
    lingers_until: float = 0.0


class Worker:
    """Registers, beats, runs what it is given, reports until it is answered."""

    def __init__(self, world: World, worker_id: str, spec: Spec) -> None:
        self._world = world
        self.worker_id = worker_id
        self.spec = spec
        self.incarnation = ""
        self.is_up = True
        self.frozen_until = 0.0
        self.cut_off_until = 0.0
        self._lives = 0
        self._heard_at = 0.0
        self.attempts: dict[Key, _Running] = {}
        self._handed_back: dict[Key, int] = {}
        """By workload: the generation of an attempt that was stopped unheard."""
        world.timeline.after(world.random.random(), self._live)

    @property
    def can_talk(self) -> bool:
        now = self._world.timeline.now
        away = self._world.broker_is_away
        return self.is_up and not away and now >= self.frozen_until and now >= self.cut_off_until

    def _live(self) -> None:
        world = self._world
        if self.is_up and world.timeline.now >= self.frozen_until:
            self._beat()
            self._report()
        world.timeline.after(BEAT if self.is_up else 0.5, self._live)

    def _beat(self) -> None:
        world, now = self._world, self._world.timeline.now
        if self.incarnation and now - self._heard_at > CUT_OFF:
            self._handed_back |= {key: running.generation for key, running in self.attempts.items()}
            self.attempts.clear()
        if not self.can_talk or world.random.random() < world.loss:
            return
        try:
            if not self.incarnation:
                self._lives += 1
                incarnation = f"{self.worker_id}/{self._lives}"
                if world.database.register(self.worker_id, incarnation, WORKER_LEASE):
                    self.incarnation, self._heard_at = incarnation, now
                    world.tell("fleet")
            elif world.database.beat(self.worker_id, self.incarnation):
                self._heard_at = now
                self._drop_superseded()
            else:
                self.attempts.clear()
                self._handed_back.clear()
                self.incarnation = ""
        except Away:
            self._heard_at = now  # "hold": a coordinator answers, without the database

    def _drop_superseded(self) -> None:
        for key, running in list(self.attempts.items()):
            state = self._world.database.workloads[key].state
            if state.generation != running.generation or state.incarnation != self.incarnation:
                del self.attempts[key]

    def take(self, key: Key, generation: int) -> None:
        """An assignment has arrived."""
        world = self._world
        if key in self.attempts and self.attempts[key].generation == generation:
            return
        if len(self.attempts) >= self.spec.capacity:
            world.apply(key, generation, self.incarnation, "refused")
            return
        stored = world.database.workloads[key]
        if stored.poison is not None:
            world.timeline.after(0.2, lambda: self._poisoned(key, generation))
        self.attempts[key] = _Running(generation, world.timeline.now + stored.run_seconds)
        if stored.poison != "early":
            self._report()
            world.timeline.after(stored.run_seconds, self._report)

    def _poisoned(self, key: Key, generation: int) -> None:
        running = self.attempts.get(key)
        if self.is_up and running is not None and running.generation == generation:
            self._world.count("poisoned")
            self.crash(self._world.random.uniform(1.0, 5.0))

    def crash(self, seconds: float) -> None:
        """Die, and be started again after a while."""
        self.is_up, self.incarnation = False, ""
        self.attempts.clear()
        self._handed_back.clear()
        self._world.timeline.after(seconds, self._restart)

    def _restart(self) -> None:
        self.is_up = True

    def _report(self) -> None:
        """Send what isn't acknowledged."""
        world = self._world
        for key, generation in list(self._handed_back.items()):
            if not self.can_talk or world.random.random() < world.loss:
                continue
            if world.apply(key, generation, self.incarnation, "handed back") != "away":
                del self._handed_back[key]
        for key, running in list(self.attempts.items()):
            if not self.can_talk or world.random.random() < world.loss:
                continue
            if not running.is_started and world.database.workloads[key].poison != "early":
                running.is_started = self._tell(key, running, "started")
            if running.is_started and world.timeline.now >= running.ends_at and self._tell(key, running, "completed"):
                self.attempts.pop(key, None)

    def _tell(self, key: Key, running: _Running, what: str) -> bool:
        """Report; True once it is acknowledged. What is fenced is dropped."""
        answer = self._world.apply(key, running.generation, self.incarnation, what)
        if answer == "fenced":
            self.attempts.pop(key, None)
        # The answer may be lost although the event was applied: it is sent again then.
        return answer == "applied" and self._world.random.random() >= self._world.loss


class World:
    """Everything, and what is checked while it runs.

    Args:
        seed: Of all chance.
        fleet: Workers by id.
        customers: What each may have.
        coordinators: How many replicas.
        loss: Chance that a message is lost.
    """

    def __init__(
        self,
        seed: int,
        fleet: Mapping[str, Spec],
        customers: Mapping[str, Entitlement],
        coordinators: int = 2,
        loss: float = 0.0,
    ) -> None:
        self.random = Random(seed)
        self.timeline = Timeline()
        self.loss = loss
        self.database = Database(lambda: self.timeline.now)
        self.broker_is_away = False
        self.broker_interruptions = 0
        self.specs = dict(fleet)
        self.customers = customers
        self.counts: Counter[str] = Counter()
        self.dispatches: list[str] = []
        self.violations: list[str] = []
        self.run_seconds: Counter[str] = Counter()
        self._numbers: Counter[str] = Counter()
        self._unreachable: dict[str, float] = {}
        self.coordinators = [Coordinator(self, f"c{n}", customers) for n in range(coordinators)]
        self.workers = {worker_id: Worker(self, worker_id, spec) for worker_id, spec in fleet.items()}

    def count(self, what: str) -> None:
        self.counts[what] += 1

    def violated(self, what: str) -> None:
        self.violations.append(f"at {self.timeline.now:.2f} s: {what}")

    # --- what customers do ----------------------------------------------------------------------

    def submit(self, customer: str, seconds: float, *, poison: str | None = None) -> Key | None:
        """Queue a workload that may run anywhere; None when the service can't take it now."""
        new = self.made(customer, seconds, poison=poison)
        return new.key if self.submit_together([new]) else None

    def made(
        self,
        customer: str,
        seconds: float,
        *,
        kind: str = "count",
        affinity: Affinity | None = None,
        lane: int = 1,
        poison: str | None = None,
    ) -> Submitted:
        """A workload that is to be submitted now."""
        self._numbers[customer] += 1
        workload_id = f"{customer}-{self._numbers[customer]}"
        arrival = Arrival(customer, workload_id, kind, lane, affinity or Affinity(), self.timeline.now)
        return Submitted(arrival, seconds, poison)

    def submit_together(self, submitted: Sequence[Submitted]) -> bool:
        """Queue workloads in one transaction; False when the service can't take them now."""
        try:
            assigned = self._submit_at_once(submitted)
            if assigned is None:
                self.database.submit(submitted)
        except Away:
            return False
        for new in submitted:
            if not assigned or new.key not in assigned:
                self.tell("ready", new.arrival.customer_id, new.arrival.placement_key, self.timeline.now)
        return True

    def _submit_at_once(self, submitted: Sequence[Submitted]) -> Collection[Key] | None:
        """Have them assigned as they are stored, as far as the coordinator that is asked can do so.

        Gives which were; None when nothing is stored.
        """
        asked = self.random.choice(self.coordinators)
        found = asked.place_at_once([new.arrival for new in submitted])
        if found is None:
            return None
        placements, epoch = found
        workers = {placement.key: placement.worker for placement in placements}
        is_written = False
        try:
            is_written = self.database.submit_assigned(submitted, workers, epoch)
        finally:
            asked.placed(placements, is_written=is_written)
        self.counts["at once" if is_written else "at once, refused"] += len(workers)
        self.counts["at once, together"] += len(workers) if is_written and len(workers) > 1 else 0
        return workers if is_written else None

    # --- links ----------------------------------------------------------------------------------

    def tell(self, kind: str, *what: object) -> None:
        """The feed: to every coordinator, soon, or never."""
        for coordinator in self.coordinators:
            if self.random.random() >= self.loss and not self.broker_is_away:
                delay = 0.001 + 0.004 * self.random.random()
                self.timeline.after(delay, lambda to=coordinator: to.hear(kind, *what))  # type: ignore[misc]

    def send_to_worker(self, worker_id: str, incarnation: str, key: Key, generation: int) -> None:
        """Push an assignment."""
        worker = self.workers[worker_id]

        def arrive() -> None:
            if worker.can_talk and worker.incarnation == incarnation:
                worker.take(key, generation)

        if self.random.random() >= self.loss and not self.broker_is_away:
            self.timeline.after(0.002, arrive)

    def worker_answers(self, worker_id: str, incarnation: str) -> bool:
        """Whether a worker answers a direct question."""
        worker = self.workers[worker_id]
        return worker.can_talk and worker.incarnation == incarnation and self.random.random() >= self.loss

    def apply(self, key: Key, generation: int, incarnation: str, what: str) -> str:
        """An event from a worker: ``applied``, ``fenced`` or ``away``."""
        stored = self.database.workloads[key]
        state = stored.state
        try:
            self.database.answer()
        except Away:
            return "away"
        if state.generation != generation or (state.incarnation != incarnation and not state.status.is_terminal):
            return "fenced"
        if state.status.is_terminal:
            return "applied"
        now = self.database.moment()
        if what == "started":
            if state.status is Status.SCHEDULED:
                self.database.move(key, state.version, transitions.start(state, now, ACTOR))
            return "applied"
        move = transitions.complete(state, now, ACTOR, "{}") if what == "completed" else None
        if what == "handed back":
            move = transitions.release(state, now, ACTOR, "cut off")
        move = move or transitions.unschedule(state, now, ACTOR, "full")
        if self.database.move(key, state.version, move):
            self.released(key, state, ran=what == "completed")
            if what == "completed":
                self.run_seconds[key[0]] += int(stored.run_seconds)
                if stored.completions > 1:
                    self.violated(f"{key[1]} was completed twice")
            else:
                self.count("refusals" if what == "refused" else what)
        return "applied"

    # --- what is checked ------------------------------------------------------------------------

    def released(self, key: Key, before: WorkloadState, *, ran: bool) -> None:
        """A slot was given back."""
        after = self.database.workloads[key]
        self.tell("released", *key, before.generation, ran, before.worker_id)
        if after.state.ready:
            self.tell("ready", key[0], after.placement_key, after.rank)

    def dispatched(self, key: Key) -> None:
        """An assignment was written: limits must hold in the database itself."""
        self.dispatches.append(key[0])
        worker_id = self.database.workloads[key].state.worker_id or ""
        if self.database.slots[worker_id] > self.specs[worker_id].capacity:
            self.violated(f"{worker_id} holds {self.database.slots[worker_id]}")
        if self.database.running[key[0]] > self.customers[key[0]].max_concurrent:
            self.violated(f"{key[0]} holds more than it may")

    def buried(self, worker_id: str, incarnation: str) -> None:
        """A worker was declared dead: it must not have been in reach."""
        self.count("burials")
        worker = self.workers[worker_id]
        if worker.can_talk and worker.incarnation == incarnation and self.loss == 0:
            self.violated(f"{worker_id} was declared dead, alive and in reach")
