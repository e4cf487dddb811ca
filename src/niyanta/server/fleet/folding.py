"""What a batch of events does: decided from the states as they are, one event after another.

An event is named for ever by (customer, workload, generation, sequence). It is applied when the workload is held by
the incarnation that sent it, at that generation, and its sequence is newer than the last applied one; an older
sequence is acknowledged again without effect; anything else is *fenced*, and its sender stops the attempt.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from niyanta.domain import changes, transitions
from niyanta.domain.forms import with_misfit
from niyanta.domain.records import Encoding, LogLevel
from niyanta.domain.retry import backoff_seconds
from niyanta.domain.transitions import IllegalMoveError
from niyanta.domain.workload import Actor, ActorType, Key, Move, PausePhase, Status
from niyanta.server.directory import Directory
from niyanta.server.fleet.contents import clean, details_json, level_of, logged_at, result_problem
from niyanta.server.fleet.reading import Batch, Unreadable
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.checkpoints import NewCheckpoint
from niyanta.server.store.logs import NewLogLine
from niyanta.server.store.states import Change
from niyanta.wire import messages
from niyanta.wire.messages import AttemptRef, BatchReply, Event, EventReply, Outcome
from niyanta.wire.objects import checkpoint_folder

__all__ = ["EventFolder", "Writes"]

log = logging.getLogger(__name__)

_MOST_OBJECT_KEY = 500
_MOST_OBJECT_BYTES = 1 << 50
_FORM = re.compile("[0-9a-z]{1,64}")


@dataclass(slots=True)
class Writes:
    """What one transaction will write."""

    changes: Mapping[Key, Change]
    checkpoints: list[NewCheckpoint] = field(default_factory=list)
    logs: list[NewLogLine] = field(default_factory=list)


@dataclass(slots=True)
class _Found:
    """What becomes of one attempt's events in one batch."""

    fenced: bool = False
    checkpoint_sequence: int = 0
    checkpoint_error: str | None = None


