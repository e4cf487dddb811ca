"""What a drain's report says of each workload."""

from __future__ import annotations

import pytest

from niyanta.domain.draining import DRAINED, ENDINGS, DrainOutcome, Fate, fate_of_ended, fate_of_held
from niyanta.domain.transitions import TRANSITIONS
from niyanta.domain.workers import DrainMode
from niyanta.domain.workload import EventType, Status

HELD = (Status.SCHEDULED, Status.RUNNING)


def test_every_move_that_takes_a_workload_off_its_worker_is_an_ending() -> None:
    leaving = {row.event for row in TRANSITIONS if row.source in HELD and row.target not in HELD}
    assert set(ENDINGS) == leaving


@pytest.mark.parametrize("status", HELD)
@pytest.mark.parametrize("has_saved", [False, True])
@pytest.mark.parametrize("fits_elsewhere", [False, True])
def test_what_is_still_there(status: Status, has_saved: bool, fits_elsewhere: bool) -> None:
    stays = fate_of_held(DrainMode.FINISH, status, has_saved=has_saved, fits_elsewhere=fits_elsewhere)
    assert stays == Fate(DrainOutcome.RUNNING)
    found = fate_of_held(DrainMode.MOVE, status, has_saved=has_saved, fits_elsewhere=fits_elsewhere)
    assert found.is_there
    assert found.outcome is (DrainOutcome.MOVING if fits_elsewhere else DrainOutcome.RUNNING)
    assert found.reason is not None
    assert ("no checkpoint yet" in found.reason) is (status is Status.RUNNING and fits_elsewhere and not has_saved)


@pytest.mark.parametrize(
    ("ended_by", "reason", "status", "moved_to", "expected"),
    [
        (EventType.COMPLETED, None, Status.COMPLETED, None, Fate(DrainOutcome.FINISHED)),
        (EventType.FAILED, "permanent", Status.FAILED, None, Fate(DrainOutcome.FINISHED)),
        (EventType.CANCELLED, None, Status.CANCELLED, None, Fate(DrainOutcome.FINISHED)),
        (EventType.PAUSED, None, Status.PENDING, "w2", Fate(DrainOutcome.PAUSED)),
        (EventType.REDISTRIBUTED, DRAINED, Status.REDISTRIBUTING, None, Fate(DrainOutcome.WAITING)),
        (EventType.REDISTRIBUTED, DRAINED, Status.RUNNING, "w2", Fate(DrainOutcome.MOVED)),
        (EventType.REDISTRIBUTED, DRAINED, Status.CANCELLED, None, Fate(DrainOutcome.FINISHED)),
        (EventType.UNSCHEDULED, "refused", Status.SCHEDULED, "w2", Fate(DrainOutcome.MOVED)),
        (None, None, Status.PENDING, None, Fate(DrainOutcome.WAITING)),
        (
            EventType.REDISTRIBUTED,
            "worker_died",
            Status.RUNNING,
            "w2",
            Fate(DrainOutcome.MOVED, "it left without a checkpoint: worker_died", 4.5),
        ),
    ],
)
def test_what_has_left(
    ended_by: EventType | None, reason: str | None, status: Status, moved_to: str | None, expected: Fate
) -> None:
    found = fate_of_ended(ended_by, reason, status, 4.5, moved_to)
    assert found == expected
    assert not found.is_there
