"""The database's time between readings."""

from __future__ import annotations

import time

import pytest

from niyanta.server.store.clock import DatabaseClock

SECOND = 1_000_000_000


class Time:
    """Both clocks of a process, stood still; this machine's own is an hour behind the database's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 5 * SECOND
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.now)
        monkeypatch.setattr(time, "time_ns", lambda: 1000 * SECOND + self.now)

    def answer(self, clock: DatabaseClock, *, took: float = 0.0, ahead: float = 4600.0) -> None:
        """The database's time comes, which it had half way."""
        asked, self.now = self.now, self.now + round(took * SECOND)
        clock.learn(round((asked + self.now) / 2000 + ahead * 1_000_000), asked, self.now)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def test_it_is_this_machines_until_the_database_has_answered(clocks: Time) -> None:
    clock = DatabaseClock()
    assert clock.now_ms() == 1_005_000
    clocks.answer(clock)
    assert clock.now_ms() == 4_605_000
    clocks.now += 7 * SECOND
    assert clock.now_ms() == 4_612_000


def test_a_slow_answer_is_not_believed_beside_a_good_one(clocks: Time) -> None:
    clock = DatabaseClock()
    clocks.answer(clock, took=0.002)
    clocks.answer(clock, took=4.0, ahead=4600 + 1.9)
    assert clock.now_ms() == 4_609_002
    clocks.now += 2000 * SECOND  # in which the good one may have gone wrong by as much
    clocks.answer(clock, took=4.0, ahead=4600 + 1.9)
    assert clock.now_ms() == 6_614_902 + 0


def test_a_step_of_the_databases_clock_is_followed(clocks: Time) -> None:
    clock = DatabaseClock()
    clocks.answer(clock, took=0.002)
    assert clock.now_ms() == 4_605_002
    clocks.answer(clock, took=0.2, ahead=1000)
    assert clock.now_ms() == 1_005_202


def test_it_does_not_go_back_by_a_little(clocks: Time) -> None:
    clock = DatabaseClock()
    clocks.answer(clock)
    first = clock.now_ms()
    clocks.answer(clock, ahead=4600 - 0.005)
    assert clock.now_ms() == first
    clocks.now += SECOND
    assert clock.now_ms() == first + 995
