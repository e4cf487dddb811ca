"""All that the scheduler knows and decides, without a database.

Who is there, who holds what, what waits, and whose turn it is.

A pass is ``choose`` (whose turns these are, and which lanes to read), the reading, ``place`` (which workload goes to
which worker), the writing, and `keep` or `give_up` for each placement. What the roster holds is only ever too
careful: a slot is taken when an assignment is planned, and given back when a release is known to be committed.

What a worker that refuses has to wait is in `niyanta.domain.refusals`; how workloads are tried that may be what ends
their workers, in `niyanta.domain.suspects`.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from niyanta.domain.bays import Lane
from niyanta.domain.fairness import TURN_LEAST_SECONDS, TURN_MOST_SECONDS, FairClock
from niyanta.domain.fleet import Demand, Fleet, Shortlist
from niyanta.domain.lanes import Agenda, Allowance, Lanes
from niyanta.domain.placement import Affinity, WorkerView
from niyanta.domain.refusals import Refusals
from niyanta.domain.suspects import Suspects
from niyanta.domain.workload import Key

__all__ = ["Candidate", "Entitlement", "Found", "Held", "Placement", "Roster"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A queued workload, as far as planning needs it."""

    workload_id: str
    rank: float
    is_suspect: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What was read of a lane: its first workloads, in rank order, and what all of them ask for."""

    workload_type: str
    affinity: Affinity
    waiting: Sequence[Candidate]


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What a customer may have at most."""

    weight: int
    max_concurrent: int


@dataclass(frozen=True, slots=True)
class Held:
    """A slot that an assignment has taken, as the database has it."""

    key: Key
    generation: int
    worker_id: str
    workload_type: str


@dataclass(frozen=True, slots=True)
class Placement:
    """Assign this workload to this worker. Its slot is taken already."""

    key: Key
    workload_type: str
    worker: WorkerView
    weight: int
    charged: float
    """Run-seconds that the customer's mark was moved by."""
    is_suspect: bool = False


@dataclass(slots=True)
class _Holding:
    generation: int
    worker_id: str
    workload_type: str
    weight: int = 0
    """0: it was found, not made here; nothing was charged for it."""
    charged: float = 0.0
    began: float = 0.0


_Shortlists = dict[tuple[str, Demand, Lane | None], Shortlist]
_Heads = list[tuple[float, int, int]]
"""A heap of what a group of lanes has to give in one pass: (rank, which lane, which of its workloads)."""


