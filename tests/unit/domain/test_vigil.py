"""Who is declared dead, and when."""

from __future__ import annotations

import pytest

from niyanta.domain.vigil import Sign, Vigil

LEASE = 10.0


class Fleet:
    """Workers by when they were last heard, and who of them answers when asked."""

    def __init__(self, count: int) -> None:
        self.now = 0.0
        self.heard = {f"w{n}": 0.0 for n in range(count)}
        self.beating = set(self.heard)
        self.answering: set[str] = set()
        self.vigil = Vigil(LEASE)
        self.vigil.begin(0.0)
        self.buried: dict[str, float] = {}
        self.asked: list[str] = []

    def look(self) -> None:
        signs = [Sign(name, "i", self.now - at) for name, at in self.heard.items()]
        judgement = self.vigil.judge(self.now, signs)
        for sign in judgement.ask:
            self.asked.append(sign.worker_id)
            if sign.worker_id in self.answering:
                self.heard[sign.worker_id] = self.now
                self.vigil.answered(sign)
            else:
                self.vigil.unanswered(self.now, sign)
        condemned = self.vigil.condemned(self.now)
        self.vigil.died(self.now, condemned)
        for sign in condemned:
            self.buried[sign.worker_id] = self.now
            del self.heard[sign.worker_id]

    def live(self, seconds: float, *, looking: bool = True) -> None:
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now += 0.5
            for name in self.beating & set(self.heard):
                self.heard[name] = self.now
            if looking:
                self.look()


def test_one_that_beats_is_never_asked() -> None:
    fleet = Fleet(3)
    fleet.live(60)
    assert not fleet.asked
    assert not fleet.buried


def test_one_that_is_silent_and_gives_no_answer_is_dead_after_a_lease() -> None:
    fleet = Fleet(3)
    fleet.live(30)
    fleet.beating.remove("w1")
    fleet.live(15)
    assert list(fleet.buried) == ["w1"]
    assert 40 <= fleet.buried["w1"] <= 41.5


def test_one_that_answers_when_asked_lives() -> None:
    fleet = Fleet(3)
    fleet.beating.remove("w1")
    fleet.answering.add("w1")
    fleet.live(60)
    assert "w1" in fleet.asked
    assert not fleet.buried
    fleet.answering.remove("w1")
    fleet.live(20)
    assert list(fleet.buried) == ["w1"]


@pytest.mark.parametrize("trouble", ["told", "did not look"])
def test_nobody_dies_before_a_whole_lease_of_observation(trouble: str) -> None:
    fleet = Fleet(3)
    fleet.live(30)
    fleet.beating.clear()
    if trouble == "told":
        fleet.live(8)
        fleet.vigil.begin(fleet.now)
    else:
        fleet.live(8, looking=False)
        fleet.look()
    began = fleet.now
    fleet.live(9)
    assert not fleet.buried
    fleet.live(4)
    assert len(fleet.buried) == 3
    assert min(fleet.buried.values()) >= began + LEASE


def test_under_the_brake_a_thousand_are_buried_within_half_a_minute_and_four_one_a_second() -> None:
    fleet = Fleet(1000)
    fleet.live(20)
    fleet.beating = {f"w{n}" for n in range(100)}
    fleet.live(60)
    assert len(fleet.buried) == 900
    times = sorted(fleet.buried.values())
    assert 10 <= times[-1] - times[0] <= 30
    small = Fleet(4)
    small.live(20)
    small.beating = {"w0"}
    small.live(20)
    times = sorted(small.buried.values())
    assert len(times) == 3
    assert times[1] - times[0] >= 1


def test_a_fleet_that_dies_at_large_is_told_from_single_deaths() -> None:
    fleet = Fleet(8)
    fleet.live(20)
    fleet.beating -= {"w0"}
    fleet.live(12)
    assert len(fleet.buried) == 1
    assert not fleet.vigil.is_fleet_dying(fleet.now)
    fleet.beating = {"w1"}
    fleet.live(10)
    assert fleet.vigil.is_fleet_dying(fleet.now)
    fleet.live(60)
    assert not fleet.vigil.is_fleet_dying(fleet.now)


def test_workers_that_all_came_back_as_others_have_died_at_large() -> None:
    fleet = Fleet(6)
    fleet.live(20)
    fleet.vigil.died(fleet.now, [("w0", "i"), ("w1", "i")])
    assert not fleet.vigil.is_fleet_dying(fleet.now)
    fleet.vigil.died(fleet.now, [(f"w{n}", "i") for n in range(2, 7)])
    assert fleet.vigil.is_fleet_dying(fleet.now)


def test_one_after_another_is_not_at_large() -> None:
    fleet = Fleet(5)
    fleet.live(20)
    for number in range(4):
        fleet.beating.remove(f"w{number}")
        fleet.live(10)
        assert len(fleet.buried) == number + 1
        assert not fleet.vigil.is_fleet_dying(fleet.now)


def test_of_few_workers_all_may_die_without_an_excuse() -> None:
    fleet = Fleet(2)
    fleet.live(20)
    fleet.beating.clear()
    fleet.live(12)
    assert len(fleet.buried) == 2
    assert not fleet.vigil.is_fleet_dying(fleet.now)


def test_silence_counts_only_once_workers_can_be_heard_again() -> None:
    fleet = Fleet(3)
    fleet.live(30)
    fleet.beating.clear()
    fleet.vigil.begin(fleet.now, absence_seconds=3)
    fleet.look()
    fleet.vigil.begin(fleet.now)  # further trouble doesn't shorten it
    fleet.live(LEASE + 2.5)
    assert not fleet.buried
    fleet.live(1)
    assert set(fleet.buried) == {"w0", "w1", "w2"}
