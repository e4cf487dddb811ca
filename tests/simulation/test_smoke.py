"""A few seeds of each scenario; ``make simulate`` runs thousands."""

from __future__ import annotations

import pytest
from simulation.scenarios import SCENARIOS

from simulation import scale


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", ["faults", "control", "poison"])
def test_nothing_is_violated(name: str, seed: int) -> None:
    outcome = SCENARIOS[name](seed)
    assert not outcome.violations
    assert outcome.counts["completed"] > 0


@pytest.mark.parametrize("name", ["crowd", "shares"])
def test_shares_are_fair(name: str) -> None:
    outcome = SCENARIOS[name](1)
    assert not outcome.violations
    assert outcome.figures


def test_every_fault_strikes() -> None:
    """A scenario in which nothing goes wrong proves nothing."""
    counts = SCENARIOS["faults"](1).counts + SCENARIOS["faults"](2).counts
    for fault in ("kill", "freeze", "cut off", "freeze coordinator", "broker away", "database away", "poisoned"):
        assert counts[fault] > 0, fault
    assert counts["elections"] > 2
    assert counts["burials"] > 0


def test_submissions_are_assigned_as_they_are_stored() -> None:
    """The invariants hold over this way, too, and it is taken."""
    counts = SCENARIOS["control"](3).counts
    assert counts["at once"] > counts["workloads"] / 4
    assert counts["at once, together"] > 0


def test_a_large_system() -> None:
    outcome = scale.run(1, customers=2_000, pending=100_000, workers=100, seconds=20.0)
    assert not outcome.violations
    assert outcome.counts["assigned"] > 2_000
