"""A million workloads of ten thousand customers on five hundred workers: what a pass of the scheduler costs then."""

from __future__ import annotations

import time
from collections import Counter
from random import Random

from niyanta.domain.lanes import Agenda
from niyanta.domain.placement import Affinity, WorkerView
from niyanta.domain.roster import Candidate, Entitlement, Found, Placement, Roster
from simulation.outcome import Outcome
from simulation.timeline import Timeline

__all__ = ["run"]

_ANYWHERE = Affinity()


class _Million:
    """A queue so deep that only its heads exist: lane by lane, how many are left."""

    def __init__(self, customers: int, each: int) -> None:
        self.left = dict.fromkeys((f"cust_{n:05}" for n in range(customers)), each)
        self.rows_read = 0

    def read(self, agenda: Agenda) -> dict[tuple[str, int], Found]:
        """The heads of some lanes."""
        found = {}
        for lane, most in agenda.lanes:
            left = self.left[lane.customer_id]
            heads = [Candidate(f"{lane.customer_id}-{left - n}", float(-left + n)) for n in range(min(most, left))]
            self.rows_read += len(heads)
            if heads:
                found[lane.customer_id, lane.placement_key] = Found("count", _ANYWHERE, heads)
        return found


def run(
    seed: int, customers: int = 10_000, pending: int = 1_000_000, workers: int = 500, seconds: float = 120.0
) -> Outcome:
    """Two virtual minutes of a fleet that is always full."""
    random = Random(seed)
    timeline = Timeline()
    weights = {f"cust_{n:05}": random.choice((1, 10, 10, 50)) for n in range(customers)}
    roster = Roster(lambda customer: Entitlement(weights[customer], 1_000), trial_seconds=20.0)
    roster.learn_fleet([WorkerView(f"w{n}", "i", 20, {}, frozenset({"count"})) for n in range(workers)])
    million = _Million(customers, pending // customers)
    for customer, left in million.left.items():
        roster.lanes.note(customer, 1, float(-left))
    turns: Counter[str] = Counter()
    costs: list[float] = []

    def end(placement: Placement) -> None:
        roster.tick(timeline.now)
        roster.released(placement.key, 1)

    def one_pass() -> None:
        began = time.process_time()
        roster.tick(timeline.now)
        agenda = roster.choose(400)
        placements = roster.place(agenda, million.read(agenda), with_suspects=True)
        for placement in placements:
            roster.keep(placement, 1)
        costs.append(time.process_time() - began)
        for placement in placements:
            customer = placement.key[0]
            million.left[customer] -= 1
            turns[customer] += 1
            timeline.after(random.expovariate(1 / 10.0), lambda p=placement: end(p))  # type: ignore[misc]
        timeline.after(0.005 if placements else 0.05, one_pass)

    one_pass()
    timeline.run(seconds)
    outcome = Outcome([])
    outcome.counts["passes"] = len(costs)
    outcome.counts["assigned"] = turns.total()
    busy = sorted(costs)
    outcome.figures = {
        "pass_ms_median": 1000 * busy[len(busy) // 2],
        "pass_ms_p99": 1000 * busy[int(len(busy) * 0.99)],
        "assigned_per_cpu_second": turns.total() / sum(costs),
    }
    slots = sum(view.capacity for view in roster.fleet.views())
    held = sum(view.used for view in roster.fleet.views())
    if held < 0.9 * slots:
        outcome.violations.append(f"only {held} of {slots} slots are in use, with a million pending")
    passed_by = sum(weight >= 10 and not turns[customer] for customer, weight in weights.items())
    if passed_by:
        outcome.violations.append(f"{passed_by} customers of standard tier or above were never served")
    return outcome
