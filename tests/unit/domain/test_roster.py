"""What a pass of the scheduler decides, and what it costs, over a model of the queue."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niyanta.domain.placement import Affinity, Constraint
from niyanta.domain.roster import Held, Placement
from support.shop import ANYWHERE, Shop, worker


@settings(max_examples=40, deadline=None, derandomize=True)
@given(weights=st.lists(st.sampled_from([1, 10, 50, 100]), min_size=1, max_size=5), slots=st.integers(1, 200))
def test_dispatches_follow_the_weights(weights: list[int], slots: int) -> None:
    shop = Shop(worker("w", slots), weights={f"c{n}": weight for n, weight in enumerate(weights)})
    for name in shop.weights:
        shop.add(name, slots + 1)
    counts = Counter(p.key[0] for p in shop.passes())
    assert counts.total() == slots
    for number, weight in enumerate(weights):
        assert counts[f"c{number}"] >= int(slots * weight / sum(weights)) - 1


@pytest.mark.parametrize("customers", [2, 3, 7])
def test_of_any_consecutive_dispatches_an_equal_customer_gets_its_share_less_one(customers: int) -> None:
    shop = Shop(worker("w", 1))
    names = [f"c{n}" for n in range(customers)]
    for name in names:
        shop.add(name, 60)
    order = shop.dispatch(40)
    for first, last in itertools.combinations(range(len(order) + 1), 2):
        window = order[first:last]
        for name in names:
            assert window.count(name) >= len(window) // customers - 1


def test_run_seconds_are_shared_not_dispatches() -> None:
    shop = Shop(worker("w", 1))
    shop.add("long", 100)
    shop.add("short", 20_000)
    seconds = {"long": 3600.0, "short": 10.0}
    had: Counter[str] = Counter()
    while sum(had.values()) < 20 * 3600:
        (customer,) = shop.dispatch(1, seconds)
        had[customer] += int(seconds[customer])
    assert 0.8 < had["short"] / had["long"] < 1.25


def test_a_long_running_customer_is_passed_by_for_an_hours_worth_at_most() -> None:
    shop = Shop(worker("w", 1))
    shop.add("long", 10)
    shop.add("short", 20_000)
    seconds = {"long": 30 * 24 * 3600.0, "short": 1.0}
    order = shop.dispatch(8000, seconds)
    turns = [number for number, customer in enumerate(order) if customer == "long"]
    assert len(turns) >= 3
    assert max(later - earlier for earlier, later in itertools.pairwise(turns)) <= 3602


def test_an_attempt_that_outruns_its_charge_is_charged_while_it_runs() -> None:
    shop = Shop(worker("w", 3))
    shop.add("endless", 1)
    shop.passes()  # nobody knows yet how long it takes
    shop.now += 600
    shop.add("endless", 10)
    shop.add("other", 10)
    assert Counter(p.key[0] for p in shop.passes()) == {"other": 2}


def test_a_slot_used_while_nobody_wanted_it_is_held_against_nobody() -> None:
    shop = Shop(worker("w", 1))
    shop.add("early", 200)
    shop.dispatch(100)
    shop.add("late", 200)
    order = shop.dispatch(20)
    assert 9 <= order.count("early") <= 11


def test_idling_saves_nothing_up() -> None:
    shop = Shop(worker("w", 1))
    shop.add("steady", 500)
    shop.add("rare", 1)
    shop.dispatch(100)
    shop.add("rare", 100)
    assert shop.dispatch(20).count("rare") <= 11


def test_what_can_not_be_placed_blocks_nobody() -> None:
    shop = Shop(worker("w"))
    shop.add("a", 50, Affinity(hard=Constraint(worker_id="none")), lane=7)
    late = shop.add("a")
    assert [p.key[1] for p in shop.passes()] == late


@settings(max_examples=40, deadline=None, derandomize=True)
@given(capacities=st.lists(st.integers(1, 5), min_size=1, max_size=6), allowance=st.integers(0, 12))
def test_capacity_and_allowance_are_never_exceeded(capacities: list[int], allowance: int) -> None:
    shop = Shop(*(worker(f"w{n}", capacity) for n, capacity in enumerate(capacities)), most=allowance)
    shop.add("a", 40)
    assert len(shop.passes()) == min(allowance, sum(capacities))
    assert all(view.used <= view.capacity for view in shop.roster.fleet.views())


def test_a_customer_at_its_limit_goes_on_when_a_slot_of_its_own_comes_free() -> None:
    shop = Shop(worker("w", 10), most=2)
    shop.add("a", 5)
    first, second = shop.passes()
    assert shop.passes() == []
    shop.end(first)
    assert len(shop.passes()) == 1
    shop.end(second)
    assert len(shop.passes()) == 1


def test_a_customer_at_its_limit_goes_on_when_its_slots_turn_out_to_be_free() -> None:
    shop = Shop(worker("w", 10), most=2)
    shop.add("a", 5)
    assert len(shop.passes()) == 2
    shop.roster.forget_slots()
    shop.roster.learn_held([])
    assert len(shop.passes()) == 2


def test_a_lane_that_its_customer_s_limit_left_out_is_not_read_twice_later() -> None:
    shop = Shop(worker("a", zone="a"), worker("b", zone="b"), most=1)
    for lane, zone in ((1, "a"), (2, "b")):
        shop.add("c", 3, Affinity(hard=Constraint(worker_tags={"zone": zone})), lane)
    for number in range(6):  # the lanes are known, and each pass fills the only slot that the customer may have
        (placed,) = shop.passes()
        shop.add("c", 1, Affinity(hard=Constraint(worker_tags={"zone": "b"})), 2, rank=-1.0 - number)
        shop.end(placed)


def test_within_a_customer_the_rank_decides_over_all_its_lanes() -> None:
    shop = Shop(worker("w", 1))
    for lane in range(50):
        shop.add("a", 1, Affinity(soft=Constraint(worker_tags={"no": str(lane)})), lane=lane + 1, rank=float(-lane))
    ranks = []
    for _ in range(50):
        (placed,) = shop.one_pass()
        ranks.append(int(placed.key[1].split("-")[1]))
        shop.end(placed)
    # All are known but by name at first; then each is read, and from there on the order is exact.
    assert ranks == sorted(ranks, reverse=True)


def test_weights_hold_among_those_who_wait_for_scarce_workers() -> None:
    shop = Shop(worker("big", 40), worker("gpu", 1, hardware="gpu"), weights={"small": 1, "large": 10})
    on_gpu = Affinity(hard=Constraint(worker_tags={"hardware": "gpu"}))
    for name in ("small", "large"):
        shop.add(name, 400, on_gpu, lane=2, kind="render")
    shop.add("bulk", 20_000)
    counts: Counter[str] = Counter()
    for _ in range(110):
        placed = shop.passes()
        for placement in placed:
            if placement.worker.worker_id == "gpu" and placement.key[0] != "bulk":
                counts[placement.key[0]] += 1
        shop.now += 1
        for placement in placed:
            shop.end(placement)
    assert counts["small"] >= 1
    assert counts["large"] >= 5 * counts["small"]


def anti(number: int) -> Affinity:
    return Affinity(anti=Constraint(workload_types=("kept",), worker_tags={"no": str(number)}))


def wish(number: int) -> Affinity:
    return Affinity(soft=Constraint(worker_tags={"no": str(number)}))


def nowhere(number: int) -> Affinity:
    return Affinity(hard=Constraint(worker_tags={"no": str(number)}))


def two_sided(number: int) -> Affinity:
    return Affinity(
        hard=Constraint(worker_tags={"zone": "1"}), anti=Constraint(worker_tags={"zone": "1", "n": str(number)})
    )


@pytest.mark.parametrize("rule", [anti, wish, nowhere, two_sided])
def test_a_crowd_of_lanes_keeps_no_other_customer_waiting(rule: object) -> None:
    shop = Shop(worker("w", 4, kinds="count kept", zone="1"))
    (kept,) = shop.add("keeper", kind="kept", lane=99)
    assert [p.key[1] for p in shop.passes()] == [kept]
    for number in range(2000):
        shop.add("crowd", 1, rule(number), lane=number + 100)  # type: ignore[operator]
    for _ in range(20):
        (wanted,) = shop.add("other")
        placed = shop.one_pass()
        assert wanted in [p.key[1] for p in placed]
        for placement in placed:
            shop.end(placement, 1.0)


def test_a_blocked_lane_is_looked_at_when_what_blocks_it_is_gone() -> None:
    shop = Shop(worker("w", 2, kinds="count kept"))
    shop.add("keeper", kind="kept", lane=99)
    (kept,) = shop.passes()
    (blocked,) = shop.add("a", 1, anti(1), lane=5)
    assert shop.passes() == []
    shop.end(kept)
    assert [p.key[1] for p in shop.passes()] == [blocked]


def test_a_lane_that_nothing_suited_is_looked_at_when_a_worker_comes_that_does() -> None:
    shop = Shop(worker("w"))
    (waiting,) = shop.add("a", 1, nowhere(3), lane=5)
    assert shop.passes() == []
    views = [worker("w"), worker("special", no="3")]
    views[0].used = 0
    shop.roster.learn_fleet(views)
    (placed,) = shop.passes()
    assert (placed.key[1], placed.worker.worker_id) == (waiting, "special")


def test_all_of_a_crowd_is_placed_in_the_end() -> None:
    shop = Shop(worker("w", 4))
    for number in range(700):
        shop.add("crowd", 1, anti(number), lane=number)
    done: list[Placement] = []
    while placed := shop.passes():
        done += placed
        for placement in placed:
            shop.end(placement, 1.0)
    assert len(done) == 700


def effort_of(customers: int, lanes_each: int, passes: int = 20) -> tuple[float, float]:
    """Lanes and customers looked at, and rows read, in a pass that fills a hundred slots, nearly all free again."""
    shop = Shop(*(worker(f"w{n}", 10, kinds="count kept") for n in range(10)))
    for n in range(customers):
        for lane in range(lanes_each):
            rule = (ANYWHERE, anti(lane), wish(lane), nowhere(lane))[lane % 4]
            shop.add(f"c{n:05}", 2, rule, lane=lane)
    effort, rows = shop.roster.lanes.effort, shop.backlog.rows_read
    for _ in range(passes):
        for placement in shop.one_pass():
            shop.end(placement, 0.01)
    return (shop.roster.lanes.effort - effort) / passes, (shop.backlog.rows_read - rows) / passes


def test_a_pass_costs_the_same_whatever_waits() -> None:
    small_effort, small_rows = effort_of(customers=100, lanes_each=10)
    for customers, lanes_each in ((10_000, 1), (10, 10_000), (1, 20_000)):
        effort, rows = effort_of(customers, lanes_each, passes=10)
        assert effort <= 2 * small_effort + 200, (customers, lanes_each)
        assert rows <= 2 * small_rows + 200, (customers, lanes_each)


def test_a_crowd_that_comes_to_be_blocked_at_once_is_looked_at_a_few_lanes_at_a_time() -> None:
    shop = Shop(worker("w", 2, kinds="count kept"))
    for lane in range(1, 601):
        shop.add("crowd", 2, anti(lane), lane=lane)
    met: set[str] = set()
    while len(met) < 600:  # each of its lanes has been read, and has another workload
        for placement in shop.one_pass():
            met.add(placement.key[1])
            shop.end(placement, 0.01)
    shop.add("keeper", kind="kept", lane=999)
    (kept,) = (placed for placed in shop.one_pass() if placed.key[0] == "keeper")
    assert kept.worker.worker_id == "w"
    (other,) = shop.add("other", lane=5)
    for _ in range(3):
        effort = shop.roster.lanes.effort
        done = [placement.key[1] for placement in shop.one_pass()]
        assert shop.roster.lanes.effort - effort < 100
        if done:
            break
    assert done == [other]


def test_a_worker_that_refuses_is_given_nothing_for_a_while_longer_each_time() -> None:
    shop = Shop(worker("w", 1))
    shop.add("a", 10)
    pauses = []
    for _ in range(6):
        began = shop.now
        while not (placed := shop.one_pass()):
            shop.now += 0.1
        pauses.append(shop.now - began)
        shop.roster.refused("w", shop.now)
        shop.roster.released(placed[0].key, shop.generations[placed[0].key], ran=False)
    assert pauses[1:] == pytest.approx([0.5, 1, 2, 4, 8], abs=0.15)


def test_slots_that_a_worker_says_are_held_count() -> None:
    shop = Shop(worker("w", 2))
    shop.roster.lingers("w", 2, until=5.0)
    shop.add("a", 3)
    assert shop.passes() == []
    shop.roster.lingers("w", 1, until=5.0)
    assert len(shop.passes()) == 1
    shop.roster.learn_fleet([worker("w", 2)])
    assert shop.passes() == []
    shop.now = 5.0
    assert len(shop.passes()) == 1


def test_suspects_are_tried_one_to_a_worker_and_on_a_quarter_of_the_fleet() -> None:
    shop = Shop(*(worker(f"w{n}", 10) for n in range(8)))
    shop.add("poison", 30, suspect=True)
    on_trial = shop.passes()
    assert len({p.worker.worker_id for p in on_trial}) == len(on_trial) == 2
    (harmless,) = shop.add("poison")
    assert [p.key[1] for p in shop.passes()] == [harmless]
    shop.end(on_trial[0], 1.0)
    assert len(shop.passes()) == 1
    shop.now += 21
    assert len(shop.passes()) == 2  # the trials are over: those run like any other now


def test_suspects_hold_up_nothing_behind_them() -> None:
    shop = Shop(*(worker(f"w{n}", 10) for n in range(4)))
    suspects = shop.add("a", 20, suspect=True)
    harmless = shop.add("a", 60)
    placed = shop.passes(most=8)
    assert [p.key[1] for p in placed] == [suspects[0], *harmless[:39]]
    shop.end(placed[1], 1.0)
    assert [p.key[1] for p in shop.passes(most=8)] == [harmless[39]]
    shop.end(placed[0], 1.0)
    assert [p.key[1] for p in shop.passes(most=8)] == [suspects[1]]


def test_suspects_that_no_free_slot_is_for_are_not_read_over_and_over() -> None:
    shop = Shop(worker("w0", 2, "odd"), *(worker(f"w{n}", 1) for n in range(1, 8)))
    shop.add("poison", 30, suspect=True, kind="odd")
    (trial,) = shop.passes()
    assert shop.roster.may_try_suspects
    before = shop.backlog.rows_read
    for _ in range(50):
        shop.one_pass()
    assert shop.backlog.rows_read == before
    shop.end(trial, 1.0)
    assert len(shop.passes()) == 1


def test_a_lane_of_suspects_that_was_put_aside_comes_back_after_a_sweep() -> None:
    shop = Shop(worker("w", 2))
    first, second = shop.add("poison", 2, suspect=True)
    (trial,) = shop.passes()
    assert trial.key[1] == first
    shop.roster.forget_idle()
    shop.end(trial, 1.0)
    assert [p.key[1] for p in shop.passes()] == [second]


def test_what_is_held_is_learned_from_the_database() -> None:
    shop = Shop(worker("w", 2), worker("v", 2))
    shop.add("a", 4)
    shop.passes()
    rows = [Held(("a", f"x{n}"), 1, "w", "count") for n in range(2)]
    shop.roster.learn_held(rows, ["w"])
    assert shop.roster.running("a") == 4
    shop.roster.learn_held([], None)
    assert shop.roster.running("a") == 0
    assert all(view.used == 0 for view in shop.roster.fleet.views())


@settings(max_examples=30, deadline=None, derandomize=True)
@given(data=st.data())
def test_slots_and_counts_are_right_after_anything(data: st.DataObject) -> None:
    shop = Shop(*(worker(f"w{n}", 3) for n in range(3)), most=5)
    held: list[Placement] = []
    for _ in range(data.draw(st.integers(1, 40))):
        match data.draw(st.sampled_from(["add", "pass", "end", "fleet"])):
            case "add":
                shop.add(
                    data.draw(st.sampled_from("abc")), data.draw(st.integers(1, 4)), lane=data.draw(st.integers(1, 3))
                )
            case "pass":
                held += shop.one_pass()
            case "end" if held:
                shop.end(held.pop(data.draw(st.integers(0, len(held) - 1))), 1.0)
            case "fleet":
                names = data.draw(st.sets(st.sampled_from(["w0", "w1", "w2"]), min_size=1))
                shop.roster.learn_fleet([worker(name, 3) for name in sorted(names)])
            case _:
                continue
        for view in shop.roster.fleet.views():
            assert view.used == sum(p.worker.worker_id == view.worker_id for p in held) <= view.capacity
        for name in "abc":
            assert shop.roster.running(name) == sum(p.key[0] == name for p in held) <= 5
