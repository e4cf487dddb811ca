"""How good the estimates of a start are, by the very functions that coordinators answer with."""

from __future__ import annotations

import statistics
from collections import Counter
from random import Random

from niyanta.domain.estimates import ServiceRate, estimated_start
from niyanta.domain.roster import Entitlement
from simulation.outcome import Outcome
from simulation.world import Spec, World

__all__ = ["run"]

_HOUR = 3600.0
_NOTE_SECONDS = 1.0
_LONG_SECONDS = 20.0
"""Who waits for less is served before an estimate says much."""
_FACTOR = 2.0
"""The usual estimate is no further off than by this."""


class _Customer:
    """One who submits in bursts, and asks each time when it will be its turn."""

    def __init__(self, world: World, name: str, random: Random) -> None:
        self._world = world
        self._name = name
        self._random = random
        self._usual = random.uniform(4.0, 20.0)
        self.rate = ServiceRate()
        self.submitted = 0
        self.started = 0
        self.told: list[tuple[tuple[str, str], float]] = []
        """Each workload that an estimate was given for, and how many seconds it said."""
        self.untold = 0

    def burst(self) -> None:
        """Submit many at once."""
        for _ in range(self._random.randint(20, 200)):
            self._submit()

    def _submit(self) -> None:
        world, database = self._world, self._world.database
        now = database.moment()
        held = database.running[self._name]
        may_run = held < world.customers[self._name].max_concurrent
        ahead = self.submitted - self.started
        said = estimated_start(now, ahead, self.rate.per_second, may_run=may_run)
        key = world.submit(self._name, min(300.0, self._random.expovariate(1 / self._usual)))
        self.submitted += 1
        if key is None:
            return
        if said is None:
            self.untold += 1
            return
        seconds = (said - now).total_seconds()
        if seconds < 0:
            world.violated(f"{key[1]} was told to start in the past")
        self.told.append((key, seconds))


def run(seed: int) -> Outcome:
    """An hour of bursts that compete for one fleet; nothing goes wrong."""
    random = Random(seed)
    entitled = {f"cust_{n}": Entitlement(random.choice((10, 10, 50)), random.choice((10, 100))) for n in range(6)}
    world = World(seed, {f"w{n}": Spec(4) for n in range(6)}, entitled)
    customers = {name: _Customer(world, name, random) for name in entitled}

    def note() -> None:
        assigned = Counter(world.dispatches)
        for name, customer in customers.items():
            customer.started = assigned[name]
            waiting = customer.submitted > assigned[name]
            customer.rate.note(world.timeline.now, assigned[name], waiting=waiting)
        world.timeline.after(_NOTE_SECONDS, note)

    note()
    for customer in customers.values():
        for _ in range(random.randint(3, 6)):
            world.timeline.at(random.uniform(5.0, 0.75 * _HOUR), customer.burst)
    world.timeline.run(2 * _HOUR)
    ratios = []
    for customer in customers.values():
        for key, said in customer.told:
            stored = world.database.workloads[key]
            waited = (stored.first_start or world.timeline.now) - stored.created_at
            if waited > _LONG_SECONDS:
                ratios.append((said + 1) / (waited + 1))
    outcome = Outcome(world.violations, world.counts)
    outcome.counts["estimates"] = sum(len(customer.told) for customer in customers.values())
    outcome.counts["no estimate"] = sum(customer.untold for customer in customers.values())
    if ratios:
        usual = statistics.median(ratios)
        outcome.figures["estimate by wait"] = usual
        outcome.figures["within twice"] = sum(1 / _FACTOR <= r <= _FACTOR for r in ratios) / len(ratios)
        if not 1 / _FACTOR <= usual <= _FACTOR:
            outcome.violations.append(f"estimates are usually off by a factor of {usual:.2f}")
    return outcome