class EventFolder:
    """Folds batches into what is to be written."""

    def __init__(self, settings: CoordinatorSettings, directory: Directory) -> None:
        self._settings = settings
        self._directory = directory

    def fold(self, batch: Batch, writes: Writes) -> BatchReply:
        """Add a batch to what will be written; gives the answer to it."""
        actor = Actor(ActorType.WORKER, batch.worker_id)
        found: dict[AttemptRef, _Found] = {}
        for event in batch.events:
            outcome = found.setdefault(event.ref, _Found())
            if not outcome.fenced:
                self._fold_event(event, batch, actor, writes, outcome)
        return BatchReply(ok=True, replies=[_reply(ref, outcome, writes) for ref, outcome in found.items()])

    def _fold_event(
        self, event: Event | Unreadable, batch: Batch, actor: Actor, writes: Writes, outcome: _Found
    ) -> None:
        change = writes.changes.get((event.ref.customer_id, event.ref.workload_id))
        if change is None or change.state.generation != event.ref.generation:
            outcome.fenced = True
            return
        state = change.state
        # What can't be read has no number: it comes after all that could.
        sequence = state.event_sequence + 1 if isinstance(event, Unreadable) else event.sequence
        if sequence <= state.event_sequence:
            outcome.checkpoint_sequence = state.checkpoint_sequence
            return
        if state.incarnation != batch.incarnation or state.worker_id != batch.worker_id:
            outcome.fenced = True
            return
        try:
            if isinstance(event, Unreadable):
                log.warning("intake.event_unreadable", extra={"workload_id": state.workload_id, "why": event.why})
                change.then(_fail(change, actor, event.why))
            else:
                self._apply(event, change, actor, writes, outcome)
        except IllegalMoveError as exc:
            log.warning("intake.event_ignored", extra={"workload_id": state.workload_id, "why": str(exc)})
        change.then(changes.acknowledge(change.state, sequence))

    def _apply(self, event: Event, change: Change, actor: Actor, writes: Writes, outcome: _Found) -> None:
        state, now, body = change.state, change.before.now, event.body
        match body:
            case messages.Started():
                change.then(transitions.start(state, now, actor))
            case messages.Progressed():
                if state.status is Status.RUNNING:
                    change.then(changes.report_progress(state, body.percent, clean(body.message)))
                if body.message:
                    details = {"progress_percent": change.state.progress_percent}
                    writes.logs.append(_line(event, change, LogLevel.INFO, body.message, details_json(details)))
            case messages.LogLine():
                writes.logs.append(_line(event, change, body.level, body.message, details_json(body.details)))
            case messages.CheckpointSaved():
                self._checkpoint(event, body, change, actor, writes, outcome)
            case messages.Completed():
                if problem := result_problem(body.result_json, self._settings.max_result_bytes):
                    change.then(_fail(change, actor, problem))
                else:
                    change.then(transitions.complete(state, now, actor, body.result_json.decode()))
            case messages.Failed():
                change.then(_failure(body, change, actor))
            case messages.Paused():
                if state.pause_phase is PausePhase.GRANTED:
                    change.then(transitions.pause(state, now, actor))
                else:
                    change.then(transitions.release(state, now, actor, "stopped without a pause"))
            case messages.Released():
                change.then(transitions.release(state, now, actor, clean(body.reason) or "released"))
            case messages.Refused(misfit=str() as form) if _FORM.fullmatch(form):
                change.then(self._misfit(body, form, change, actor))
            case messages.Refused():
                change.then(transitions.unschedule(state, now, actor, clean(body.reason) or "refused"))

    def _misfit(self, body: messages.Refused, form: str, change: Change, actor: Actor) -> Move:
        """The input doesn't fit the worker's version of the handler: another's turn, if there ever may be one."""
        state, now, reason = change.state, change.before.now, clean(body.reason) or "its input doesn't fit"
        if body.hopeless:
            misfits = with_misfit(state.misfits, form)
            if not self._directory.takes_elsewhere(state.customer_id, state.workload_type, misfits):
                return transitions.fail(state, now, actor, reason, "permanent")
        return transitions.refuse(state, now, actor, reason, form)

    def _checkpoint(
        self,
        event: Event,
        body: messages.CheckpointSaved,
        change: Change,
        actor: Actor,
        writes: Writes,
        outcome: _Found,
    ) -> None:
        if problem := self._checkpoint_problem(event.ref, body):
            outcome.checkpoint_error = f"{problem}; the last good one still stands"
            return
        change.then(changes.record_checkpoint(change.state, change.before.now, actor))
        state = change.state
        outcome.checkpoint_sequence = state.checkpoint_sequence
        writes.checkpoints.append(
            NewCheckpoint(
                customer_id=state.customer_id,
                workload_id=state.workload_id,
                sequence=state.checkpoint_sequence,
                generation=state.generation,
                worker_id=state.worker_id,
                encoding=Encoding.BYTES if body.encoding == Encoding.BYTES else Encoding.JSON,
                data=None if body.object_key else body.data,
                object_key=body.object_key,
                size_bytes=body.size_bytes if body.object_key else len(body.data),
                sha256=body.sha256,
                progress_percent=state.progress_percent,
            )
        )

    def _checkpoint_problem(self, ref: AttemptRef, body: messages.CheckpointSaved) -> str | None:
        """Why a checkpoint can't be kept."""
        if body.object_key:
            folder = checkpoint_folder(ref.customer_id, ref.workload_id, ref.generation)
            is_good = body.object_key.startswith(folder) and "\0" not in body.object_key
            if not is_good or len(body.object_key) > _MOST_OBJECT_KEY:
                return "the checkpoint lies where it doesn't belong"
            if not 0 <= body.size_bytes <= _MOST_OBJECT_BYTES or len(body.sha256) != 32:
                return "the checkpoint arrived damaged"
            return None
        limit = self._settings.max_checkpoint_bytes
        if len(body.data) > limit:
            return f"the checkpoint has {len(body.data)} bytes, the limit is {limit}"
        if hashlib.sha256(body.data).digest() != body.sha256:
            return "the checkpoint arrived damaged"
        return None


def _reply(ref: AttemptRef, found: _Found, writes: Writes) -> EventReply:
    if found.fenced:
        return EventReply(ref, Outcome.FENCED)
    state = writes.changes[ref.customer_id, ref.workload_id].state
    return EventReply(
        ref,
        Outcome.APPLIED,
        found.checkpoint_sequence,
        found.checkpoint_error,
        state.pause_phase is PausePhase.GRANTED,
    )


def _fail(change: Change, actor: Actor, why: str) -> Move:
    return transitions.fail(change.state, change.before.now, actor, clean(why) or "", "permanent")


def _failure(body: messages.Failed, change: Change, actor: Actor) -> Move:
    failures = change.state.failure_count + 1
    return transitions.fail_attempt(
        change.state,
        change.before.now,
        actor,
        clean(body.message) or "the attempt failed",
        permanent=body.permanent,
        timed_out=body.timed_out,
        max_retries=change.before.config.max_retries,
        backoff_seconds=backoff_seconds(failures, random.random()),  # noqa: S311 -- jitter, no secret
    )


def _line(event: Event, change: Change, level: str, message: str, details: str) -> NewLogLine:
    return NewLogLine(
        customer_id=event.ref.customer_id,
        workload_id=event.ref.workload_id,
        generation=event.ref.generation,
        sequence=event.sequence,
        logged_at=logged_at(event.occurred_at_ms, change.before.now, change.state.scheduled_at),
        level=level_of(level),
        message=clean(message) or "",
        details_json=details,
    )
