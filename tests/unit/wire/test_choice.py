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


def test_who_has_gone_is_asked_no_more(choice: GroupChoice) -> None:
    choice.answered("a")
    choice.gone()
    assert choice.address == ""
    choice.answered("a")
    assert choice.address == "a"
