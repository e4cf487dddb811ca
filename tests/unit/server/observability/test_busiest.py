"""Who has a label of its own, hour after hour."""

from __future__ import annotations

from niyanta.server.observability.busiest import OTHER, Busiest


class Hour:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def passes(self) -> None:
        self.now += 3600


def test_whoever_comes_first_has_a_label_while_there_is_room() -> None:
    found = Busiest(2, list[str]().append, Hour())
    assert [found.label(each) for each in ("a", "b", "c", "a")] == ["a", "b", OTHER, "a"]


def test_each_hour_the_busiest_have_them() -> None:
    dropped: list[str] = []
    hour = Hour()
    found = Busiest(2, dropped.append, hour)
    for each in ("a", "b", *["c"] * 5, *["b"] * 3):
        found.label(each)
    hour.passes()
    assert [found.label(each) for each in ("a", "b", "c")] == [OTHER, "b", "c"]
    assert dropped == ["a"]


def test_who_is_as_busy_as_another_keeps_what_he_has() -> None:
    dropped: list[str] = []
    hour = Hour()
    found = Busiest(1, dropped.append, hour)
    for each in ("z", "a"):
        found.label(each)
    hour.passes()
    assert found.label("z") == "z"
    assert dropped == []


def test_a_quiet_hour_changes_nothing() -> None:
    dropped: list[str] = []
    hour = Hour()
    found = Busiest(1, dropped.append, hour)
    found.label("a")
    hour.passes()
    hour.passes()
    assert found.label("a") == "a"
    assert dropped == []


def test_there_may_be_none() -> None:
    hour = Hour()
    found = Busiest(0, list[str]().append, hour)
    assert found.label("a") == OTHER
    hour.passes()
    assert found.label("a") == OTHER
