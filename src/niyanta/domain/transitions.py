"""The life of a workload: the only moves between its states.

`TRANSITIONS` is the table. Each move has one constructor below, which takes the workload's state as it stands
and gives the state after it together with the audit event; a move that the table doesn't have raises
`IllegalMoveError`. Nothing else in Niyanta assigns a status. The store writes what these functions return, guarded
by ``version``. What a state is made of is in `niyanta.domain.workload`; what changes while the status stays, in
`niyanta.domain.changes`.

Times are the database's clock, handed in by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from niyanta.domain.forms import key_without, with_misfit
from niyanta.domain.workload import (
    Actor,
    Cause,
    CheckpointMark,
    EventType,
    Move,
    PausePhase,
    Status,
    WorkloadState,
    explained,
)

__all__ = [
    "DEATHS_BEFORE_FAILURE",
    "DEATHS_BEFORE_SUSPICION",
    "TRANSITIONS",
    "IllegalMoveError",
    "Transition",
    "cancel",
    "complete",
    "create",
    "fail",
    "fail_attempt",
    "lose_worker",
    "pause",
    "refuse",
    "release",
    "resume",
    "schedule",
    "start",
    "unschedule",
]

DEATHS_BEFORE_FAILURE = 3
"""A workload whose worker died this often in a row, with no progress between, fails as poison."""
DEATHS_BEFORE_SUSPICION = 2
"""From here on it is suspected of being the cause, and tried apart from others."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table."""

    event: EventType
    source: Status | None
    target: Status
    summary: str


def _rows(event: EventType, sources: tuple[Status | None, ...], target: Status, summary: str) -> list[Transition]:
    return [Transition(event, source, target, summary) for source in sources]


_S = Status
TRANSITIONS: tuple[Transition, ...] = (
    *_rows(EventType.CREATED, (None,), _S.PENDING, "a customer submits"),
    *_rows(EventType.SCHEDULED, (_S.PENDING, _S.REDISTRIBUTING), _S.SCHEDULED, "the leader assigns it"),
    *_rows(EventType.STARTED, (_S.SCHEDULED,), _S.RUNNING, "the worker runs it"),
    *_rows(EventType.UNSCHEDULED, (_S.SCHEDULED,), _S.PENDING, "refused, unanswered, or its worker lost: back"),
    *_rows(
        EventType.UNSCHEDULED, (_S.SCHEDULED,), _S.REDISTRIBUTING, "refused, unanswered, or its worker lost: back"
    ),
    *_rows(EventType.COMPLETED, (_S.RUNNING,), _S.COMPLETED, "its result is accepted"),
    *_rows(
        EventType.REDISTRIBUTED,
        (_S.SCHEDULED, _S.RUNNING),
        _S.REDISTRIBUTING,
        "worker lost, attempt failed with retries left, or handed back",
    ),
    *_rows(
        EventType.FAILED,
        (_S.SCHEDULED, _S.RUNNING, _S.REDISTRIBUTING),
        _S.FAILED,
        "failed for good, retries used up, or three workers lost in a row",
    ),
    *_rows(EventType.PAUSED, (_S.RUNNING,), _S.PAUSED, "checkpointed and stopped"),
    *_rows(EventType.RESUMED, (_S.PAUSED,), _S.PENDING, "a customer resumes"),
    *_rows(
        EventType.CANCELLED,
        (_S.PENDING, _S.SCHEDULED, _S.RUNNING, _S.PAUSED, _S.REDISTRIBUTING),
        _S.CANCELLED,
        "a customer cancels",
    ),
)

_LEGAL = frozenset((row.event, row.source, row.target) for row in TRANSITIONS)


class IllegalMoveError(Exception):
    """The table has no such move from the workload's present state."""

    def __init__(self, event: EventType, current: Status, wanted: str = "") -> None:
        super().__init__(f"{event} is not possible from {current}{wanted}")
        self.event = event
        self.current = current


def _move(
    old: WorkloadState,
    event: EventType,
    target: Status,
    now: datetime,
    actor: Actor,
    details: dict[str, Any] | None = None,
    cause: Cause | None = None,
    **changes: Any,  # Any: fields of the state
) -> Move:
    if (event, old.status, target) not in _LEGAL:
        raise IllegalMoveError(event, old.status)
    new = old.but(status=target, version=old.version + 1, event_count=old.event_count + 1, **changes)
    return explained(event, old, new, now, actor, details, cause)


_UNBORN = WorkloadState("", "", "", Status.PENDING)


