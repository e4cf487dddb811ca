"""Which of all lanes a pass of the scheduler reads: the fair ones, and never more than a fixed number.

A *lane* is one customer's ready workloads of one placement class. There may be a hundred thousand, made by one
customer with a wish of its own for each workload, so a pass may not look at all of them, nor at all customers:

* Each lane stands in a **bay**: that of the one condition on workers which the fewest of them fulfil
  (`Fleet.hook_for`). Only bays with a free slot among their workers are looked at.
* Within a bay customers wait in a heap by their marks (`FairClock`), and each customer's lanes in a heap by the rank
  of their first workload. A pass takes turns from the bays' heaps, so fairness chooses the lanes. What a customer has
  in its lanes beyond its turns isn't looked at.
* A lane that nothing can take at its turn goes to **sleep**, and is looked at again, a few lanes a pass and by turns
  between customers, when a slot for it came free or, if no worker suited it at all, when the fleet changed.

A pass costs O((turns + `_MOST_FAILURES`) log customers), whatever there is besides. `Lanes.effort` counts.

Marks are level for customers that wait for scarce workers, while work for others moves the present on. Among level
ones the order is by what they have consumed since they came into the bay, so weights hold there, too.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from niyanta.domain.bays import UNREAD, Bay, Lane, Seat
from niyanta.domain.fairness import FairClock
from niyanta.domain.fleet import Fit, Fleet, Hook, demand_of
from niyanta.domain.placement import Affinity, WorkerView

__all__ = ["Agenda", "Allowance", "AllowanceOf", "Lanes", "Turn"]

_MOST_LANES = 256
"""Lanes that a pass reads."""
_MOST_LANES_EACH = 32
"""Of one customer in one bay, while others wait."""
_MOST_FAILURES = 128
"""Lanes that a pass finds to be blocked, until it stops looking."""
_MOST_FAILURES_EACH = 16
_MOST_WOKEN = 64
_MOST_WOKEN_IN_BAY = 8
_MOST_BAYS_MOVED = 16
"""Bays of a customer that are put in order at once when it gets something back; in others it comes late once."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a customer may have."""

    weight: int
    slots: int
    """How many more it may start now."""


AllowanceOf = Callable[[str], Allowance | None]
"""What a customer may have; None for one that gets nothing."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One assignment that a customer may have of its lanes in one bay."""

    customer_id: str
    group: int
    """The same for turns that choose among the same lanes."""
    bay: Bay


@dataclass(slots=True)
class Agenda:
    """What a pass is to read, and whose turns it then fills, in order."""

    turns: list[Turn] = field(default_factory=list)
    groups: list[tuple[list[Lane], int]] = field(default_factory=list)
    """Lanes and how many workloads of each to read."""
    blocked: int = 0
    """Lanes that were looked at and found to be blocked: there may be more that aren't."""

    @property
    def lanes(self) -> list[tuple[Lane, int]]:
        """Each lane with how many of its heads to read."""
        return [(lane, most) for lanes, most in self.groups for lane in lanes]


