"""When a log line was written, whatever its worker's clock says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from niyanta.server.fleet.contents import logged_at

NOW = datetime(2025, 10, 27, 12, tzinfo=UTC)
ASSIGNED = NOW - timedelta(hours=2)


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(milliseconds=1), timedelta(hours=1), timedelta(hours=2)])
def test_a_time_since_the_assignment_is_kept(ago: timedelta) -> None:
    assert logged_at(milliseconds(NOW - ago), NOW, ASSIGNED) == NOW - ago


@pytest.mark.parametrize("behind", [timedelta(hours=2, seconds=1), timedelta(days=900)])
def test_no_line_is_older_than_its_attempt(behind: timedelta) -> None:
    assert logged_at(milliseconds(NOW - behind), NOW, ASSIGNED) == ASSIGNED


@pytest.mark.parametrize("ahead", [timedelta(milliseconds=1), timedelta(minutes=50), timedelta(days=900)])
def test_no_line_is_from_the_future(ahead: timedelta) -> None:
    assert logged_at(milliseconds(NOW + ahead), NOW, ASSIGNED) == NOW


def test_a_line_that_comes_very_late_is_a_day_old_at_most() -> None:
    assigned = NOW - timedelta(days=5)
    assert logged_at(milliseconds(assigned), NOW, assigned) == NOW - timedelta(days=1)
    assert logged_at(milliseconds(assigned), NOW, None) == NOW - timedelta(days=1)


@pytest.mark.parametrize("never", [-(2**63), 2**63 - 1, -1, 0, 10**18])
def test_a_time_that_no_calendar_has_chooses_no_partition(never: int) -> None:
    assert ASSIGNED <= logged_at(never, NOW, ASSIGNED) <= NOW
