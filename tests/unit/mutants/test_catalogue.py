"""Each mutant still applies, and names a test that there is; two of them are tried. ``make mutants`` tries all."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from mutants.__main__ import run
from mutants.catalogue import MUTANTS
from mutants.mutant import Mutant, NoSuchGuardError

ROOT = Path(__file__).resolve().parents[3]
QUICK = ("any move", "no brake")
LIFE = "tests/unit/domain/test_transitions.py::test_each_assignment_is_a_new_generation"


def test_there_are_enough_and_each_is_another() -> None:
    assert len(MUTANTS) >= 20
    assert len({mutant.name for mutant in MUTANTS}) == len({mutant.text for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_it_still_applies(mutant: Mutant) -> None:
    path = mutant.place(ROOT)
    changed = path.read_text(encoding="utf-8").replace(mutant.text, mutant.instead)
    assert changed != path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        ast.parse(changed)
    file, _, test = mutant.test.partition("::")
    assert f"def {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")


def test_a_guard_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "src" / "niyanta").mkdir(parents=True)
    with pytest.raises(NoSuchGuardError, match="'any move' must stand in one place, it stands in: nowhere"):
        MUTANTS[[m.name for m in MUTANTS].index("any move")].place(tmp_path)


@pytest.mark.timeout(600)
def test_what_is_taken_away_is_noticed_and_the_project_is_left_alone() -> None:
    chosen = [mutant for mutant in MUTANTS if mutant.name in QUICK]
    before = [mutant.place(ROOT).read_bytes() for mutant in chosen]
    unnoticed = Mutant("nothing", "nothing", chosen[0].text, chosen[0].text, chosen[0].test)
    outcomes = {outcome["mutant"]: outcome["killed"] for outcome in run([*chosen, unnoticed], life=LIFE)}
    assert outcomes == {**dict.fromkeys(QUICK, True), "nothing": False}
    assert [mutant.place(ROOT).read_bytes() for mutant in chosen] == before
