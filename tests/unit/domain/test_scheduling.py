"""Placement, fairness, ranks and back-off."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niyanta.domain.explanation import placement_reason
from niyanta.domain.fairness import queue_rank
from niyanta.domain.fleet import Shortlist
from niyanta.domain.forms import ANY_FORM, form_of, key_without
from niyanta.domain.ids import make_id, milliseconds_of
from niyanta.domain.placement import Affinity, Constraint, WorkerView, choose, could_run
from niyanta.domain.retry import backoff_seconds

ANYWHERE = Affinity()


def reason(workers: list[WorkerView], workload_type: str, affinity: Affinity) -> str | None:
    found = placement_reason(workers, workload_type, affinity)
    return None if found is None else found.summary


def worker(name: str, capacity: int = 2, **tags: str) -> WorkerView:
    return WorkerView(name, "i", capacity, tags, frozenset({"count", "render"}))


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


def test_soft_affinity_then_load_then_age_then_name_decide() -> None:
    busy, idle, liked = worker("a"), worker("b"), worker("c", zone="1")
    assert choose([liked, idle, busy], ANYWHERE) is busy
    busy.since = 1.0  # it has just come back
    assert choose([busy, idle, liked], ANYWHERE) is idle
    assert Shortlist([busy, idle, liked], ANYWHERE).best() is idle
    busy.since = 0.0
    busy.take("count")
    liked.take("count")
    assert choose([busy, idle, liked], ANYWHERE) is idle
    assert choose([busy, idle, liked], Affinity(soft=Constraint(worker_tags={"zone": "1"}))) is liked


def test_anti_affinity_avoids_types_that_run_now() -> None:
    one, rules = worker("a"), Affinity(anti=Constraint(workload_types=("render",)))
    one.take("render")
    assert choose([one], rules) is None
    assert "anti-affinity" in (reason([one], "count", rules) or "")
    one.give_back("render")
    assert choose([one], rules) is one


def test_a_workload_goes_only_where_its_input_fits() -> None:
    old = WorkerView("old", "i", 2, {}, frozenset({"count"}), forms={"count": "f1"})
    new = WorkerView("new", "i", 2, {}, frozenset({"count"}), forms={"count": "f2"})
    loose = WorkerView("loose", "i", 2, {}, frozenset({"count"}))
    rules = Affinity(misfits=frozenset({"f2"}))
    assert [could_run(w, "count", rules) for w in (old, new, loose)] == [True, False, True]
    assert "version of 'count'" in (reason([new], "count", rules) or "")
    assert reason([new, old], "count", rules) is None
    elsewhere = replace(rules, hard=Constraint(worker_tags={"gpu": "a"}))
    assert "gpu=a" in (reason([new], "count", elsewhere) or "")


def test_forms_are_named_by_what_schemas_say() -> None:
    assert form_of({"type": "object", "required": ["a"]}) == form_of({"required": ["a"], "type": "object"})
    assert form_of({"required": ["a"]}) != form_of({"required": ["b"]})
    assert form_of(None) == ANY_FORM


@given(st.integers(-(2**63), 2**63 - 1), st.lists(st.sampled_from("abcdef"), unique=True), st.randoms())
def test_a_lane_is_the_same_in_whatever_order_forms_turn_out_not_to_fit(
    key: int, forms: list[str], dice: Random
) -> None:
    shuffled = dice.sample(forms, len(forms))
    one = reduce(key_without, forms, key)
    assert one == reduce(key_without, shuffled, key)
    assert -(2**63) <= one < 2**63


def test_reasons_name_what_is_missing() -> None:
    assert "no live worker serves" in (reason([], "count", ANYWHERE) or "")
    rules = Affinity(hard=Constraint(worker_tags={"gpu": "b"}))
    assert "gpu=b" in (reason([worker("w")], "count", rules) or "")
    full = worker("w", capacity=1)
    full.take("count")
    assert "full" in (reason([full], "count", ANYWHERE) or "")
    assert reason([worker("w")], "count", ANYWHERE) is None


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