class Roster:
    """The scheduler's picture. Moments are seconds on one monotonic clock.

    Args:
        entitlement: What a customer may have; None for one that gets nothing.
        trial_seconds: How long a suspect is on trial after its assignment.
    """

    def __init__(self, entitlement: Callable[[str], Entitlement | None], trial_seconds: float) -> None:
        self._entitlement = entitlement
        self.fleet = Fleet()
        self.clock = FairClock()
        self.lanes = Lanes(self.fleet, self.clock)
        self._held: dict[Key, _Holding] = {}
        self._of_worker: dict[str, set[Key]] = {}
        self._running: Counter[str] = Counter()
        self._outruns: list[tuple[float, Key, int]] = []
        self._suspects = Suspects(trial_seconds)
        self._refusals = Refusals()
        self._now = 0.0

    # --- what is learned ------------------------------------------------------------------------

    def learn_fleet(self, views: Iterable[WorkerView]) -> None:
        """Who is there now. Loads carry over."""
        known = {view.worker_id for view in self.fleet.views()}
        changed = self.fleet.replace(views)
        for view in changed:
            if view.worker_id not in known:
                for key in self._of_worker.get(view.worker_id, ()):
                    view.take(self._held[key].workload_type)
            view.resting = self._refusals.is_resting(view.worker_id, self._now)
            self.lanes.stir(view, new=True)
            self._suspects.retry()

    def learn_held(self, rows: Iterable[Held], workers: Iterable[str] | None = None) -> None:
        """What is held, of these workers or of all: what isn't there has been let go unheard."""
        found = {row.key: row for row in rows}
        if workers is None:
            known = list(self._held)
        else:
            known = [key for worker_id in workers for key in self._of_worker.get(worker_id, ())]
        for key in known:
            row = found.get(key)
            if row is None or row.generation != self._held[key].generation:
                self._let_go(key)
        for key, row in found.items():
            if key not in self._held:
                self._hold(key, _Holding(row.generation, row.worker_id, row.workload_type), is_new=True)

    def forget_slots(self) -> None:
        """Which slots are taken isn't known any more: it is learned anew from `learn_held`."""
        self._held.clear()
        self._of_worker.clear()
        self._running.clear()
        self._outruns.clear()
        for view in self.fleet.views():
            view.used = 0
            view.running.clear()
        self.lanes.reopen_all()
        self._suspects.retry()

    def forget_idle(self) -> None:
        """Drop what is kept of customers with nothing queued, so that memory stays bounded."""
        self.clock.forget_idle([*self.lanes.customers(), *self._running])
        self.lanes.sweep()

    def released(self, key: Key, generation: int, *, ran: bool = True) -> None:
        """A release of this generation is committed; unless it ``ran``, its duration says nothing."""
        holding = self._held.get(key)
        if holding is not None and holding.generation <= generation:
            self._let_go(key, ran=ran)

    def refused(self, worker_id: str, now: float) -> None:
        """The worker refused an assignment."""
        self._refusals.refused(worker_id, now)
        if view := self.fleet.get(worker_id):
            view.resting = True

    def lingers(self, worker_id: str, count: int, until: float) -> None:
        """The worker says that ended attempts still hold so many of its slots; believed until the moment."""
        if view := self.fleet.get(worker_id):
            came_free = count < view.lingering
            view.lingering = count
            self._refusals.lingers(worker_id, until)
            if came_free:
                self._stir(view)

    def running(self, customer_id: str) -> int:
        """How many slots the customer holds."""
        return self._running[customer_id]

    def holds(self, key: Key) -> bool:
        """Whether a slot is taken by this workload."""
        return key in self._held

    # --- a pass ---------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Time has passed."""
        self._now = now
        self.clock.tick(now)
        rested, free = self._refusals.over(now)
        for worker_id in rested:
            if (view := self.fleet.get(worker_id)) and view.resting:
                view.resting = False
                self._stir(view)
        for worker_id in free:
            if view := self.fleet.get(worker_id):
                view.lingering = 0
                self._stir(view)
        self._suspects.tick(now)
        if self.may_try_suspects:
            for lane in self._suspects.returned():
                self.lanes.note(lane.customer_id, lane.placement_key, float("-inf"))
        self._charge_outruns(now)

    def _stir(self, view: WorkerView) -> None:
        """A slot of the worker came free."""
        self.lanes.stir(view)
        self._suspects.retry()

    def _charge_outruns(self, now: float) -> None:
        """An attempt that has run for as long as was charged is charged the double."""
        while self._outruns and self._outruns[0][0] <= now:
            _, key, generation = heapq.heappop(self._outruns)
            holding = self._held.get(key)
            if holding is None or holding.generation != generation or holding.charged >= TURN_MOST_SECONDS:
                continue
            more = min(holding.charged, TURN_MOST_SECONDS - holding.charged)
            self.clock.adjust(key[0], holding.weight, more)
            holding.charged += more
            heapq.heappush(self._outruns, (holding.began + holding.charged, key, generation))

    @property
    def may_try_suspects(self) -> bool:
        """Whether a pass may assign a suspect."""
        return self._suspects.may_try(len(self.fleet))

    def choose(self, most: int) -> Agenda:
        """Which lanes to read, and whose turns the assignments then are."""
        return self.lanes.choose(self._allowance, most)

    def _allowance(self, customer_id: str) -> Allowance | None:
        entitled = self._entitlement(customer_id)
        if entitled is None:
            return None
        return Allowance(entitled.weight, entitled.max_concurrent - self._running[customer_id])

    def place(self, agenda: Agenda, read: Mapping[tuple[str, int], Found], *, with_suspects: bool) -> list[Placement]:
        """Fill the turns with what was read of the agenda's lanes.

        Args:
            agenda: From `choose`, on the same picture.
            read: By customer and placement key; lanes with nothing ready are left out.
            with_suspects: Whether suspects were read, too, of lanes that don't skip them.
        """
        placements: list[Placement] = []
        used: dict[int, int] = {}
        shortlists: _Shortlists = {}
        heads = [self._heads(lanes, read) for lanes, _ in agenda.groups]
        for turn in agenda.turns:
            lanes, _ = agenda.groups[turn.group]
            allowed = self._allowance(turn.customer_id)
            if allowed is None or allowed.slots <= 0:
                continue
            found = self._fill(lanes, read, heads[turn.group], shortlists)
            if found is None:
                continue
            lane, candidate, worker = found
            worker.take(lane.workload_type or "")
            self._running[turn.customer_id] += 1
            used[id(lane)] = used.get(id(lane), 0) + 1
            key = (turn.customer_id, candidate.workload_id)
            if candidate.is_suspect:
                self._suspects.try_on(key, worker.worker_id, self._now)
            charged = self.lanes.use(turn, allowed.weight)
            placements.append(
                Placement(key, lane.workload_type or "", worker, allowed.weight, charged, candidate.is_suspect)
            )
        taken = {placement.key for placement in placements}
        for lane, most in agenda.lanes:
            self._update(lane, read.get((lane.customer_id, lane.placement_key)), taken, most, with_suspects)
        return placements

    def _heads(self, lanes: Sequence[Lane], read: Mapping[tuple[str, int], Found]) -> _Heads:
        heads: _Heads = []
        for number, lane in enumerate(lanes):
            found = read.get((lane.customer_id, lane.placement_key))
            if found is not None:
                self.lanes.describe(lane, found.workload_type, found.affinity)
                heads.append((found.waiting[0].rank, number, 0))
        heapq.heapify(heads)
        return heads

    def _fill(
        self,
        lanes: Sequence[Lane],
        read: Mapping[tuple[str, int], Found],
        heads: _Heads,
        shortlists: _Shortlists,
    ) -> tuple[Lane, Candidate, WorkerView] | None:
        """The best of what waits that a worker can take now."""
        while heads:
            _, number, position = heapq.heappop(heads)
            lane = lanes[number]
            candidates = read[lane.customer_id, lane.placement_key].waiting
            candidate = candidates[position]
            worker = self._worker_for(lane, candidate, shortlists)
            if worker is None and not candidate.is_suspect:
                continue  # free slots only shrink within a pass, so this lane is done for now
            if position + 1 < len(candidates):
                heapq.heappush(heads, (candidates[position + 1].rank, number, position + 1))
            if worker is not None:
                return lane, candidate, worker
        return None

    def _worker_for(self, lane: Lane, candidate: Candidate, shortlists: _Shortlists) -> WorkerView | None:
        # Lanes share a list that differ only in customers with the same workers, and in wishes that nobody fulfils.
        pool = self.fleet.pool_of(lane.customer_id)
        key = (pool, lane.demand, lane if self.fleet.can_please(lane.affinity.soft) else None)
        shortlist = shortlists.get(key)
        if shortlist is None:
            fitting = self.fleet.fitting(lane.customer_id, lane.demand, lane.workload_type or "", lane.affinity)
            shortlist = shortlists[key] = Shortlist(fitting, lane.affinity)
        if not candidate.is_suspect:
            return shortlist.best()
        if not self.may_try_suspects:
            return None
        return shortlist.best(avoid=self._suspects.busy_workers)

    def _update(self, lane: Lane, found: Found | None, taken: set[Key], most: int, with_suspects: bool) -> None:
        """What has become of a lane that was read."""
        waiting = found.waiting if found else ()
        left = [c for c in waiting if (lane.customer_id, c.workload_id) not in taken]
        if any(candidate.is_suspect for candidate in left):
            self._suspects.skip(lane)
        if harmless := next((candidate for candidate in left if not candidate.is_suspect), None):
            self.lanes.advance(lane, harmless.rank)
        elif len(waiting) >= most:
            self.lanes.advance(lane, waiting[-1].rank)
        elif lane.skips_suspects or not with_suspects:
            self._suspects.skip(lane)
            self.lanes.put_aside(lane)  # only suspects are left, as far as is known
        else:
            self.lanes.drop(lane)

    def keep(self, placement: Placement, generation: int) -> None:
        """The placement is written."""
        holding = _Holding(
            generation,
            placement.worker.worker_id,
            placement.workload_type,
            placement.weight,
            placement.charged,
            self._now,
        )
        self._hold(placement.key, holding, is_new=False)
        heapq.heappush(self._outruns, (self._now + placement.charged, placement.key, generation))

    def give_up(self, placement: Placement) -> None:
        """The placement wasn't written: somebody else was quicker with the workload."""
        customer_id = placement.key[0]
        placement.worker.give_back(placement.workload_type)
        self._running[customer_id] -= 1
        self._suspects.ended(placement.key)
        self.clock.adjust(customer_id, placement.weight, -placement.charged)
        self.lanes.credited(customer_id)

    # --- slots ----------------------------------------------------------------------------------

    def _hold(self, key: Key, holding: _Holding, *, is_new: bool) -> None:
        """Keep who holds what. A slot is taken for one that ``is_new``; a placement has taken it already."""
        self._let_go(key)
        self._held[key] = holding
        self._of_worker.setdefault(holding.worker_id, set()).add(key)
        if is_new:
            self._running[key[0]] += 1
            if worker := self.fleet.get(holding.worker_id):
                worker.take(holding.workload_type)

    def _let_go(self, key: Key, *, ran: bool = True) -> None:
        holding = self._held.pop(key, None)
        if holding is None:
            return
        self._suspects.ended(key)
        customer_id = key[0]
        keys = self._of_worker[holding.worker_id]
        keys.discard(key)
        if not keys:
            del self._of_worker[holding.worker_id]
        self._running[customer_id] -= 1
        if self._running[customer_id] <= 0:
            del self._running[customer_id]
        self.lanes.reopen(customer_id)
        if holding.weight and ran:
            self.clock.settle(customer_id, holding.weight, holding.charged, self._now - holding.began)
            self.lanes.credited(customer_id)
        elif holding.weight:
            self.clock.adjust(customer_id, holding.weight, TURN_LEAST_SECONDS - holding.charged)
            self.lanes.credited(customer_id)
        if worker := self.fleet.get(holding.worker_id):
            worker.give_back(holding.workload_type)
            self._stir(worker)
