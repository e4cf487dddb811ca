"""Lanes that have one condition on their worker in common, and whose turn it is among their customers.

A `Bay` keeps a seat for each customer with a lane that is awake in it. Seats are in two heaps: of customers whose
mark is level with the present, by what they have consumed since they came into the bay; of the others, by mark. A
seat's lanes are in a heap by the rank of their first workload. Entries of a heap are never looked for: what changes
its place gets a new *stamp*, and entries with an older one are void and dropped when they come up.

Lanes that nothing can take are with the `Sleepers`. Why all this is so is told in `niyanta.domain.lanes`.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from niyanta.domain.fairness import FairClock
from niyanta.domain.fleet import Demand, Hook
from niyanta.domain.placement import Affinity

__all__ = ["UNREAD", "Bay", "Lane", "Seat", "Sleepers"]

_MOST_WOKEN_EACH = 2

_ANYWHERE = Affinity()
UNREAD: Hook = ("unread",)
"""Of lanes of which nothing is known but their name: they are read to learn what they ask for."""


@dataclass(slots=True, eq=False)
class Lane:
    """One customer's ready workloads of one placement class."""

    customer_id: str
    placement_key: int
    rank: float
    """Not behind its first workload's."""
    workload_type: str | None = None
    affinity: Affinity = _ANYWHERE
    demand: Demand = ()
    hook: Hook = UNREAD
    """Names its bay."""
    bay: Bay | None = None
    stamp: int = 0
    """Of its newest entry in a heap; older ones are void. 0: it has none."""
    slept_round: int = 0
    is_aside: bool = False
    skips_suspects: bool = False
    """Its suspects have to wait: it is read without them."""
    gone: bool = False


@dataclass(slots=True)
class Seat:
    """A customer with lanes that are awake in one bay."""

    offset: float
    stamp: int = 0
    lanes: list[tuple[float, int, Lane]] = field(default_factory=list)
    taken: list[Lane] = field(default_factory=list)
    turns: int = 0
    """With ``taken``, what this pass gives it."""
    pushed: int = 0
    """Since void entries were last dropped."""

    def has_lanes(self) -> bool:
        """Whether a lane is left; drops void entries in front of it."""
        lanes = self.lanes
        while lanes and (lanes[0][2].gone or lanes[0][2].stamp != lanes[0][1]):
            heapq.heappop(lanes)
        return bool(lanes)


class Sleepers:
    """Blocked lanes: after a `stir` each is looked at once more, by turns between customers."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[Lane]] = {}
        self._rotation: deque[str] = deque()
        self._count = 0
        self._round = 1
        self._quiet: int | None = None
        self._called: dict[str, int] = {}
        """Customers who alone have reason to wake, and how many of their lanes haven't been looked at since."""

    def __bool__(self) -> bool:
        return self._count > 0

    def put(self, lane: Lane) -> None:
        """The lane is blocked."""
        lane.slept_round, lane.stamp = self._round, 0
        self._count += 1
        lanes = self._lanes.get(lane.customer_id)
        if lanes is None:
            lanes = self._lanes[lane.customer_id] = deque()
            self._rotation.append(lane.customer_id)
        lanes.append(lane)

    def stir(self, customers: Iterable[str] = ()) -> None:
        """All that sleep now may have reason to wake; with ``customers`` only theirs."""
        if customers:
            self._called |= {each: len(lanes) for each in customers if (lanes := self._lanes.get(each))}
        elif self._rotation:
            self._round += 1
            self._quiet = 0

    def wake(self, most: int) -> Iterator[Lane]:
        """Take out at most this many that have slept since before the last stir."""
        for customer_id in list(itertools.islice(self._called, most)):
            left, lanes = self._called.pop(customer_id), self._lanes[customer_id]
            taken = [lanes.popleft() for _ in range(min(left, most, _MOST_WOKEN_EACH, len(lanes)))]
            self._count -= len(taken)
            most -= len(taken)
            if left > len(taken) and lanes:
                self._called[customer_id] = left - len(taken)
            yield from (lane for lane in taken if not lane.gone)
        looks = 2 * most
        while most > 0 and looks > 0 and self._rotation and self._quiet is not None:
            looks -= 1
            customer_id = self._rotation.popleft()
            lanes = self._lanes[customer_id]
            woken = 0
            while lanes and lanes[0].slept_round < self._round and woken < min(most, _MOST_WOKEN_EACH):
                lane = lanes.popleft()
                woken += 1
                self._count -= 1
                if not lane.gone:
                    yield lane
            most -= woken
            if lanes:
                self._rotation.append(customer_id)
            else:
                del self._lanes[customer_id]
                self._called.pop(customer_id, None)
            self._quiet = 0 if woken else self._quiet + 1
            if self._quiet > len(self._rotation):
                self._quiet = None  # once around, and all have been looked at