def create(customer_id: str, workload_id: str, workload_type: str, now: datetime, actor: Actor) -> Move:
    """A workload begins, in the queue."""
    new = _UNBORN.but(customer_id=customer_id, workload_id=workload_id, workload_type=workload_type)
    return explained(EventType.CREATED, None, new, now, actor)


_LET_GO: dict[str, Any] = {"worker_id": None, "incarnation": None, "pause_phase": None}
"""What every move that takes the workload off its worker clears."""


def schedule(
    old: WorkloadState, now: datetime, actor: Actor, worker_id: str, incarnation: str, progress_percent: int
) -> Move:
    """Assign to a worker: the next generation begins, at the progress of the checkpoint it starts from."""
    return _move(
        old,
        EventType.SCHEDULED,
        Status.SCHEDULED,
        now,
        actor,
        generation=old.generation + 1,
        worker_id=worker_id,
        incarnation=incarnation,
        scheduled_from=old.status,
        event_sequence=0,
        progress_percent=progress_percent,
        ready=False,
        available_at=None,
        scheduled_at=now,
        attempt_started_at=None,
        pause_phase=None,
    )


def unschedule(old: WorkloadState, now: datetime, actor: Actor, reason: str, *, wait_seconds: float = 0.0) -> Move:
    """Take back an assignment that was refused or never answered; the next comes ``wait_seconds`` later at least."""
    return _unschedule(old, now, actor, {"reason": reason}, **_ready(now, wait_seconds))


# Any: fields of the state, for `replace`.
def _unschedule(old: WorkloadState, now: datetime, actor: Actor, details: dict[str, Any], **changes: Any) -> Move:
    target = old.scheduled_from or Status.PENDING
    return _move(old, EventType.UNSCHEDULED, target, now, actor, details, **{"ready": True, **changes}, **_LET_GO)


def _ready(now: datetime, wait_seconds: float) -> dict[str, Any]:
    """In the queue at once, or when the wait is over."""
    waits = wait_seconds > 0
    return {"ready": not waits, "available_at": now + timedelta(seconds=wait_seconds) if waits else None}


def start(old: WorkloadState, now: datetime, actor: Actor) -> Move:
    """The handler is about to run its first line."""
    first = old.started_at or now
    return _move(old, EventType.STARTED, Status.RUNNING, now, actor, started_at=first, attempt_started_at=now)


def complete(old: WorkloadState, now: datetime, actor: Actor, result_json: str) -> Move:
    """Accept the result."""
    return _move(
        old,
        EventType.COMPLETED,
        Status.COMPLETED,
        now,
        actor,
        completed_at=now,
        progress_percent=100,
        result_json=result_json,
        error_message=None,
        pause_phase=None,
        incarnation=None,
    )


def fail(old: WorkloadState, now: datetime, actor: Actor, error: str, reason: str) -> Move:
    """Fail for good."""
    return _move(
        old,
        EventType.FAILED,
        Status.FAILED,
        now,
        actor,
        {"error": error, "reason": reason},
        completed_at=now,
        error_message=error,
        pause_phase=None,
        incarnation=None,
        ready=False,
    )


def fail_attempt(  # noqa: PLR0913 -- what decides between trying again and giving up
    old: WorkloadState,
    now: datetime,
    actor: Actor,
    error: str,
    *,
    permanent: bool,
    timed_out: bool,
    max_retries: int,
    backoff_seconds: float,
) -> Move:
    """The attempt failed by itself: again after a back-off while retries are left, else FAILED."""
    failed = old.but(failure_count=old.failure_count + 1)
    if permanent:
        return fail(failed, now, actor, error, "permanent")
    if failed.failure_count > max_retries:
        return fail(failed, now, actor, error, "retries_used_up")
    return _move(
        failed,
        EventType.REDISTRIBUTED,
        Status.REDISTRIBUTING,
        now,
        actor,
        {
            "reason": (Cause.TIMED_OUT if timed_out else Cause.ATTEMPT_FAILED).value,
            "error": error,
            "backoff_seconds": round(backoff_seconds, 3),
        },
        Cause.TIMED_OUT if timed_out else Cause.ATTEMPT_FAILED,
        retry_count=old.retry_count + 1,
        death_streak=0,  # its worker has outlived it
        error_message=error,
        **_ready(now, backoff_seconds),
        **_LET_GO,
    )


