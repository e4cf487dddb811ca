"""What a workload is at one moment: its state, the words for it, and how a change of it is told.

`niyanta.domain.transitions` and `niyanta.domain.changes` make each next state from the one before; nothing else does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

__all__ = [
    "TERMINAL",
    "Actor",
    "ActorType",
    "AuditEvent",
    "Cause",
    "CheckpointMark",
    "EventType",
    "Key",
    "Move",
    "PausePhase",
    "Status",
    "WorkloadState",
    "explained",
]


Key = tuple[str, str]
"""Names a workload: its customer's id and its own."""


class Status(StrEnum):
    """What the contract calls ``status``."""

    PENDING = "PENDING"
    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    REDISTRIBUTING = "REDISTRIBUTING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing moves it any more."""
        return self in TERMINAL

    @property
    def is_queued(self) -> bool:
        """Counts against ``max_queue_depth``."""
        return self in _QUEUED

    @property
    def is_held(self) -> bool:
        """Holds a worker's slot and counts against ``max_concurrent_workloads``."""
        return self in _HELD


_QUEUED = (Status.PENDING, Status.REDISTRIBUTING)
_HELD = (Status.SCHEDULED, Status.RUNNING)
TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


class EventType(StrEnum):
    """Audit events, one for each move."""

    CREATED = "workload.created"
    SCHEDULED = "workload.scheduled"
    UNSCHEDULED = "workload.unscheduled"
    STARTED = "workload.started"
    CHECKPOINT_CREATED = "workload.checkpoint_created"
    PAUSED = "workload.paused"
    RESUMED = "workload.resumed"
    REDISTRIBUTED = "workload.redistributed"
    COMPLETED = "workload.completed"
    FAILED = "workload.failed"
    CANCELLED = "workload.cancelled"
    UPDATED = "workload.updated"
    """No move: what it was submitted with was changed."""


class PausePhase(StrEnum):
    """How far a pause has come while the workload is still RUNNING."""

    REQUESTED = "requested"
    """The worker has been asked; the pause can still be withdrawn."""
    GRANTED = "granted"
    """Its checkpoint is committed; the attempt is ending."""


class Cause(StrEnum):
    """Why a workload was taken from its worker for another attempt."""

    WORKER_DIED = "worker_died"
    WORKER_REMOVED = "worker_removed"
    ATTEMPT_FAILED = "attempt_failed"
    TIMED_OUT = "timed_out"
    HANDED_BACK = "handed_back"
    """Its worker stops, and gave it back unharmed."""


class ActorType(StrEnum):
    """Who can make a workload move."""

    USER = "user"
    COORDINATOR = "coordinator"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it."""

    type: ActorType
    id: str
    """Of a user the API key's id or the token's subject."""


class AuditEvent(NamedTuple):
    """One line of a workload's history. ``event_id`` counts from 1 within the workload."""

    event_id: int
    type: EventType
    at: datetime
    actor: Actor
    details: dict[str, Any]


@dataclass(frozen=True)
class WorkloadState:
    """All of a workload that its moves read or change.

    Five are made for each workload that runs, with thirty fields each, which the constructor of a frozen dataclass
    and `dataclasses.replace` set one by one. So those on the path are made by `of` and `but`, ten times as fast.
    """

    customer_id: str
    workload_id: str
    workload_type: str
    status: Status
    version: int = 1
    generation: int = 0
    event_count: int = 1
    """Audit events so far; the newest one's ``event_id``."""
    worker_id: str | None = None
    incarnation: str | None = None
    """Of the worker that holds it; None unless SCHEDULED or RUNNING."""
    scheduled_from: Status | None = None
    """Where a refused assignment goes back to."""
    event_sequence: int = 0
    """The newest of the current attempt's events that has been applied."""
    progress_percent: int = 0
    progress_message: str | None = None
    retry_count: int = 0
    failure_count: int = 0
    """Attempts that failed by themselves; bounded by ``max_retries``."""
    death_streak: int = 0
    """Workers that died holding it, SCHEDULED or RUNNING, since its last progress: a checkpoint, or an attempt's own
    end."""
    checkpoint_sequence: int = 0
    pause_phase: PausePhase | None = None
    ready: bool = True
    """In the scheduler's queue: queued, and not waiting for a back-off to end."""
    available_at: datetime | None = None
    """End of the back-off."""
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    attempt_started_at: datetime | None = None
    paused_at: datetime | None = None
    completed_at: datetime | None = None
    error_message: str | None = None
    result_json: str | None = None
    placement_key: int = 0
    """Names its placement class. Changes when it turns out which workers won't do."""
    misfits: str | None = None
    """Forms of input that its own doesn't fit, in order, with spaces between (`niyanta.domain.forms`)."""

    @classmethod
    def of(cls, fields: dict[str, Any]) -> WorkloadState:
        """A state with these values, of each of its fields; the dictionary is its own from then on."""
        made = object.__new__(cls)
        object.__setattr__(made, "__dict__", fields)
        return made

    def but(self, **changes: Any) -> WorkloadState:  # Any: fields, which the tests of the moves name one by one
        """The same state with some fields changed."""
        return WorkloadState.of(self.__dict__ | changes)


class CheckpointMark(NamedTuple):
    """A checkpoint of a workload, as its moves name it."""

    sequence: int
    progress_percent: int


class Move(NamedTuple):
    """A state and the audit event that explains it (None for changes that are no moves)."""

    state: WorkloadState
    event: AuditEvent | None
    cause: Cause | None = None
    """Of a redistribution."""


def explained(
    event: EventType,
    old: WorkloadState | None,
    new: WorkloadState,
    now: datetime,
    actor: Actor,
    details: dict[str, Any] | None = None,
    cause: Cause | None = None,
) -> Move:
    """The new state with its audit event, which says from where to where, in which attempt and on which worker.

    Args:
        event: What happened.
        old: None for a workload that begins.
        new: Has counted the event already.
        now: The database's time.
        actor: Who did it.
        details: What else the event says; a JSON object.
        cause: Of a redistribution.
    """
    facts: dict[str, Any] = {
        "from": old.status if old is not None else None,
        "to": new.status,
        "attempt": new.generation,
        "version": new.version,
    }
    worker_id = new.worker_id or (old.worker_id if old is not None else None)
    if worker_id is not None:
        facts["worker_id"] = worker_id
    if new.checkpoint_sequence:
        facts["checkpoint_sequence"] = new.checkpoint_sequence
    if details:
        facts.update(details)
    return Move(new, AuditEvent(new.event_count, event, now, actor, facts), cause)
