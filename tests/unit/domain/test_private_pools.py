"""Workers that work for a few customers only: nobody else's workloads go there, and nobody else is in their way."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from niyanta.domain.bays import Lane, Sleepers
from niyanta.domain.placement import Affinity, Constraint, WorkerView, choose, eligible
from niyanta.domain.roster import Placement
from support.shop import ANYWHERE, Shop, worker


def private(name: str, customers: str, capacity: int = 2, **tags: str) -> WorkerView:
    return replace(worker(name, capacity, **tags), customers=frozenset(customers.split()))


def went(placements: list[Placement]) -> set[tuple[str, str]]:
    return {(placement.key[0], placement.worker.worker_id) for placement in placements}


def test_a_private_worker_gets_its_customers_workloads_only() -> None:
    shop = Shop(private("own", "a b", 10), worker("all", 2))
    for customer in "abc":
        shop.add(customer, 5)
    placed = shop.passes()
    assert {customer for customer, where in went(placed) if where == "own"} == {"a", "b"}
    assert Counter(p.worker.worker_id for p in placed) == {"own": 10, "all": 2}
    assert ("c", "all") in went(placed)


def test_not_even_who_names_the_worker_gets_there() -> None:
    shop = Shop(private("own", "a"))
    shop.add("c", 1, Affinity(hard=Constraint(worker_id="own")))
    assert shop.passes() == []


def test_a_customer_s_own_workers_are_taken_first() -> None:
    shop = Shop(private("own", "a", 2), worker("all", 2))
    shop.add("a", 3)
    first, second, third = shop.passes()
    assert [p.worker.worker_id for p in (first, second, third)] == ["own", "own", "all"]
    views = [private("own", "a", 2), worker("all", 2)]
    assert (found := choose(eligible(views, "a", "count", ANYWHERE), ANYWHERE)) is not None
    assert found.worker_id == "own"
    assert [view.worker_id for view in eligible(views, "c", "count", ANYWHERE)] == ["all"]


def elsewhere(number: int) -> Affinity:
    return Affinity(anti=Constraint(worker_tags={"zone": "2", "no": str(number)}))


def test_a_crowd_of_others_keeps_nobody_from_its_own_worker() -> None:
    """All sleep in one bay. When the worker has a slot again only its customer's lanes have reason to wake."""
    shop = Shop(private("own", "a", 1, zone="1"), worker("full", 1, zone="1"), worker("open", 1, zone="2"))
    shop.add("keeper", 1, elsewhere(9), lane=9)
    (kept,) = [p for p in shop.passes() if p.worker.worker_id == "full"]
    (mine,) = shop.add("a", 1, elsewhere(1), lane=1)
    (placed,) = shop.passes()
    assert placed.key[1] == mine
    for number in range(500):
        for lane in range(4):
            shop.add(f"crowd{number}", 1, elsewhere(lane), lane=lane)
    for lane in range(40):
        shop.add("a", 1, elsewhere(lane), lane=lane)
    for _ in range(2_500):  # each is looked at once, and there is nothing for it
        assert shop.one_pass() == []
    for _ in range(40):
        shop.end(placed, 1.0)
        effort = shop.roster.lanes.effort
        (placed,) = shop.one_pass()
        assert (placed.key[0], placed.worker.worker_id) == ("a", "own")
        assert shop.roster.lanes.effort - effort < 20
    shop.end(kept, 1.0)
    assert {customer[:5] for customer, where in went(shop.passes()) if where == "full"} == {"crowd"}


def test_each_of_many_sleeping_lanes_of_the_customer_is_looked_at() -> None:
    shop = Shop(private("own", "a b", 1))
    for customer in "ab":
        for lane in range(60):
            shop.add(customer, 1, elsewhere(lane), lane=lane)
    done: list[Placement] = []
    while placed := shop.passes():
        done += placed
        for placement in placed:
            shop.end(placement, 1.0)
    assert Counter(p.key[0] for p in done) == {"a": 60, "b": 60}


def test_who_was_called_sleeps_no_more() -> None:
    """Else a bay for each worker that ever was would never be given back."""
    sleepers = Sleepers()
    lanes = [Lane(customer, key, 0.0) for customer in "ab" for key in range(3)]
    for lane in lanes:
        sleepers.put(lane)
    sleepers.stir({"a", "never"})
    assert {lane.customer_id for _ in range(3) for lane in sleepers.wake(8)} == {"a"}
    assert list(sleepers.wake(8)) == []
    assert sleepers
    sleepers.stir({"b"})
    assert len([lane for _ in range(3) for lane in sleepers.wake(1)]) == 3
    assert not sleepers


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_nothing_is_ever_placed_with_a_stranger_and_nothing_that_fits_waits(data: st.DataObject) -> None:
    def fleet() -> list[WorkerView]:
        pools = data.draw(st.lists(st.sampled_from(["", "a", "b", "a b"]), min_size=1, max_size=4))
        return [
            replace(private(f"w{n}", customers, 2), incarnation=f"i{customers}") for n, customers in enumerate(pools)
        ]

    shop = Shop(*fleet())
    held: list[Placement] = []
    for _ in range(data.draw(st.integers(1, 30))):
        match data.draw(st.sampled_from(["add", "end", "fleet"])):
            case "add":
                lane = data.draw(st.integers(1, 3))
                shop.add(data.draw(st.sampled_from("abc")), data.draw(st.integers(1, 4)), lane=lane)
            case "end" if held:
                shop.end(held.pop(data.draw(st.integers(0, len(held) - 1))), 1.0)
            case "fleet":
                shop.roster.learn_fleet(fleet())
            case _:
                continue
        placed = [placement for _ in range(30) for placement in shop.one_pass()]
        assert all(placement.worker.serves(placement.key[0]) for placement in placed)
        held += placed
        for view in shop.roster.fleet.views():
            waiting = {customer for customer in shop.roster.lanes.customers() if view.serves(customer)}
            assert not view.free or not waiting
