"""The messages that cross the broker, as msgspec structs in MessagePack.

``docs/protocol.md`` tells who sends what to whom, and what happens when it is lost. Unknown fields are
ignored, so that releases N and N+1 can talk; a field once published keeps its meaning.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from niyanta.domain.records import Encoding
from niyanta.domain.workers import Isolation

__all__ = [
    "PROTOCOL_VERSION",
    "Assign",
    "Assignment",
    "AttemptRef",
    "BatchReply",
    "CancelAttempt",
    "CheckpointReply",
    "CheckpointRequest",
    "CheckpointSaved",
    "Command",
    "Completed",
    "DrainWorker",
    "Event",
    "EventBatch",
    "EventBody",
    "EventReply",
    "Failed",
    "HandlerInfo",
    "Heartbeat",
    "HeartbeatReply",
    "LogLine",
    "Outcome",
    "PauseAttempt",
    "Paused",
    "Progressed",
    "Refused",
    "Register",
    "RegisterReply",
    "Released",
    "Speak",
    "Started",
    "WithdrawPause",
]

PROTOCOL_VERSION = 1


class AttemptRef(msgspec.Struct, frozen=True):
    """One attempt of one workload: what a worker holds and what every event is about."""

    customer_id: str
    workload_id: str
    generation: int


# --- coordinator -> worker, on the worker's own subject -------------------------------------------


class Assignment(msgspec.Struct, frozen=True, omit_defaults=True):
    """One workload to run, with all that the handler needs but the checkpoint's bytes."""

    ref: AttemptRef
    workload_type: str
    input_json: bytes
    """The submission's ``input_params`` as UTF-8 JSON."""
    config_json: bytes = b"{}"
    """The type's ``config_json`` as UTF-8 JSON."""
    checkpoint_sequence: int = 0
    """The acknowledged checkpoint to start from; 0 for none. Its bytes are fetched on demand."""
    progress_percent: int = 0
    checkpoint_interval_seconds: float = 300.0
    timeout_seconds: int | None = None
    """Bound on this attempt's running time; None for none."""
    cpu_cores: float = 1.0
    memory_mb: int = 512
    disk_mb: int = 1024
    traceparent: str | None = None
    """The attempt's span, for what is recorded below it; None where nothing is traced."""


class Assign(msgspec.Struct, frozen=True, tag="assign"):
    """Push of new assignments. The worker answers with `Started` or `Refused` events, not here."""

    epoch: int
    incarnation: str
    assignments: list[Assignment]


