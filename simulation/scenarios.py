"""What is simulated. Each scenario takes a seed, gives its figures, and says what was violated."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from niyanta.domain.placement import Affinity, Constraint
from niyanta.domain.roster import Entitlement
from niyanta.domain.workload import Status
from simulation import estimating
from simulation.database import Submitted
from simulation.outcome import Outcome
from simulation.world import Spec, World

__all__ = ["SCENARIOS"]

HOUR = 3600.0
_TOGETHER = (0.0, 0.05, 0.2)
"""How often several are submitted at one moment, and stored by one transaction; the same for all of a run."""


def _fleet(random: Random, workers: int) -> dict[str, Spec]:
    kinds = frozenset({"count", "render"})
    return {
        f"w{n}": Spec(random.randint(1, 4), kinds, {"zone": str(n % 2)} if random.random() < 0.5 else {})
        for n in range(workers)
    }


def _rules(random: Random) -> tuple[Affinity, int]:
    """An affinity that some worker can fulfil sooner or later, and its lane."""
    number = random.randrange(1000)
    match random.randrange(8):
        case 0:
            return Affinity(soft=Constraint(worker_tags={"no": str(number)})), 100 + number
        case 1:
            return Affinity(anti=Constraint(worker_tags={"no": str(number)})), 2000 + number
        case 2:
            return Affinity(anti=Constraint(workload_types=("render",))), 2
        case _:
            return Affinity(), 1


def _busy_world(seed: int, loss: float) -> tuple[World, float]:
    """A system in use; gives the moment at which its customers stop submitting."""
    random = Random(seed)
    fleet = _fleet(random, random.randint(3, 8))
    weights = (1, 10, 10, 50, 100)
    customers = {
        f"cust_{n}": Entitlement(random.choice(weights), random.choice((2, 5, 100)))
        for n in range(random.randint(2, 6))
    }
    world = World(seed, fleet, customers, coordinators=random.randint(1, 3), loss=loss)
    slots = sum(spec.capacity for spec in fleet.values())
    usual = random.uniform(2.0, 60.0)
    gap = usual / slots / random.uniform(0.5, 0.9)
    together, most = random.choice(_TOGETHER), random.choice((4, 16, 64))
    until = 0.75 * HOUR

    def made() -> Submitted:
        affinity, lane = _rules(random)
        kind = "render" if random.random() < 0.1 else "count"
        lane += 10_000 if kind == "render" else 0
        return world.made(
            random.choice(list(customers)),
            min(600.0, random.expovariate(1 / usual)),
            kind=kind,
            affinity=affinity,
            lane=lane,
        )

    def submit() -> None:
        count = random.randint(2, most) if random.random() < together else 1
        world.submit_together([made() for _ in range(count)])
        if world.timeline.now < until:
            world.timeline.after(random.expovariate(1 / (gap * count)), submit)

    world.timeline.after(1.0, submit)
    return world, until


def _break(world: World, faults: Sequence[str], every: float, until: float) -> None:
    """Have things go wrong now and then."""
    random = Random(world.random.random())

    def strike() -> None:
        now = world.timeline.now
        fault = random.choice(faults)
        worker = random.choice(list(world.workers.values()))
        world.count(fault)
        match fault:
            case "kill":
                if worker.is_up:
                    worker.crash(random.uniform(0.5, 20.0))
            case "freeze":
                worker.frozen_until = now + random.uniform(1.0, 40.0)
            case "cut off":
                worker.cut_off_until = now + random.uniform(1.0, 80.0)
            case "freeze coordinator":
                random.choice(world.coordinators).frozen_until = now + random.uniform(0.5, 20.0)
            case "broker away" if not world.broker_is_away:
                world.broker_is_away = True
                world.broker_interruptions += 1
                world.timeline.after(random.uniform(0.5, 30.0), partial(setattr, world, "broker_is_away", False))
            case "database away" if not world.database.is_away:
                world.database.is_away = True
                world.timeline.after(random.uniform(0.5, 30.0), partial(setattr, world.database, "is_away", False))
            case "poison":
                customer = random.choice(list(world.customers))
                world.submit(customer, 5.0, poison=random.choice(("early", "late")))
        if now < until:
            world.timeline.after(random.expovariate(1 / every), strike)

    world.timeline.after(random.expovariate(1 / every), strike)


def _finish(world: World) -> None:
    """Let what is queued run; a customer that may hold two slots only can need long for it."""
    ended = -1
    while world.database.open_count and ended != len(world.database.workloads) - world.database.open_count:
        ended = len(world.database.workloads) - world.database.open_count
        world.timeline.run(world.timeline.now + HOUR / 2)


def _check_end(world: World) -> None:
    """After all is healed and nothing new has come for a while, everything has ended."""
    for (_, workload_id), stored in world.database.workloads.items():
        state = stored.state
        if not state.status.is_terminal:
            world.violated(f"{workload_id} is still {state.status}")
        if stored.poison is not None and state.status is not Status.FAILED:
            world.violated(f"{workload_id}, which ends its worker, is {state.status}")
    if any(world.database.slots.values()):
        world.violated("slots are taken by nothing")


def _outcome(world: World) -> Outcome:
    workloads = world.database.workloads.values()
    world.counts["workloads"] = len(workloads)
    world.counts["completed"] = sum(w.state.status is Status.COMPLETED for w in workloads)
    world.counts["failed"] = sum(w.state.status is Status.FAILED for w in workloads)
    world.counts["worker losses"] = sum(w.deaths for w in workloads)
    return Outcome(world.violations, world.counts)


def faults(seed: int) -> Outcome:
    """Everything goes wrong, for three quarters of an hour; then it heals, and all must end."""
    world, until = _busy_world(seed, loss=Random(seed).choice((0.0, 0.0, 0.01, 0.05)))
    kinds = ("kill", "freeze", "cut off", "freeze coordinator", "broker away", "database away", "poison")
    _break(world, kinds, every=45.0, until=until)
    world.timeline.run(HOUR)
    _finish(world)
    _check_end(world)
    return _outcome(world)


def control(seed: int) -> Outcome:
    """Only coordinators, broker and database fail: no worker may be declared dead, and nothing starts twice."""
    world, until = _busy_world(seed, loss=0.0)
    _break(world, ("freeze coordinator", "broker away", "database away"), every=60.0, until=until)
    world.timeline.run(HOUR)
    _finish(world)
    _check_end(world)
    if world.counts["burials"]:
        world.violated(f"{world.counts['burials']} workers were declared dead by an outage")
    for (_, workload_id), stored in world.database.workloads.items():
        if stored.deaths or stored.state.retry_count:
            world.violated(f"{workload_id} was restarted by an outage")
    return _outcome(world)


def poison(seed: int) -> Outcome:
    """One customer's workloads that end their workers: all fail, and the other customer gets its work done."""
    random = Random(seed)
    fleet = {f"w{n}": Spec(random.randint(1, 4)) for n in range(random.choice((1, 2, 4, 8)))}
    customers = {"bad": Entitlement(10, 100), "good": Entitlement(10, 100)}
    world = World(seed, fleet, customers)
    for _ in range(random.randint(1, 12)):
        world.submit("bad", 5.0, poison=random.choice(("early", "late")))
    done = []
    for n in range(60):
        world.timeline.at(30.0 * n, lambda: done.append(world.submit("good", 1.0)))
    world.timeline.run(2 * HOUR)
    _check_end(world)
    for key, stored in world.database.workloads.items():
        if key[0] == "bad" and stored.deaths > 3 and len(fleet) < 4:
            world.violated(f"{key[1]} took down {stored.deaths} workers")
    return _outcome(world)