class Bay:
    """Lanes that have one condition on their worker in common.

    Args:
        clock: Marks, and what each customer has consumed.
        stamps: Numbers that rise, shared by all bays.
    """

    def __init__(self, clock: FairClock, stamps: Iterator[int]) -> None:
        self._clock = clock
        self._stamps = stamps
        self.seats: dict[str, Seat] = {}
        self._due: list[tuple[float, int, str]] = []
        """Customers whose mark is level with the present, by what they have consumed."""
        self._ahead: list[tuple[float, int, str]] = []
        """The others, by mark."""
        self._present = 0.0
        self.served = 0
        self.moved: list[str] = []
        self.busy = Sleepers()
        self.unfit = Sleepers()

    @property
    def is_empty(self) -> bool:
        """Whether no lane is in it, awake or asleep."""
        return not self.seats and not self.busy and not self.unfit

    def push(self, lane: Lane) -> None:
        """Put a lane in, or anew at another rank."""
        seat = self.seats.get(lane.customer_id)
        lane.bay, lane.stamp = self, next(self._stamps)
        if seat is None:
            seat = self.seats[lane.customer_id] = Seat(self._present - self._clock.consumed(lane.customer_id))
            self.reseat(lane.customer_id)
        heapq.heappush(seat.lanes, (lane.rank, lane.stamp, lane))
        seat.pushed += 1
        if seat.pushed > 2 * len(seat.lanes) + 100:
            seat.pushed = 0
            seat.lanes = [e for e in seat.lanes if not e[2].gone and e[2].stamp == e[1]]
            heapq.heapify(seat.lanes)

    def reseat(self, customer_id: str) -> None:
        """Put the customer where its mark belongs."""
        seat = self.seats.get(customer_id)
        if seat is None:
            return
        seat.stamp = next(self._stamps)
        mark = self._clock.mark(customer_id)
        if mark <= self._clock.present:
            heapq.heappush(self._due, (self._tag(customer_id, seat), seat.stamp, customer_id))
        else:
            heapq.heappush(self._ahead, (mark, seat.stamp, customer_id))
        if self._clock.is_rehearsing:
            self.moved.append(customer_id)
        if len(self._due) + len(self._ahead) > 3 * len(self.seats) + 100:
            self._rebuild()

    def _rebuild(self) -> None:
        """Drop the void entries."""
        for heap in (self._due, self._ahead):
            heap[:] = [e for e in heap if (seat := self.seats.get(e[2])) and seat.stamp == e[1]]
            heapq.heapify(heap)

    def close(self, customer_id: str) -> None:
        """Pass the customer by until it is put in again."""
        self.seats[customer_id].stamp = 0

    def set_aside(self, customer_id: str) -> None:
        """Pass the customer by for the rest of this pass."""
        self.seats[customer_id].stamp = 0
        self.moved.append(customer_id)

    def _tag(self, customer_id: str, seat: Seat) -> float:
        return self._clock.consumed(customer_id) + seat.offset

    def first(self) -> str | None:
        """The customer whose turn it is here."""
        clock = self._clock
        while self._ahead and self._ahead[0][0] <= clock.present:
            _, stamp, customer_id = heapq.heappop(self._ahead)
            if (seat := self.seats.get(customer_id)) and seat.stamp == stamp:
                heapq.heappush(self._due, (self._tag(customer_id, seat), stamp, customer_id))
        while heap := self._due or self._ahead:
            key, stamp, customer_id = heap[0]
            seat = self.seats.get(customer_id)
            if seat is None or seat.stamp != stamp:
                heapq.heappop(heap)
            elif not seat.taken and not seat.has_lanes():
                heapq.heappop(heap)
                del self.seats[customer_id]
            else:
                mark = clock.mark(customer_id)
                is_late = mark > clock.present or self._tag(customer_id, seat) > key
                if is_late if heap is self._due else mark > key:
                    heapq.heappop(heap)
                    self.reseat(customer_id)
                else:
                    return customer_id
        return None

    def begin_turn(self, customer_id: str) -> None:
        """A turn of the customer's is used; what comes into the bay from now on begins there."""
        if seat := self.seats.get(customer_id):
            self._present = max(self._present, self._tag(customer_id, seat))

    def settle(self) -> None:
        """Put all whose place has changed meanwhile where they belong."""
        moved, self.moved = set(self.moved), []
        for customer_id in moved:
            self.reseat(customer_id)
        self.moved.clear()
