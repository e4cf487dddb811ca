"""A roster over a model of the queue, in which a pass is committed at once."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping

from simulation.backlog import Backlog

from niyanta.domain.placement import Affinity, WorkerView
from niyanta.domain.roster import Entitlement, Placement, Roster

__all__ = ["ANYWHERE", "Shop", "worker"]

ANYWHERE = Affinity()


def worker(name: str, capacity: int = 2, kinds: str = "count render", **tags: str) -> WorkerView:
    return WorkerView(name, "i", capacity, tags, frozenset(kinds.split()))


class Shop:
    """A roster with its queue; a pass is committed at once."""

    def __init__(self, *fleet: WorkerView, weights: Mapping[str, int] | None = None, most: int = 1_000_000) -> None:
        self.weights = dict(weights or {})
        self.most = most
        self.roster = Roster(self._entitlement, trial_seconds=20.0)
        self.roster.learn_fleet(fleet)
        self.backlog = Backlog()
        self.now = 0.0
        self.generations: Counter[tuple[str, str]] = Counter()
        self._numbers = itertools.count()

    def _entitlement(self, customer_id: str) -> Entitlement | None:
        return Entitlement(self.weights.get(customer_id, 10), self.most)

    def add(
        self,
        customer: str,
        count: int = 1,
        affinity: Affinity = ANYWHERE,
        lane: int = 1,
        *,
        suspect: bool = False,
        kind: str = "count",
        rank: float | None = None,
    ) -> list[str]:
        ids = []
        for _ in range(count):
            number = next(self._numbers)
            ids.append(f"{customer}-{number}")
            at = float(number) if rank is None else rank
            self.backlog.add(customer, ids[-1], at, kind, affinity, lane, is_suspect=suspect)
            self.roster.lanes.note(customer, lane, at)
        return ids

    def one_pass(self, most: int = 400) -> list[Placement]:
        self.roster.tick(self.now)
        agenda = self.roster.choose(most)
        read_once = {(lane.customer_id, lane.placement_key) for lane, _ in agenda.lanes}
        assert len(read_once) == len(agenda.lanes), "a lane is read twice, and what is in it may be assigned twice"
        with_suspects = self.roster.may_try_suspects
        read = self.backlog.read(agenda, with_suspects=with_suspects)
        placements = self.roster.place(agenda, read, with_suspects=with_suspects)
        for placement in placements:
            assert self.backlog.take(placement.key)
            self.generations[placement.key] += 1
            self.roster.keep(placement, self.generations[placement.key])
        return placements

    def passes(self, most: int = 400) -> list[Placement]:
        """Until a pass changes nothing."""
        done: list[Placement] = []
        for _ in range(10_000):
            before = len(done), len(self.roster.lanes), self.roster.lanes.effort
            done += self.one_pass(most)
            if before == (len(done), len(self.roster.lanes), self.roster.lanes.effort):
                return done
            if before[:2] == (len(done), len(self.roster.lanes)) and self.roster.lanes.effort - before[2] < 4:
                return done
        raise AssertionError("it never comes to rest")

    def end(self, placement: Placement, seconds: float = 0.0) -> None:
        self.now += seconds
        self.roster.tick(self.now)
        self.roster.released(placement.key, self.generations[placement.key])

    def dispatch(self, count: int, seconds: Mapping[str, float] | None = None) -> list[str]:
        """On a single slot: whose workloads ran, one after another."""
        order: list[str] = []
        while len(order) < count:
            placed = self.one_pass()
            assert len(placed) <= 1
            if placed:
                customer = placed[0].key[0]
                order.append(customer)
                self.end(placed[0], (seconds or {}).get(customer, 1.0))
        return order