def _waits(seed: int, with_big: bool) -> list[float]:
    """How long the workloads of 99 small customers wait for their start."""
    random = Random(seed)
    customers = {f"small_{n:02}": Entitlement(10, 100) for n in range(99)} | {"big": Entitlement(10, 100)}
    fleet = {f"w{n}": Spec(5) for n in range(8)}
    world = World(seed, fleet, customers)
    if with_big:
        for _ in range(10_000):
            world.submit("big", random.uniform(1.0, 10.0))
    for n in range(99):
        # Bursts, so that the small ones queue by themselves, too.
        for _ in range(random.randint(4, 12)):
            at = 30.0 + 60.0 * random.randrange(8)
            seconds = random.uniform(1.0, 10.0)
            world.timeline.at(at, partial(world.submit, f"small_{n:02}", seconds))
    world.timeline.run(900.0)
    small = [s for key, s in world.database.workloads.items() if key[0] != "big"]
    if any(stored.first_start is None for stored in small):
        return [float("inf")]
    return [(stored.first_start or 0.0) - stored.created_at for stored in small]


def crowd(seed: int) -> Outcome:
    """One customer with ten thousand queued against 99 small ones."""
    alone = statistics.quantiles(_waits(seed, with_big=False), n=20)[-1]
    beside = statistics.quantiles(_waits(seed, with_big=True), n=20)[-1]
    outcome = Outcome([], figures={"wait_p95_alone": alone, "wait_p95_beside": beside, "ratio": beside / alone})
    if beside > 2 * alone:
        outcome.violations.append(f"the small ones wait {beside:.1f} s instead of {alone:.1f} s")
    return outcome


def shares(seed: int) -> Outcome:
    """Customers of one tier whose workloads take from two seconds to ten minutes: who gets how many run-seconds."""
    random = Random(seed)
    customers = {f"cust_{n}": Entitlement(10, 1000) for n in range(10)}
    usual = {name: 2.0 * 300 ** (n / 9) for n, name in enumerate(customers)}
    world = World(seed, {f"w{n}": Spec(5) for n in range(4)}, customers)
    waiting: Counter[str] = Counter()

    def refill() -> None:
        started = Counter(world.dispatches)
        for name in customers:
            while waiting[name] - started[name] < 50:
                waiting[name] += 1
                world.submit(name, usual[name] * random.uniform(0.7, 1.3))
        world.timeline.after(10.0, refill)

    refill()
    world.timeline.run(4 * HOUR)
    had = [world.run_seconds[name] for name in customers]
    jain = sum(had) ** 2 / (len(had) * sum(seconds**2 for seconds in had))
    outcome = _outcome(world)
    outcome.figures["jain"] = jain
    if jain < 0.95:
        outcome.violations.append(f"Jain's index is {jain:.3f}: {had}")
    return outcome


SCENARIOS: dict[str, Callable[[int], Outcome]] = {
    "faults": faults,
    "control": control,
    "poison": poison,
    "crowd": crowd,
    "shares": shares,
    "estimates": estimating.run,
}
"""By name."""