class Lanes:
    """All lanes with something ready, as far as is known."""

    def __init__(self, fleet: Fleet, clock: FairClock) -> None:
        self._fleet = fleet
        self._clock = clock
        self._stamps = itertools.count(1)
        self._lanes: dict[str, dict[int, Lane]] = {}
        self._bays: dict[Hook, Bay] = {}
        self._closed: dict[str, set[Bay]] = {}
        self._served = itertools.count(1)
        self.effort = 0
        """Lanes and customers looked at so far: what passes cost."""

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def customers(self) -> list[str]:
        """Those with a lane."""
        return list(self._lanes)

    def get(self, customer_id: str, placement_key: int) -> Lane | None:
        """A lane; None when nothing is known to be ready in it."""
        return self._lanes.get(customer_id, {}).get(placement_key)

    def note(self, customer_id: str, placement_key: int, rank: float) -> None:
        """Something became ready; ``rank`` is not behind its own."""
        lane = self.get(customer_id, placement_key)
        if lane is None:
            lane = Lane(customer_id, placement_key, rank)
            self._lanes.setdefault(customer_id, {})[placement_key] = lane
            self._bay(lane.hook).push(lane)
            return
        self.take_back(lane)
        if rank < lane.rank:
            lane.rank = rank
            if lane.stamp:
                self._bay(lane.hook).push(lane)

    def describe(self, lane: Lane, workload_type: str, affinity: Affinity) -> None:
        """What a lane asks for has been read."""
        if lane.workload_type is not None:
            return
        lane.workload_type, lane.affinity = workload_type, affinity
        lane.demand = demand_of(workload_type, affinity)
        lane.hook = self._fleet.hook_for(workload_type, affinity)
        self._bay(lane.hook).push(lane)

    def advance(self, lane: Lane, rank: float) -> None:
        """Its first workload now has this rank."""
        if rank != lane.rank:
            lane.rank = rank
            self._bay(lane.hook).push(lane)

    def drop(self, lane: Lane) -> None:
        """Nothing of it is ready any more."""
        lane.gone = True
        lanes = self._lanes.get(lane.customer_id)
        if lanes is not None and lanes.get(lane.placement_key) is lane:
            del lanes[lane.placement_key]
            if not lanes:
                del self._lanes[lane.customer_id]

    def stir(self, view: WorkerView, *, new: bool = False) -> None:
        """A slot of the worker came free; or (``new``) it came, or suits other workloads than before."""
        for hook in self._fleet.hooks(view.worker_id):
            if bay := self._bays.get(hook):
                bay.busy.stir(view.customers)
                if new:
                    bay.unfit.stir(view.customers)

    def use(self, turn: Turn, weight: int) -> float:
        """The turn has led to an assignment; gives the run-seconds charged for it."""
        turn.bay.begin_turn(turn.customer_id)
        return self._clock.charge(turn.customer_id, weight)

    def put_aside(self, lane: Lane) -> None:
        """Look at the lane again when something new is noted in it, or when it is taken back."""
        lane.is_aside, lane.stamp = True, 0

    def take_back(self, lane: Lane) -> None:
        """Look at a lane again that was put aside."""
        if lane.is_aside and not lane.gone:
            lane.is_aside = False
            self._bay(lane.hook).push(lane)

    def reopen(self, customer_id: str) -> None:
        """The customer may start more again."""
        for bay in self._closed.pop(customer_id, ()):
            bay.reseat(customer_id)

    def reopen_all(self) -> None:
        """Limits may have changed."""
        for customer_id in list(self._closed):
            self.reopen(customer_id)

    def credited(self, customer_id: str) -> None:
        """The customer's mark went back."""
        lanes = itertools.islice(self._lanes.get(customer_id, {}).values(), _MOST_BAYS_MOVED)
        for bay in {lane.bay for lane in lanes if lane.bay is not None and lane.stamp}:
            if (seat := bay.seats.get(customer_id)) and seat.stamp:
                bay.reseat(customer_id)

    def close(self, customer_id: str, bay: Bay) -> None:
        """The customer may start nothing more: pass it by in this bay until it is let in again."""
        self._closed.setdefault(customer_id, set()).add(bay)

    def next_served(self) -> int:
        """A number for a turn, greater than all before."""
        return next(self._served)

    def sweep(self) -> None:
        """Forget bays in which nothing is left."""
        self._bays = {hook: bay for hook, bay in self._bays.items() if not bay.is_empty}

    def _bay(self, hook: Hook) -> Bay:
        bay = self._bays.get(hook)
        if bay is None:
            bay = self._bays[hook] = Bay(self._clock, self._stamps)
        return bay

    def _rooms(self) -> dict[Bay, int]:
        """Bays with a free slot among their workers, and how many."""
        rooms: dict[Bay, int] = {}
        total = 0
        for view in self._fleet.open():
            total += view.free
            for hook in self._fleet.hooks(view.worker_id):
                if bay := self._bays.get(hook):
                    rooms[bay] = rooms.get(bay, 0) + view.free
        if total and (unread := self._bays.get(UNREAD)):
            rooms[unread] = total
        return rooms

    def _wake(self, rooms: dict[Bay, int]) -> None:
        left = _MOST_WOKEN
        for bay in rooms:
            for sleepers in (bay.busy, bay.unfit):
                for lane in sleepers.wake(min(left, _MOST_WOKEN_IN_BAY)):
                    bay.push(lane)
                    left -= 1

    def choose(self, gate: AllowanceOf, most: int) -> Agenda:
        """Whose turns the next ``most`` assignments are, and which lanes they may be taken from.

        Changes no mark: the marks move when assignments are made.
        """
        rooms = self._rooms()
        self._wake(rooms)
        self._clock.rehearse()
        try:
            return _Choice(self, self._clock, self._fleet, rooms, gate, most).run()
        finally:
            self._clock.back()
            for bay in rooms:
                bay.settle()


