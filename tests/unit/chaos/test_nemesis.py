"""What the nemesis draws, and that all it can draw is there to be struck."""

from __future__ import annotations

from typing import cast

from chaos.faults import KINDS, SMOKE, Scene
from chaos.history import History
from chaos.nemesis import Nemesis


def drawn(seed: int, how_many: int) -> list[tuple[str, int, float, float]]:
    nemesis = Nemesis(cast(Scene, None), History(), seed, tuple(KINDS))
    faults = [nemesis.draw() for _ in range(how_many)]
    return [(fault.kind, fault.number, fault.seconds, fault.gap_seconds) for fault in faults]


def test_a_seed_always_gives_the_same_faults() -> None:
    assert drawn(7, 200) == drawn(7, 200)
    assert drawn(7, 200) != drawn(8, 200)


def test_every_class_comes_once_before_any_comes_twice() -> None:
    kinds = [kind for kind, *_ in drawn(3, 2 * len(KINDS))]
    assert sorted(kinds[: len(KINDS)]) == sorted(KINDS) == sorted(kinds[len(KINDS) :])


def test_a_fault_lasts_as_long_as_its_class_allows() -> None:
    for kind, _, seconds, gap in drawn(5, 500):
        shortest, longest = KINDS[kind].seconds
        assert shortest <= seconds <= longest
        assert gap > 0


def test_the_smoke_run_has_only_classes_that_there_are() -> None:
    assert set(SMOKE) <= set(KINDS)
