"""Whom of a queue group a client asks."""

from __future__ import annotations

import pytest

from niyanta.wire.choice import GroupChoice


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def choice(clock: Clock) -> GroupChoice:
    return GroupChoice(30.0, clock)


def test_it_stays_with_who_answered_and_asks_the_group_again_later(choice: GroupChoice, clock: Clock) -> None:
    assert choice.address == ""
    choice.answered("a")
    clock.now += 20
    assert choice.address == "a"
    choice.answered("a")
    clock.now += 11
    assert choice.address == "", "answers don't prolong the stay, or shares would never even out"
    choice.answered("b")
    assert choice.address == "b"


def test_after_silence_another_is_asked_that_answered_lately(choice: GroupChoice, clock: Clock) -> None:
    choice.answered("a")
    clock.now += 31
    choice.answered("b")
    choice.silent("b")
    assert choice.address == "a"
    choice.silent("a")
    assert choice.address == "", "nobody is known any more"


def test_a_group_that_is_silent_leads_to_who_is_known_but_not_to_who_is_forgotten(
    choice: GroupChoice, clock: Clock
) -> None:
    choice.answered("a")
    clock.now += 31
    assert choice.address == ""
    choice.silent("")
    assert choice.address == "a"
    clock.now += 100
    choice.silent("")
    assert choice.address == ""


def test_who_has_gone_is_asked_no_more(choice: GroupChoice) -> None:
    choice.answered("a")
    choice.gone("a")
    assert choice.address == ""
    choice.silent("")
    assert choice.address == ""
