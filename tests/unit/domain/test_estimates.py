"""Estimates: from a customer's own past, and none where there is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from niyanta.domain.estimates import (
    Accuracy,
    ServiceRate,
    TrackRecord,
    estimated_completion,
    estimated_start,
    start_range,
)

NOW = datetime(2025, 10, 27, 12, tzinfo=UTC)


def seconds(at: datetime | None) -> float | None:
    return None if at is None else (at - NOW).total_seconds()


@pytest.mark.parametrize(
    ("ahead", "rate", "may_run", "wanted"),
    [
        (0, None, True, 0),
        (0, None, False, None),
        (0, 2.0, False, 0.5),
        (9, 2.0, True, 5),
        (9, None, True, None),
        (9, 0.0, True, None),
        (10**9, 0.001, True, None),
    ],
)
def test_start(ahead: int, rate: float | None, may_run: bool, wanted: float | None) -> None:
    assert seconds(estimated_start(NOW, ahead, rate, may_run=may_run)) == wanted


@pytest.mark.parametrize(
    ("elapsed", "progress", "past", "wanted"),
    [
        (30, 0, [], None),
        (30, 0, [10, 20], None),  # it takes longer than any before: nothing is known
        (30, 0, [10, 40, 50, 60], 20),
        (30, 75, [], 10),
        (30, 75, [1000], 10),  # past the middle, progress alone counts
        (30, 25, [150], 0.5 * 90 + 0.5 * 120),
        (30, 100, [], 0),
        (0, 40, [], None),
        (-5, 0, [60], 60),
        (3600, 0.001, [], None),
    ],
)
def test_completion(elapsed: float, progress: float, past: list[float], wanted: float | None) -> None:
    found = seconds(estimated_completion(NOW, NOW - timedelta(seconds=elapsed), progress, past))
    assert found == (None if wanted is None else pytest.approx(wanted))


@given(
    st.floats(0, 1e6),
    st.floats(0, 100),
    st.lists(st.floats(0, 1e6), max_size=50),
)
def test_a_completion_is_never_in_the_past(elapsed: float, progress: float, past: list[float]) -> None:
    found = estimated_completion(NOW, NOW - timedelta(seconds=elapsed), progress, past)
    assert found is None or found >= NOW


def test_the_rate_is_of_the_window() -> None:
    rate = ServiceRate(window_seconds=10)
    assert rate.per_second is None
    rate.note(0, 100)
    assert rate.per_second is None
    for second in range(1, 21):
        rate.note(second, 100 + 3 * second)
    assert rate.per_second == pytest.approx(3)
    for second in range(21, 60):
        rate.note(second, 160)
    assert rate.per_second is None, "nothing was served in the window"


def test_a_counter_that_fell_begins_anew() -> None:
    rate = ServiceRate()
    rate.note(0, 1000)
    rate.note(1, 5)
    assert rate.per_second is None
    rate.note(2, 9)
    assert rate.per_second == 4


@given(st.lists(st.integers(0, 3), min_size=500, max_size=500))
def test_the_window_holds_few_samples(steps: list[int]) -> None:
    rate, total = ServiceRate(window_seconds=60), 0
    for second, step in enumerate(steps):
        total += step
        rate.note(second, total)
        assert len(rate) <= 63
    found = rate.per_second
    assert found is None or found <= 3


def test_time_in_which_nothing_waited_does_not_count() -> None:
    rate = ServiceRate(window_seconds=300)
    for second in range(10):
        rate.note(second, 2 * second)
    rate.note(10, 20, waiting=False)
    rate.note(1000, 20, waiting=False)
    rate.note(1001, 21)
    assert rate.per_second == pytest.approx(2)
    rate.note(1002, 23)
    assert rate.per_second == pytest.approx(2)


def served(record: TrackRecord, *, rate: float, estimate: float, seconds: int, queued: int) -> None:
    """A queue of so many that is served at one rate, and estimated at another."""
    for second in range(seconds):
        record.note(second, int(second * rate), queued, estimate)


def test_a_track_record_says_how_long_it_took_against_what_was_estimated() -> None:
    record = TrackRecord()
    served(record, rate=2, estimate=2, seconds=100, queued=40)
    accuracy = record.accuracy
    assert accuracy is not None
    assert accuracy.samples >= 10
    assert accuracy.median == pytest.approx(1, abs=0.06)
    slower = TrackRecord()
    served(slower, rate=1, estimate=2, seconds=100, queued=40)
    assert slower.accuracy is not None
    assert slower.accuracy.median == pytest.approx(2, abs=0.1)


def test_estimates_that_nothing_can_fulfil_are_forgotten() -> None:
    record = TrackRecord()
    record.note(0, 0, 10, 1.0)
    record.note(1, 0, 0, 1.0)  # all were cancelled
    record.note(20, 10, 1, None)
    record.note(25, 12, 10, 1.0)
    record.note(26, 3, 10, 1.0)  # the counter began anew
    record.note(40, 13, 10, 1.0)
    accuracy = record.accuracy
    assert accuracy is not None
    assert accuracy.samples == 1
    assert accuracy.median == pytest.approx(1.4)


def test_the_range_of_a_start() -> None:
    estimate = NOW + timedelta(seconds=100)
    half, late = start_range(NOW, estimate, 99, None)
    assert seconds(half) == pytest.approx(100, rel=0.01)
    assert seconds(late) == pytest.approx(113, rel=0.01)  # the more slots it takes, the surer it is
    _, alone = start_range(NOW, estimate, 0, None)
    assert seconds(alone) == pytest.approx(230, rel=0.02)  # of an exponential distribution 2.303 times the mean
    half, late = start_range(NOW, estimate, 99, Accuracy(10, 1.5, 3.0))
    assert (seconds(half), seconds(late)) == (150, 300)
    assert start_range(NOW, estimate, 99, Accuracy(2, 1.5, 3.0)) == start_range(NOW, estimate, 99, None)


def test_a_late_completion_goes_by_the_longer_of_the_past() -> None:
    past = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0]
    usual, late = (estimated_completion(NOW, NOW, 0, past, late=late) for late in (False, True))
    assert (seconds(usual), seconds(late)) == (55, 100)