def lose_worker(
    old: WorkloadState, now: datetime, actor: Actor, reason: str, *, died: bool, fleet_is_dying: bool = False
) -> Move:
    """The worker died (``died``) or was removed.

    A workload that hadn't begun goes back to where it came from; one that ran is redistributed, and ``retry_count``
    rises. Either way the third death in a row, with no progress between, fails it: a handler can end its agent before
    its start is committed, so both kinds may be the workload's doing.

    Args:
        old: SCHEDULED or RUNNING.
        now: The database's time.
        actor: Who found out.
        reason: For people.
        died: It counts as a death.
        fleet_is_dying: Most workers died with it, so no workload is to blame: it becomes a suspect, but doesn't fail.
    """
    streak = old.death_streak + (1 if died else 0)
    if fleet_is_dying:
        streak = min(streak, max(old.death_streak, DEATHS_BEFORE_SUSPICION))
    if died and streak >= DEATHS_BEFORE_FAILURE:
        error = f"{reason}; the workload's worker died {streak} times in a row with no progress between"
        return fail(old.but(death_streak=streak), now, actor, error, "poison")
    cause = Cause.WORKER_DIED if died else Cause.WORKER_REMOVED
    counted = {"deaths_in_a_row": streak} if died else {}
    if old.status is Status.SCHEDULED:
        return _unschedule(old, now, actor, {"reason": reason, **counted}, death_streak=streak)
    return _move(
        old,
        EventType.REDISTRIBUTED,
        Status.REDISTRIBUTING,
        now,
        actor,
        {"reason": cause.value, "error": reason, **counted},
        cause,
        retry_count=old.retry_count + 1,
        death_streak=streak,
        error_message=reason,
        ready=True,
        **_LET_GO,
    )


def release(old: WorkloadState, now: datetime, actor: Actor, reason: str) -> Move:
    """Handed back by a worker that stops: schedulable at once, no retry counted."""
    return _release(old, now, actor, {"reason": reason})


# Any: fields of the state, for `replace`.
def _release(old: WorkloadState, now: datetime, actor: Actor, details: dict[str, Any], **changes: Any) -> Move:
    if old.status is Status.SCHEDULED:
        return _unschedule(old, now, actor, details, **changes)
    return _move(
        old,
        EventType.REDISTRIBUTED,
        Status.REDISTRIBUTING,
        now,
        actor,
        details,
        Cause.HANDED_BACK,
        ready=True,
        **changes,
        **_LET_GO,
    )


def refuse(old: WorkloadState, now: datetime, actor: Actor, reason: str, form: str) -> Move:
    """The worker's version of the handler doesn't take the input: back, and never again to one of that form.

    No retry is counted. Should it have been reported as started while it got ready, it is redistributed.

    Args:
        old: SCHEDULED or RUNNING.
        now: The database's time.
        actor: The worker.
        reason: For people.
        form: Of the input that the worker's handler takes.
    """
    misfits = with_misfit(old.misfits, form)
    known = misfits == old.misfits
    return _release(
        old,
        now,
        actor,
        {"reason": reason, "misfit": form},
        error_message=reason,
        misfits=misfits,
        placement_key=old.placement_key if known else key_without(old.placement_key, form),
    )


def pause(old: WorkloadState, now: datetime, actor: Actor) -> Move:
    """A granted pause is complete."""
    if old.pause_phase is not PausePhase.GRANTED:
        raise IllegalMoveError(EventType.PAUSED, old.status, " without a granted pause")
    return _move(old, EventType.PAUSED, Status.PAUSED, now, actor, paused_at=now, ready=False, **_LET_GO)


def resume(old: WorkloadState, now: datetime, actor: Actor, *, back_to: CheckpointMark | None = None) -> Move:
    """Back into the queue, to go on from the last checkpoint, or from an older one, whose copy becomes the last."""
    if back_to is None:
        return _move(old, EventType.RESUMED, Status.PENDING, now, actor, paused_at=None, ready=True)
    return _move(
        old,
        EventType.RESUMED,
        Status.PENDING,
        now,
        actor,
        {"from_checkpoint": back_to.sequence},
        paused_at=None,
        ready=True,
        checkpoint_sequence=old.checkpoint_sequence + 1,
        progress_percent=back_to.progress_percent,
    )


def cancel(old: WorkloadState, now: datetime, actor: Actor, reason: str | None) -> Move:
    """Wins over everything that happens later."""
    return _move(
        old,
        EventType.CANCELLED,
        Status.CANCELLED,
        now,
        actor,
        {"reason": reason} if reason else None,
        completed_at=now,
        paused_at=None,
        pause_phase=None,
        incarnation=None,
        ready=False,
        available_at=None,
    )
