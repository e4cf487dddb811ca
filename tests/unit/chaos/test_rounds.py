"""How a long run is divided, and what its report says of the rounds."""

from __future__ import annotations

from typing import Any

from chaos.rounds import merged, rounds_of
from chaos.run import Plan

PLAN = Plan(7, 30.0, ("kill worker", "burst"))


def _report(seed: int, **facts: Any) -> dict[str, Any]:
    usual = {
        "passed": True,
        "seed": seed,
        "minutes": 5.0,
        "replay": f"make chaos SEED={seed} MINUTES=5",
        "fired": {"kill worker": 1},
        "workloads": 10,
        "violated": {},
        "violations": [],
        "known_defects_met": {},
        "known_violations": [],
        "calls": {"get": {"ok": 2}},
    }
    return usual | facts


def test_a_long_run_has_rounds_with_seeds_of_their_own() -> None:
    rounds = rounds_of(PLAN, 5.0)
    assert [(each.seed, each.minutes) for each in rounds] == [(seed, 5.0) for seed in range(7, 13)]
    assert {each.kinds for each in rounds} == {PLAN.kinds}


def test_a_short_run_is_one_round_and_its_report_that_of_the_round() -> None:
    short = Plan(7, 1.2, ("burst",))
    assert rounds_of(short, 5.0) == [short]
    report = _report(7, minutes=1.2)
    assert merged(short, [report]) is report


def test_rounds_are_counted_together() -> None:
    report = merged(PLAN, [_report(7), _report(8, fired={"burst": 3})])
    assert report["passed"]
    assert (report["faults_fired"], report["fired"]) == (4, {"burst": 3, "kill worker": 1})
    assert (report["workloads"], report["calls"]) == (20, {"get": {"ok": 4}})
    assert report["replay"] == "make chaos SEED=7 MINUTES=30"
    assert [each["seed"] for each in report["rounds"]] == [7, 8]


def test_one_bad_round_is_enough() -> None:
    good = _report(8, fired={"burst": 1})
    assert not merged(PLAN, [_report(7)])["passed"], "a class never fired"
    assert not merged(PLAN, [_report(7, violated={"I1": 1}, violations=[{"promise": "I1"}]), good])["passed"]
    known = _report(7, known_defects_met={"why": 1}, known_violations=[{"promise": "I2"}])
    assert not merged(PLAN, [known, good])["passed"]
    broke = {"seed": 9, "minutes": 5.0, "replay": "again", "broke": "…", "violations": [], "known_violations": []}
    report = merged(PLAN, [_report(7), good, broke])
    assert (report["passed"], report["rounds_that_broke"]) == (False, ["again"])
