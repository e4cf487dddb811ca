"""What a drain makes of each workload that the worker had, for the operator who waits for the machine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from niyanta.domain.workers import DrainMode
from niyanta.domain.workload import EventType, Status

__all__ = ["DRAINED", "ENDINGS", "DrainOutcome", "Fate", "fate_of_ended", "fate_of_held"]

ENDINGS = (
    EventType.COMPLETED,
    EventType.FAILED,
    EventType.CANCELLED,
    EventType.PAUSED,
    EventType.REDISTRIBUTED,
    EventType.UNSCHEDULED,
)
"""Events by which a worker no longer has an attempt."""
DRAINED = "drained"
"""The reason that a worker gives when it hands back at a checkpoint that was waited for."""


class DrainOutcome(StrEnum):
    """What has become of one workload."""

    RUNNING = "running"
    """It is still there, and finishes there."""
    MOVING = "moving"
    """It is still there, until its next checkpoint."""
    WAITING = "waiting"
    """It has left, and waits for another worker."""
    MOVED = "moved"
    """It has left, and another worker has been given it."""
    PAUSED = "paused"
    """Its customer paused it meanwhile."""
    FINISHED = "finished"
    """It has ended."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What has become of one workload, and why."""

    outcome: DrainOutcome
    reason: str | None = None
    """For people: why it is still there, or how it left without a checkpoint."""
    seconds_lost: float = 0.0
    """Running time that is done again elsewhere."""

    @property
    def is_there(self) -> bool:
        """Whether the worker has it still."""
        return self.outcome in (DrainOutcome.RUNNING, DrainOutcome.MOVING)


def fate_of_held(mode: DrainMode, status: Status, *, has_saved: bool, fits_elsewhere: bool) -> Fate:
    """Of a workload that the worker has still.

    Args:
        mode: The drain's.
        status: SCHEDULED or RUNNING.
        has_saved: Whether the attempt has saved a checkpoint.
        fits_elsewhere: Whether another live worker suits it and takes new work.
    """
    if mode is DrainMode.FINISH:
        return Fate(DrainOutcome.RUNNING)
    if not fits_elsewhere:
        return Fate(DrainOutcome.RUNNING, "no other live worker suits it and takes new work: it finishes here")
    if status is Status.SCHEDULED:
        return Fate(DrainOutcome.MOVING, "it has not begun to run; once it has, it moves at its first checkpoint")
    if not has_saved:
        return Fate(
            DrainOutcome.MOVING,
            "its attempt has saved no checkpoint yet: it moves at its first, and finishes here if it never saves one",
        )
    return Fate(DrainOutcome.MOVING, "it moves at its next checkpoint")


def fate_of_ended(
    ended_by: EventType | None, reason: str | None, status: Status, unsaved_seconds: float, moved_to: str | None
) -> Fate:
    """Of a workload that the worker no longer has.

    Args:
        ended_by: The event that ended the attempt; None when its history isn't kept.
        reason: That event's.
        status: The workload's, now.
        unsaved_seconds: From the attempt's last checkpoint, or its start, to its end.
        moved_to: Who was given the next attempt.
    """
    if ended_by in (EventType.COMPLETED, EventType.FAILED, EventType.CANCELLED):
        return Fate(DrainOutcome.FINISHED)
    if ended_by is EventType.PAUSED:
        return Fate(DrainOutcome.PAUSED)
    has_lost = ended_by is EventType.REDISTRIBUTED and reason != DRAINED
    why = f"it left without a checkpoint: {reason}" if has_lost and reason else None
    lost = max(0.0, unsaved_seconds) if has_lost else 0.0
    if moved_to is not None:
        return Fate(DrainOutcome.MOVED, why, lost)
    return Fate(DrainOutcome.FINISHED if status.is_terminal else DrainOutcome.WAITING, why, lost)
