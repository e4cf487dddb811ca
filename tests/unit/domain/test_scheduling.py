"""Placement, fairness, ranks and back-off."""

from __future__ import annotations

from collections import Counter, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niyanta.domain.fairness import Candidate, CustomerQueue, FairClock, Lane, plan, queue_rank
from niyanta.domain.ids import make_id, milliseconds_of
from niyanta.domain.placement import Affinity, Constraint, WorkerView, choose, could_run, explain
from niyanta.domain.retry import backoff_seconds

ANYWHERE = Affinity()


def worker(name: str, capacity: int = 2, **tags: str) -> WorkerView:
    return WorkerView(name, "i", capacity, tags, frozenset({"count", "render"}))


def queue(customer: str, weight: int, waiting: int, affinity: Affinity = ANYWHERE) -> CustomerQueue:
    candidates = deque(Candidate(f"{customer}-{n}", float(n)) for n in range(waiting))
    return CustomerQueue(customer, weight, 1_000_000, [Lane("count", affinity, candidates)])


@pytest.mark.parametrize(
    ("affinity", "fits"),
    [
        (Affinity(), True),
        (Affinity(hard=Constraint(worker_id="w")), True),
        (Affinity(hard=Constraint(worker_id="v")), False),
        (Affinity(hard=Constraint(worker_tags={"gpu": "a"})), True),
        (Affinity(hard=Constraint(worker_tags={"gpu": "a", "zone": "1"})), False),
        (Affinity(hard=Constraint(workload_types=("render",))), True),
        (Affinity(hard=Constraint(workload_types=("other",))), False),
        (Affinity(anti=Constraint(worker_id="w")), False),
        (Affinity(anti=Constraint(worker_tags={"gpu": "a"})), False),
        (Affinity(anti=Constraint(worker_tags={"gpu": "b"})), True),
    ],
)
def test_filters(affinity: Affinity, fits: bool) -> None:
    assert could_run(worker("w", gpu="a"), "count", affinity) is fits


def test_soft_affinity_then_load_then_name_decide() -> None:
    busy, idle, liked = worker("a"), worker("b"), worker("c", zone="1")
    busy.take("count")
    liked.take("count")
    assert choose([busy, idle, liked], ANYWHERE) is idle
    assert choose([busy, idle, liked], Affinity(soft=Constraint(worker_tags={"zone": "1"}))) is liked


def test_anti_affinity_avoids_types_that_run_now() -> None:
    one, rules = worker("a"), Affinity(anti=Constraint(workload_types=("render",)))
    one.take("render")
    assert choose([one], rules) is None
    assert "anti-affinity" in (explain([one], "count", rules) or "")
    one.give_back("render")
    assert choose([one], rules) is one


def test_reasons_name_what_is_missing() -> None:
    assert "no live worker serves" in (explain([], "count", ANYWHERE) or "")
    rules = Affinity(hard=Constraint(worker_tags={"gpu": "b"}))
    assert "gpu=b" in (explain([worker("w")], "count", rules) or "")
    full = worker("w", capacity=1)
    full.take("count")
    assert "full" in (explain([full], "count", ANYWHERE) or "")
    assert explain([worker("w")], "count", ANYWHERE) is None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(weights=st.lists(st.sampled_from([1, 10, 50, 100]), min_size=1, max_size=5), slots=st.integers(1, 200))
def test_dispatches_follow_the_weights(weights: list[int], slots: int) -> None:
    queues = [queue(f"c{n}", weight, slots + 1) for n, weight in enumerate(weights)]
    counts = Counter(p.customer_id for p in plan(queues, [worker("w", slots)], FairClock()))
    assert counts.total() == slots
    for number, weight in enumerate(weights):
        share = slots * weight / sum(weights)
        assert counts[f"c{number}"] >= int(share) - len(weights)


def test_an_equal_customer_is_never_behind_by_more_than_one() -> None:
    clock, turns = FairClock(), []
    for _ in range(40):
        turns += [p.customer_id for p in plan([queue("a", 10, 9), queue("b", 10, 9)], [worker("w", 3)], clock)]
    for end in range(1, len(turns)):
        assert abs(turns[:end].count("a") - turns[:end].count("b")) <= 1


def test_what_can_not_be_placed_blocks_nobody() -> None:
    nowhere = Affinity(hard=Constraint(worker_id="none"))
    mixed = queue("a", 1, 50, nowhere)
    mixed.lanes.append(Lane("count", ANYWHERE, deque([Candidate("a-late", 1e9)])))
    assert [p.workload_id for p in plan([mixed], [worker("w")], FairClock())] == ["a-late"]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(capacities=st.lists(st.integers(1, 5), min_size=1, max_size=6), allowance=st.integers(0, 12))
def test_capacity_and_allowance_are_never_exceeded(capacities: list[int], allowance: int) -> None:
    fleet = [worker(f"w{n}", capacity) for n, capacity in enumerate(capacities)]
    one = queue("a", 1, 40)
    one.allowance = allowance
    placed = plan([one], fleet, FairClock())
    assert len(placed) == min(allowance, sum(capacities))
    assert all(view.used <= view.capacity for view in fleet)


def test_ageing_bounds_the_wait() -> None:
    assert queue_rank(0, 1000) < queue_rank(0, 0)
    assert queue_rank(0, 0) < queue_rank(601, 1000)


@given(failures=st.integers(1, 200), chance=st.floats(0, 1, exclude_max=True))
@settings(deadline=None, derandomize=True)
def test_back_off_is_bounded(failures: int, chance: float) -> None:
    assert 0 <= backoff_seconds(failures, chance) <= min(60, 2.0 ** (failures - 1))


@given(moment=st.integers(0, 2**48 - 1), random_bits=st.integers(0, 2**80 - 1))
@settings(deadline=None, derandomize=True)
def test_ids_carry_their_time(moment: int, random_bits: int) -> None:
    identifier = make_id("wl_", moment, random_bits)
    assert milliseconds_of(identifier) == moment
    assert len(identifier) == 29
    if moment < 2**48 - 1:
        assert identifier < make_id("wl_", moment + 1, 0)
