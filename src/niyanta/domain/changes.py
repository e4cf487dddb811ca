"""What changes of a workload while its status stays: progress, checkpoints, and how far a pause has come.

Like the constructors of `niyanta.domain.transitions`, each takes the state as it stands and gives the one after it.
None is a row of the table; only a checkpoint and a change of its terms write an audit event.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from niyanta.domain.transitions import IllegalMoveError
from niyanta.domain.workload import Actor, EventType, Move, PausePhase, Status, WorkloadState, explained

__all__ = [
    "CHANGEABLE",
    "acknowledge",
    "record_checkpoint",
    "report_progress",
    "request_pause",
    "update",
    "withdraw_pause",
]

CHANGEABLE = frozenset({Status.PENDING, Status.REDISTRIBUTING, Status.PAUSED})
"""States in which what a workload was submitted with can be changed: no worker has it, and one will."""


def report_progress(old: WorkloadState, percent: int, message: str | None) -> Move:
    """No move: progress within an attempt, never backwards."""
    return Move(
        old.but(
            version=old.version + 1,
            progress_percent=max(old.progress_percent, min(100, max(0, percent))),
            progress_message=message if message is not None else old.progress_message,
        ),
        None,
    )


def acknowledge(old: WorkloadState, sequence: int) -> Move:
    """No move: the attempt's events up to a sequence are applied, so that one that is sent again does nothing."""
    return Move(old.but(event_sequence=sequence), None)


def record_checkpoint(old: WorkloadState, now: datetime, actor: Actor) -> Move:
    """Keep a checkpoint: the next sequence number; grants a pause that waits for it.

    Raises:
        IllegalMoveError: The workload isn't RUNNING.
    """
    if old.status is not Status.RUNNING:
        raise IllegalMoveError(EventType.CHECKPOINT_CREATED, old.status)
    new = old.but(
        version=old.version + 1,
        event_count=old.event_count + 1,
        checkpoint_sequence=old.checkpoint_sequence + 1,
        death_streak=0,
        pause_phase=PausePhase.GRANTED if old.pause_phase else None,
    )
    return explained(EventType.CHECKPOINT_CREATED, old, new, now, actor)


def update(old: WorkloadState, now: datetime, actor: Actor, differences: dict[str, Any], placement_key: int) -> Move:
    """A customer changes its priority, its time-out, or where it may run.

    Args:
        old: One that no worker has.
        now: The database's time.
        actor: Who did it.
        differences: By name what each was and what it is to be; a JSON object.
        placement_key: The class that it belongs to from now on.

    Raises:
        IllegalMoveError: A worker has it, or it has ended.
    """
    if old.status not in CHANGEABLE:
        raise IllegalMoveError(EventType.UPDATED, old.status)
    new = old.but(version=old.version + 1, event_count=old.event_count + 1, placement_key=placement_key)
    return explained(EventType.UPDATED, old, new, now, actor, {"changed": differences})


def request_pause(old: WorkloadState) -> Move:
    """No move yet: note that a pause waits for the next checkpoint. Twice is once."""
    if old.status is not Status.RUNNING:
        raise IllegalMoveError(EventType.PAUSED, old.status)
    if old.pause_phase is not None:
        return Move(old, None)
    return Move(old.but(version=old.version + 1, pause_phase=PausePhase.REQUESTED), None)


def withdraw_pause(old: WorkloadState) -> Move:
    """The pause ran out of time. One that is granted already can't be withdrawn and stays."""
    if old.pause_phase is not PausePhase.REQUESTED:
        return Move(old, None)
    return Move(old.but(version=old.version + 1, pause_phase=None), None)