class CancelAttempt(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop this attempt and report nothing more of it: it is cancelled or superseded."""

    ref: AttemptRef
    reason: str = ""


class PauseAttempt(msgspec.Struct, frozen=True, tag="pause"):
    """Checkpoint, and when the checkpoint's acknowledgement says so, end the attempt."""

    ref: AttemptRef


class WithdrawPause(msgspec.Struct, frozen=True, tag="withdraw_pause"):
    """The pause ran out of time: forget it and go on."""

    ref: AttemptRef


class DrainWorker(msgspec.Struct, frozen=True, tag="drain"):
    """An operator drains the worker: take nothing new, and beat at once: the answer says what moves."""


class Speak(msgspec.Struct, frozen=True, tag="speak"):
    """A request: the leader hasn't heard of the worker. The reply is the `Heartbeat` that it would send."""

    incarnation: str


Command: TypeAlias = Assign | CancelAttempt | PauseAttempt | WithdrawPause | DrainWorker | Speak


# --- worker -> coordinator, requests to the queue group -------------------------------------------


class HandlerInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a worker says of one workload type that it serves."""

    workload_type: str
    isolation: Isolation = Isolation.PROCESS
    exclusive: bool = False
    input_schema: dict[str, Any] | None = None
    """JSON Schema (2020-12) of the input, when the handler's parameters are typed."""
    form: str = ""
    """Names that schema (`niyanta.domain.forms`); empty from workers of releases before this field."""
    missing_walls: list[str] = []
    """Each a `Wall`: what doesn't keep its attempts in on the worker's machine."""


class Register(msgspec.Struct, frozen=True):
    """A worker comes to life. Idempotent for one incarnation."""

    worker_id: str
    incarnation: str
    """Made new at each registration; heartbeats, events and assignments carry it."""
    capacity: int
    tags: dict[str, str]
    handlers: list[HandlerInfo]
    version: str
    protocol: int = PROTOCOL_VERSION
    replaces: list[str] = []
    """Incarnations of this id that have surely ended, with all that they ran: their lease needn't be waited for."""


class RegisterReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """Unless ``accepted`` the reason is a `RegisterRefusal`; after a final one the worker ends, with the message."""

    accepted: bool
    reason: str = ""
    message: str = ""
    heartbeat_interval_seconds: float = 2.0
    lease_seconds: float = 10.0
    epoch: int = 0
    """The newest leader's; commands of older ones are ignored from now on, those of newer ones only later."""
    now_ms: int = 0
    """Unix milliseconds on the database's clock, by which the worker stamps its events; 0: by its own."""


class Heartbeat(msgspec.Struct, frozen=True):
    """Sent every two seconds, and at once when a slot is free again of which no event tells."""

    worker_id: str
    incarnation: str
    draining: bool
    attempts: list[AttemptRef]
    """What holds a slot, also what is cancelled and hasn't ended yet. What is missing never arrived."""
    leaving: bool = False
    """True in the very last beat of a worker that has handed everything back and exits."""
    ignored_commands: int = 0
    """Commands of an older leader or for another incarnation that came since the last answered beat."""
    lingering: int | None = None
    """How many of them are over as the worker knows, and hold their slots all the same; None when there are none, and
    that has been said since one was last told to end. That one isn't the worker's any more doesn't say so: it may
    have ended since the beat was written."""


class HeartbeatReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """``ok``: beat recorded. ``hold``: the service can't record it now, go on. Neither: register anew."""

    ok: bool
    hold: bool = False
    draining: bool = False
    """An operator has drained this worker."""
    superseded: list[AttemptRef] = []
    """Attempts among those reported that are no longer this worker's: stop them."""
    epoch: int = 0
    """As in `RegisterReply`; 0 when it isn't known."""
    absent: list[AttemptRef] = []
    """Attempts that run here as far as the service knows, and that the beat didn't name: the worker hands back those
    that it hasn't got."""
    moving: list[AttemptRef] | None = None
    """Attempts that are to go on elsewhere: the worker hands each back at its next checkpoint. Those that aren't
    named any more stay. None: nothing is said, as by releases before this field."""


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The handler is about to run its first line."""


class Refused(msgspec.Struct, frozen=True, tag="refused", omit_defaults=True):
    """The worker won't run it (full, draining, type unknown, input unfit): back to where it came from."""

    reason: str
    misfit: str | None = None
    """Form of the handler's input that the workload's doesn't fit; None when that isn't why."""
    hopeless: bool = False
    """With ``misfit``: the input fits the schema, and was refused by checks of the handler's that no schema tells.
    Where no worker serves another form, the workload fails."""


class Progressed(msgspec.Struct, frozen=True, tag="progress", omit_defaults=True):
    """How far the attempt has come, in whole percent."""

    percent: int
    message: str | None = None


class LogLine(msgspec.Struct, frozen=True, tag="log", omit_defaults=True):
    """One line of the workload's log. ``level`` is a `LogLevel`; any other is taken for INFO."""

    level: str
    message: str
    details: dict[str, Any] = {}


class CheckpointSaved(msgspec.Struct, frozen=True, tag="checkpoint", omit_defaults=True):
    """A checkpoint to keep. The reply to its batch carries the outcome (`EventReply`)."""

    data: bytes
    """The state, in the given `Encoding`. Not compressed."""
    sha256: bytes
    encoding: str = Encoding.JSON
    object_key: str | None = None
    """Set when the bytes lie in the object store; ``data`` is empty then."""
    size_bytes: int = 0


class Paused(msgspec.Struct, frozen=True, tag="paused"):
    """A granted pause is complete: the attempt's processes are gone."""


class Released(msgspec.Struct, frozen=True, tag="released"):
    """Handed back without a result (drain): schedulable at once, no retry counted."""

    reason: str


class Completed(msgspec.Struct, frozen=True, tag="completed"):
    """The handler has returned."""

    result_json: bytes
    """A JSON object as UTF-8."""


class Failed(msgspec.Struct, frozen=True, tag="failed", omit_defaults=True):
    """The attempt failed by itself."""

    message: str
    permanent: bool = False
    timed_out: bool = False
    details: dict[str, Any] = {}


EventBody: TypeAlias = (
    Started | Refused | Progressed | LogLine | CheckpointSaved | Paused | Released | Completed | Failed
)


class Event(msgspec.Struct, frozen=True):
    """Something that happened to an attempt. (ref, sequence) names it for ever: resends are harmless."""

    ref: AttemptRef
    sequence: int
    """1, 2, 3 … within the attempt."""
    occurred_at_ms: int
    """Unix milliseconds on the database's clock as the worker knows it (`RegisterReply`); for the log only."""
    body: EventBody


class EventBatch(msgspec.Struct, frozen=True):
    """Events of one worker, oldest first; one batch is under way at a time."""

    worker_id: str
    incarnation: str
    events: list[Event]
    takes_later: bool = False
    """The sender understands `Outcome.LATER`."""


class Outcome(StrEnum):
    """What became of an attempt's events."""

    APPLIED = "applied"
    FENCED = "fenced"
    """Stop the attempt: it is no longer yours, or is over."""
    LATER = "later"
    """Nothing of them is committed; send them again in a moment. Only to who `EventBatch.takes_later`."""


class EventReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one attempt's events in the batch."""

    ref: AttemptRef
    outcome: Outcome
    checkpoint_sequence: int = 0
    """Sequence of the newest checkpoint in the batch that was kept; 0 for none."""
    checkpoint_error: str | None = None
    """Why a checkpoint in the batch was refused; the attempt goes on."""
    pause_granted: bool = False
    """The checkpoint just kept fulfils a pause: end the attempt, then report `Paused`."""


class BatchReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """Sent after the commit. ``ok`` False: not committed, send the same batch again."""

    ok: bool
    replies: list[EventReply] = []
    unknown_worker: bool = False
    """The incarnation isn't live any more: stop everything and register anew."""


class CheckpointRequest(msgspec.Struct, frozen=True):
    """Fetch (a range of) the checkpoint that an assignment named."""

    worker_id: str
    incarnation: str
    ref: AttemptRef
    sequence: int
    offset: int = 0
    max_bytes: int = 512 * 1024


class CheckpointReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """One range of a checkpoint's uncompressed bytes."""

    ok: bool
    error: str | None = None
    sequence: int = 0
    """May be older than asked for when that one turned out corrupt."""
    encoding: str = Encoding.JSON
    data: bytes = b""
    total_bytes: int = 0
    sha256: bytes = b""
    object_key: str | None = None
    try_again: bool = False
    """With ``error``: it can't be told at the moment. Releases before this field begin the error with "try again"."""