class _Choice:
    """One run of `Lanes.choose`."""

    def __init__(
        self, lanes: Lanes, clock: FairClock, fleet: Fleet, rooms: dict[Bay, int], gate: AllowanceOf, most: int
    ) -> None:
        self._lanes = lanes
        self._clock = clock
        self._fleet = fleet
        self._rooms = rooms
        self._gate = gate
        self._most = most
        self._allowed: dict[str, Allowance | None] = {}
        self._started: dict[str, int] = {}
        self._failed: dict[str, int] = {}
        self._failures = 0
        self._read = 0
        self._groups: dict[tuple[Bay, str], int] = {}
        self._turns: list[Turn] = []

    def run(self) -> Agenda:
        order = [(0.0, 0, number, bay) for number, bay in enumerate(self._rooms)]
        while order and len(self._turns) < self._most and self._failures < _MOST_FAILURES:
            mark, served, number, bay = order[0]
            customer_id = bay.first()
            self._lanes.effort += 1
            if customer_id is None or self._rooms[bay] <= 0:
                heapq.heappop(order)
                continue
            actual = (self._clock.mark(customer_id), bay.served)
            if actual > (mark, served):
                heapq.heapreplace(order, (*actual, number, bay))
            else:
                self._serve(bay, customer_id)
        return self._agenda()

    def _serve(self, bay: Bay, customer_id: str) -> None:
        """Give the customer a turn in the bay, or pass it by in this pass."""
        if customer_id not in self._allowed:
            self._allowed[customer_id] = self._gate(customer_id)
        allowed = self._allowed[customer_id]
        if allowed is None or allowed.slots <= 0:
            bay.close(customer_id)
            self._lanes.close(customer_id, bay)
            return
        seat = bay.seats[customer_id]
        # What is taken without a turn would be left over, and taken again by a later pass.
        if self._started.get(customer_id, 0) < allowed.slots:
            self._take_lane(bay, seat, customer_id)
        if not seat.taken or self._started.get(customer_id, 0) >= allowed.slots:
            bay.set_aside(customer_id)
            return
        bay.served = self._lanes.next_served()
        seat.turns += 1
        self._rooms[bay] -= 1
        self._started[customer_id] = self._started.get(customer_id, 0) + 1
        group = self._groups.setdefault((bay, customer_id), len(self._groups))
        self._turns.append(Turn(customer_id, group, bay))
        self._clock.charge(customer_id, allowed.weight)

    def _take_lane(self, bay: Bay, seat: Seat, customer_id: str) -> None:
        """Add the customer's best lane that isn't blocked to those that its turns choose from."""
        if self._read >= _MOST_LANES or len(seat.taken) >= _MOST_LANES_EACH:
            return
        while seat.has_lanes() and self._failed.get(customer_id, 0) < _MOST_FAILURES_EACH:
            _, _, lane = heapq.heappop(seat.lanes)
            self._lanes.effort += 1
            fit = Fit.NOW
            if lane.workload_type is not None:
                fit = self._fleet.fit(customer_id, lane.demand, lane.workload_type, lane.affinity)
            if fit is Fit.NOW:
                seat.taken.append(lane)
                self._read += 1
                return
            (bay.busy if fit is Fit.BUSY else bay.unfit).put(lane)
            self._failed[customer_id] = self._failed.get(customer_id, 0) + 1
            self._failures += 1

    def _agenda(self) -> Agenda:
        agenda = Agenda(self._turns, blocked=self._failures)
        for bay, customer_id in self._groups:
            seat = bay.seats[customer_id]
            lanes, turns = seat.taken, seat.turns
            seat.taken, seat.turns = [], 0
            most = turns if len(lanes) == 1 else min(turns, -(-turns // len(lanes)) + 1)
            agenda.groups.append((lanes, most))
            for lane in lanes:
                bay.push(lane)
        return agenda
