"""What is assigned as it is stored is what a pass of the scheduler would have assigned then, or nothing is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from operator import itemgetter

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from niyanta.domain.arrivals import Arrival, place_at_once
from niyanta.domain.placement import Affinity, Constraint
from niyanta.domain.roster import Placement
from support.shop import ANYWHERE, Shop, worker

RULES = (
    ANYWHERE,
    Affinity(hard=Constraint(worker_tags={"zone": "1"})),
    Affinity(anti=Constraint(workload_types=("render",))),
    Affinity(soft=Constraint(worker_tags={"zone": "0"})),
    Affinity(hard=Constraint(worker_tags={"zone": "nowhere"})),
)


def arrival(customer: str, number: int, lane: int = 0, *, kind: str = "count", rank: float | None = None) -> Arrival:
    """One that asks for what its lane stands for."""
    at = float(number) if rank is None else rank
    key = 1 + lane + (100 if kind == "render" else 0)
    return Arrival(customer, f"{customer}-new-{number}", kind, key, RULES[lane], at)


def at_once(shop: Shop, *arrivals: Arrival, most: int = 400) -> list[Placement]:
    """Place what may be, and queue the rest, as the service does.

    A pass, which every change wakes, has looked before, and found nothing to do.
    """
    shop.roster.choose(1)
    shop.roster.tick(shop.now)
    placements = place_at_once(shop.roster, arrivals, most)
    placed = {placement.key for placement in placements}
    for placement in placements:
        shop.generations[placement.key] += 1
        shop.roster.keep(placement, 1)
    for new in arrivals:
        if (new.customer_id, new.workload_id) not in placed:
            _queue(shop, new)
    return placements


def _queue(shop: Shop, new: Arrival) -> None:
    shop.backlog.add(new.customer_id, new.workload_id, new.rank, new.workload_type, new.affinity, new.placement_key)
    shop.roster.lanes.note(new.customer_id, new.placement_key, new.rank)


def by_passes(shop: Shop, arrivals: list[Arrival]) -> tuple[list[Placement], list[Placement]]:
    """Queue them all; what the first pass assigns that knows what their lanes ask for, and what all later ones do.

    Its turns are as many as arrive in new lanes. It doesn't know how many are in each, so it may read more of one
    than are there, and leave to the next what it could have had from another.
    """
    shop.roster.choose(1)
    turns = sum(shop.roster.lanes.get(new.customer_id, new.placement_key) is None for new in arrivals)
    for new in arrivals:
        _queue(shop, new)
        lane = shop.roster.lanes.get(new.customer_id, new.placement_key)
        assert lane is not None
        shop.roster.lanes.describe(lane, new.workload_type, new.affinity)
    first, rest = shop.one_pass(turns), []
    while more := shop.one_pass():
        rest += more
    return first, rest


def told(placements: list[Placement]) -> list[tuple[object, ...]]:
    return [(p.key, p.workload_type, p.worker.worker_id, p.charged, p.weight) for p in placements]


def by_customer(placements: list[Placement]) -> Counter[str]:
    return Counter(placement.key[0] for placement in placements)


CUSTOMERS = st.sampled_from(["a", "b", "c"])
KINDS = st.sampled_from(["count", "count", "render"])


@dataclass(frozen=True)
class Past:
    """What a shop has been through."""

    capacities: list[int]
    weights: dict[str, int]
    most: int
    steps: list[tuple[str, str, int, float]]


PASTS = st.builds(
    Past,
    capacities=st.lists(st.sampled_from([1, 2, 3, 4, 40]), min_size=1, max_size=3),
    weights=st.fixed_dictionaries({name: st.sampled_from([1, 10, 100]) for name in "abc"}),
    most=st.sampled_from([1, 2, 3, 4, 5, 6, 60]),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["submit", "submit", "queue", "pass", "end", "end"]),
            CUSTOMERS,
            st.integers(0, 4),
            st.floats(0, 60),
        ),
        max_size=20,
    ),
)
ONE = st.tuples(CUSTOMERS, st.integers(0, 4), KINDS, st.integers(0, 500))
ARRIVALS = st.one_of(
    st.lists(ONE, min_size=1, max_size=6, unique_by=itemgetter(3)),
    st.lists(ONE, min_size=40, max_size=64, unique_by=itemgetter(3)),
)


def live(past: Past) -> Shop:
    """A shop with this past; the same past makes the same shop."""
    shop = Shop(
        *(worker(f"w{n}", capacity, zone=str(n % 2)) for n, capacity in enumerate(past.capacities)),
        weights=past.weights,
        most=past.most,
    )
    running: list[Placement] = []
    for number, (what, customer, lane, seconds) in enumerate(past.steps):
        if what == "submit":
            running += at_once(shop, arrival(customer, number, lane))
        elif what == "queue":
            _queue(shop, arrival(customer, number, lane))
        elif what == "pass":
            running += shop.one_pass()
        elif running:
            shop.end(running.pop(lane % len(running)), seconds)
    return shop


@settings(max_examples=300, deadline=None, derandomize=True)
@given(past=PASTS, new=ARRIVALS)
def test_turns_limits_priorities_and_workers_are_those_of_a_pass(
    past: Past, new: list[tuple[str, int, str, int]]
) -> None:
    arrivals = [arrival(c, 100 + n, lane, kind=kind, rank=at) for n, (c, lane, kind, at) in enumerate(new)]
    shop, other = live(past), live(past)
    placed = at_once(shop, *arrivals)
    first, rest = by_passes(other, arrivals)
    event(f"placed: {min(len(placed), 9)}, of a crowd: {len(new) > 6}")
    if placed:
        assert by_customer(first) <= by_customer(placed) <= by_customer(first + rest)
        lanes = {(new.customer_id, new.placement_key) for new in arrivals}
        if len(lanes) == len({customer for customer, _ in lanes}):
            assert told(placed) == told(first + rest)[: len(placed)]
    held = Counter(key[0] for key in shop.generations if shop.roster.holds(key))
    assert all(count <= past.most for count in held.values())
    assert all(view.used <= view.capacity for view in shop.roster.fleet.views())
    if by_customer(placed) == by_customer(first + rest):
        for name in "abc":
            assert shop.roster.clock.mark(name) == other.roster.clock.mark(name)
            assert shop.roster.running(name) == other.roster.running(name)


def test_what_is_not_placed_at_once_is_placed_later() -> None:
    shop = Shop(worker("w", 3), most=2)
    placed = at_once(shop, *(arrival("a", n, rank=float(n % 3)) for n in range(5)))
    order = [p.key[1] for p in placed]
    while placed:
        shop.end(placed.pop(0), 1.0)
        placed += shop.one_pass()
        order += [p.key[1] for p in placed[1:] if p.key[1] not in order]
    assert order == [f"a-new-{n}" for n in (0, 3, 1, 4, 2)]
    assert len(shop.roster.lanes) == 0


def test_a_lone_one_takes_a_free_slot_and_leaves_no_lane() -> None:
    shop = Shop(worker("w"))
    assert [p.worker.worker_id for p in at_once(shop, arrival("a", 1))] == ["w"]
    assert len(shop.roster.lanes) == 0
    assert shop.roster.running("a") == 1


def test_without_a_free_slot_nothing_is_even_noted() -> None:
    shop = Shop(worker("w", 1))
    at_once(shop, arrival("a", 1))
    assert place_at_once(shop.roster, [arrival("b", 2)], 400) == []
    assert len(shop.roster.lanes) == 0


def test_who_has_reached_its_limit_waits() -> None:
    shop = Shop(worker("w", 5), most=2)
    assert len(at_once(shop, *(arrival("a", n) for n in range(4)))) == 2
    assert at_once(shop, arrival("a", 9)) == []
    assert len(at_once(shop, arrival("b", 10))) == 1


def test_of_several_the_first_by_rank_get_the_slots() -> None:
    shop = Shop(worker("w", 2))
    ranks = [5.0, 1.0, 3.0, 2.0]
    placed = at_once(shop, *(arrival("a", n, rank=rank) for n, rank in enumerate(ranks)))
    assert [p.key[1] for p in placed] == ["a-new-1", "a-new-3"]


def test_nothing_goes_before_what_waits_in_its_lane() -> None:
    """Even of a higher priority: what the lane has is only known when it is read."""
    shop = Shop(worker("w"))
    shop.add("a")
    assert at_once(shop, arrival("a", 5, rank=-100.0)) == []
    assert [p.key[1] for p in shop.one_pass()] == ["a-new-5", "a-0"]


def test_nothing_goes_before_another_whose_turn_it_is() -> None:
    shop = Shop(worker("w", 4))
    at_once(shop, arrival("a", 1), arrival("a", 2))
    shop.add("b")
    assert at_once(shop, arrival("a", 3)) == []
    assert [p.key[0] for p in shop.one_pass()] == ["b", "a"]


def test_who_can_not_be_placed_holds_nobody_up() -> None:
    """A lane that no worker suits is no reason to wait."""
    shop = Shop(worker("w", 4))
    assert at_once(shop, arrival("a", 1, 4)) == []
    shop.passes()
    assert len(at_once(shop, arrival("a", 2), arrival("b", 3))) == 2


def test_what_is_not_written_gives_its_slot_back() -> None:
    shop = Shop(worker("w", 1))
    (placement,) = place_at_once(shop.roster, [arrival("a", 1)], 400)
    shop.roster.give_up(placement)
    assert [p.key[0] for p in at_once(shop, arrival("b", 2))] == ["b"]
    assert shop.roster.running("a") == 0


@pytest.mark.parametrize("state", ["draining", "resting", "lingering"])
def test_a_worker_that_takes_nothing_now_is_given_nothing(state: str) -> None:
    shop = Shop(worker("w", 1))
    (view,) = shop.roster.fleet.views()
    setattr(view, state, 1)
    assert at_once(shop, arrival("a", 1)) == []


def test_no_more_are_placed_than_asked_for() -> None:
    shop = Shop(worker("w", 10))
    assert len(at_once(shop, *(arrival("a", n) for n in range(6)), most=4)) == 4
    assert len(shop.passes()) == 2
