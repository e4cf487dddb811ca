"""Whose turn it is between customers, and a workload's place within its customer's queue.

Between customers: start-time fair queueing, on run-seconds. Each customer has a *mark*, which grows by the
run-seconds of what it starts, divided by its tier's weight; the lowest mark goes next. What an assignment will cost
is guessed from the customer's own past when it is made, counted as at least `TURN_LEAST_SECONDS` and at most
`TURN_MOST_SECONDS`, and put right when the attempt ends or outruns the guess.

What follows from that:

* **Run-seconds.** Customers that always have something eligible consume run-seconds in proportion to their weights,
  as far as their workloads take between a second and an hour each; shorter ones count as a second, longer ones as an
  hour.
* **Dispatches.** Between k such customers of equal weight whose workloads cost alike, each gets at least ⌊n/k⌋ - 1 of
  any n consecutive dispatches. In general one whose dispatches cost *c* has, for this rule, the weight ``weight /
  c``; so however long its workloads are, it is not passed by for more than ``3600 / weight`` run-seconds of each of
  the others.
* **Idling saves nothing up**: a mark is never behind the present, the mark of who was last served. What was used
  while nobody else wanted it is held against nobody.
* **Debt** is how far a mark is ahead of the present. It is at most an hour's worth, and halves every six hours.

Within a customer: by rank, see `queue_rank`.

Source: Goyal, Vin and Cheng, "Start-time Fair Queuing", 1996; ADR 0013.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = [
    "AGEING_SECONDS_PER_PRIORITY",
    "DEBT_HALF_LIFE_SECONDS",
    "TURN_LEAST_SECONDS",
    "TURN_MOST_SECONDS",
    "FairClock",
    "queue_rank",
]

AGEING_SECONDS_PER_PRIORITY = 0.6
"""Waiting this long weighs as much as one point of priority: 1000 points are made up for in ten minutes."""

TURN_LEAST_SECONDS = 1.0
"""An assignment costs at least this much: work for the service that short workloads make, too."""
TURN_MOST_SECONDS = 3600.0
"""And at most this much, so that nobody is passed by for longer than that."""
DEBT_HALF_LIFE_SECONDS = 6 * 3600.0
"""Long beside the costliest turn, so that it forgives, but not within a turn."""

_NEWEST_SHARE = 0.25
"""Of the newest run in what the next is expected to take."""
_MOST_REMEMBERED = 100_000
"""Customers whose usual run-seconds are kept."""


def rank_with_priority(rank: float, old: int, new: int) -> float:
    """The rank of a workload whose priority changes; its age and its place in its batch stay as they are."""
    return rank + AGEING_SECONDS_PER_PRIORITY * (old - new)


def queue_rank(created_at_seconds: float, priority: int) -> float:
    """A workload's place in its customer's queue; lower goes first.

    Priority grows linearly with waiting, so the order of two workloads never changes while they wait, and the
    rank can be a stored, indexed number (ADR 0005).

    Args:
        created_at_seconds: Unix seconds of the submission.
        priority: 0 to 1000, higher first.
    """
    return created_at_seconds - AGEING_SECONDS_PER_PRIORITY * priority


def _turn(seconds: float) -> float:
    return min(TURN_MOST_SECONDS, max(TURN_LEAST_SECONDS, seconds))


class FairClock:
    """The customers' marks. Lives with one leader; a new leader starts even.

    Moments and durations are seconds, marks run-seconds per point of weight.
    """

    def __init__(self) -> None:
        self.present = 0.0
        """The mark of who was last served, at that time."""
        self._moment = 0.0
        self._marks: dict[str, tuple[float, float]] = {}
        """Of those ahead of the present: the mark, and the moment for which it holds."""
        self._consumed: dict[str, float] = {}
        self._expected: dict[str, float] = {}
        self._usual = TURN_LEAST_SECONDS
        self._journal: tuple[float, dict[str, tuple[tuple[float, float] | None, float | None]]] | None = None

    def tick(self, moment: float) -> None:
        """Set the moment; debts age by it."""
        self._moment = max(self._moment, moment)

    def mark(self, customer_id: str) -> float:
        """How much the customer has had; not before the present."""
        found = self._marks.get(customer_id)
        if found is None or found[0] <= self.present:
            return self.present
        mark, at = found
        return self.present + (mark - self.present) * math.exp2((at - self._moment) / DEBT_HALF_LIFE_SECONDS)

    def consumed(self, customer_id: str) -> float:
        """Run-seconds per weight in all: orders those whose marks are level, see `Lanes`."""
        return self._consumed.get(customer_id, 0.0)

    def cost(self, customer_id: str) -> float:
        """Run-seconds that the customer's next workload is expected to take, as a turn counts them."""
        return self._expected.get(customer_id, self._usual)

    def charge(self, customer_id: str, weight: int) -> float:
        """Count one dispatch; gives the run-seconds charged."""
        cost = self.cost(customer_id)
        start = self.mark(customer_id)
        self._set(customer_id, start + cost / weight, cost / weight)
        self.present = max(self.present, start)
        return cost

    def adjust(self, customer_id: str, weight: int, seconds: float) -> None:
        """An attempt took more (or, below zero, less) than was charged for it."""
        before = self.mark(customer_id)
        furthest = max(before, self.present + TURN_MOST_SECONDS / weight)
        self._set(customer_id, min(furthest, max(self.present, before + seconds / weight)), seconds / weight)

    def settle(self, customer_id: str, weight: int, charged: float, ran_seconds: float) -> None:
        """An attempt has ended: put its charge right, and expect the next to take as long."""
        turn = _turn(ran_seconds)
        self.adjust(customer_id, weight, turn - charged)
        old = self._expected.get(customer_id, turn)
        if len(self._expected) >= _MOST_REMEMBERED:
            self._expected.clear()
        self._expected[customer_id] = old + _NEWEST_SHARE * (turn - old)
        self._usual += 0.02 * (turn - self._usual)

    @property
    def is_rehearsing(self) -> bool:
        """Whether what is charged now will be taken back."""
        return self._journal is not None

    def rehearse(self) -> None:
        """From here on nothing is meant, until `back`."""
        self._journal = (self.present, {})

    def back(self) -> None:
        """Undo all since `rehearse`."""
        if self._journal is None:
            return
        self.present, changed = self._journal
        self._journal = None
        for customer_id, (mark, consumed) in changed.items():
            if mark is None:
                self._marks.pop(customer_id, None)
            else:
                self._marks[customer_id] = mark
            if consumed is None:
                self._consumed.pop(customer_id, None)
            else:
                self._consumed[customer_id] = consumed

    def forget_idle(self, active: Iterable[str]) -> None:
        """Drop customers that have nothing queued and no debt, so that memory stays bounded."""
        keep = set(active)
        self._marks = {c: found for c, found in self._marks.items() if c in keep or found[0] > self.present}
        self._consumed = {c: s for c, s in self._consumed.items() if c in keep or c in self._marks}

    def _set(self, customer_id: str, mark: float, consumed: float) -> None:
        if self._journal is not None and customer_id not in self._journal[1]:
            self._journal[1][customer_id] = (self._marks.get(customer_id), self._consumed.get(customer_id))
        self._marks[customer_id] = (mark, self._moment)
        self._consumed[customer_id] = self._consumed.get(customer_id, 0.0) + consumed
