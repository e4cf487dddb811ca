"""Events from workers: applied in order, once, and acknowledged after the commit.

An event is named for ever by (customer, workload, generation, sequence). It is applied when the workload is held
by the incarnation that sent it, at that generation, and its sequence is newer than the last applied one; an older
sequence is acknowledged again without effect; anything else is *fenced*, and its sender stops the attempt.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from niyanta.domain import transitions
from niyanta.domain.retry import backoff_seconds
from niyanta.domain.transitions import Actor, ActorType, IllegalMove, PausePhase, Status
from niyanta.errors import ServiceUnavailableError
from niyanta.server.moves.batcher import GroupCommit
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.moves.mover import Mover
from niyanta.server.observability.metrics import Metrics
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.checkpoints import CheckpointStore, NewCheckpoint
from niyanta.server.store.logs import LogStore, NewLogLine
from niyanta.server.store.queries import Connection
from niyanta.server.store.states import Change, Locked
from niyanta.server.store.workloads import Key
from niyanta.wire import messages
from niyanta.wire.messages import AttemptRef, BatchReply, Event, EventBatch, EventReply
from niyanta.wire.objects import ObjectStore, checkpoint_folder

__all__ = ["EventIntake"]

log = logging.getLogger(__name__)

_MOVES_ONLY = (
    messages.Started,
    messages.Completed,
    messages.Failed,
    messages.Refused,
    messages.Released,
    messages.Paused,
)
"""Events that write nothing but the workload's row and its history."""
_LATEST_LINE_MS = 24 * 3_600_000
"""A line that arrives later than this after it was written gets a later time."""
_CLOCK_SKEW_MS = 3_600_000
_LEVELS = frozenset({"DEBUG", "INFO", "WARN", "ERROR"})


@dataclass(slots=True)
class _Writes:
    """What one transaction will write."""

    changes: Mapping[Key, Change]
    checkpoints: list[NewCheckpoint] = field(default_factory=list)
    logs: list[NewLogLine] = field(default_factory=list)


@dataclass(slots=True)
class _Outcome:
    """What becomes of one attempt's events in one batch."""

    fenced: bool = False
    checkpoint_sequence: int = 0
    checkpoint_error: str | None = None


class EventIntake:
    """Applies batches of events; batches that arrive together share a transaction."""

    def __init__(
        self,
        mover: Mover,
        feed: ChangeFeed,
        settings: CoordinatorSettings,
        metrics: Metrics,
        object_store: ObjectStore | None = None,
    ) -> None:
        self._mover = mover
        self._feed = feed
        self._settings = settings
        self._object_store = object_store
        self._unneeded: asyncio.Queue[str] = asyncio.Queue()
        """Keys of objects whose checkpoints have been dropped, in committed transactions only."""
        self._checkpoints = CheckpointStore()
        self._logs = LogStore()
        self._decode = msgspec.msgpack.Decoder(EventBatch).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._group = GroupCommit[EventBatch, BatchReply](self._commit, most=64, observe=metrics.events_committed)

    async def run(self) -> None:
        """Apply until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._group.run())
            group.create_task(self._delete_unneeded())

    async def _delete_unneeded(self) -> None:
        """Delete objects beside the intake, so that a slow store holds up no event."""
        while True:
            key = await self._unneeded.get()
            if self._object_store is not None:
                await self._object_store.delete([key])

    async def receive(self, payload: bytes) -> bytes:
        """Answer one batch. The broker's handler for the events subject."""
        try:
            batch = self._decode(payload)
        except msgspec.DecodeError as exc:
            log.warning("intake.undecodable", extra={"error": str(exc)})
            return self._encode(BatchReply(ok=False))
        try:
            return self._encode(await self._group.submit(batch))
        except ServiceUnavailableError as exc:
            log.warning("intake.not_committed", extra={"worker_id": batch.worker_id, "error": str(exc)})
            return self._encode(BatchReply(ok=False))

    async def _commit(self, batches: Sequence[EventBatch]) -> list[BatchReply | Exception]:
        try:
            return list(await self._commit_together(batches))
        except ServiceUnavailableError:
            raise
        except Exception:
            if len(batches) == 1:
                log.exception("intake.batch_failed", extra={"worker_id": batches[0].worker_id})
                return [BatchReply(ok=False)]
        # One bad batch must not hold up the others.
        results: list[BatchReply | Exception] = []
        for batch in batches:
            try:
                results += await self._commit([batch])
            except ServiceUnavailableError as exc:
                results.append(exc)
        return results

    async def _commit_together(self, batches: Sequence[EventBatch]) -> list[BatchReply]:
        keys = sorted({(e.ref.customer_id, e.ref.workload_id) for batch in batches for e in batch.events})
        replies: list[BatchReply] = []
        writes = _Writes({})
        unneeded: list[str] = []

        def decide(changes: Mapping[Key, Change]) -> None:
            nonlocal replies, writes
            writes = _Writes(changes)
            replies = [self._fold(batch, writes) for batch in batches]

        async def besides(conn: Connection) -> None:
            nonlocal unneeded
            if writes.checkpoints:
                unneeded = await self._checkpoints.add(conn, writes.checkpoints)
            if writes.logs:
                await self._logs.add(conn, writes.logs)

        only_moves = all(isinstance(event.body, _MOVES_ONLY) for batch in batches for event in batch.events)
        if only_moves and await self._mover.move_unlocked(keys, decide):
            return replies
        # When somebody else was quicker with one of them: what was written is found to be applied now.
        await self._mover.move(keys, decide, pool="vital", besides=besides)
        for key in unneeded:
            self._unneeded.put_nowait(key)
        if writes.logs:
            self._feed.announce(logged=sorted({(line.customer_id, line.workload_id) for line in writes.logs}))
        return replies

    def _fold(self, batch: EventBatch, writes: _Writes) -> BatchReply:
        actor = Actor(ActorType.WORKER, batch.worker_id)
        outcomes: dict[AttemptRef, _Outcome] = {}
        for event in batch.events:
            outcome = outcomes.setdefault(event.ref, _Outcome())
            if outcome.fenced:
                continue
            change = writes.changes.get((event.ref.customer_id, event.ref.workload_id))
            if change is None or change.state.generation != event.ref.generation:
                outcome.fenced = True
                continue
            state = change.state
            if event.sequence <= state.event_sequence:
                outcome.checkpoint_sequence = state.checkpoint_sequence
                continue
            if state.incarnation != batch.incarnation or state.worker_id != batch.worker_id:
                outcome.fenced = True
                continue
            try:
                self._apply(event, change, actor, writes, outcome)
            except IllegalMove as exc:
                log.warning("intake.event_ignored", extra={"workload_id": state.workload_id, "why": str(exc)})
            change.then(transitions.acknowledge(change.state, event.sequence))
        return BatchReply(ok=True, replies=[self._reply(ref, o, writes) for ref, o in outcomes.items()])

    def _reply(self, ref: AttemptRef, outcome: _Outcome, writes: _Writes) -> EventReply:
        if outcome.fenced:
            return EventReply(ref, "fenced")
        state = writes.changes[ref.customer_id, ref.workload_id].state
        return EventReply(
            ref,
            "applied",
            outcome.checkpoint_sequence,
            outcome.checkpoint_error,
            state.pause_phase is PausePhase.GRANTED,
        )

    def _apply(self, event: Event, change: Change, actor: Actor, writes: _Writes, outcome: _Outcome) -> None:
        state, now, body = change.state, change.before.now, event.body
        match body:
            case messages.Started():
                change.then(transitions.start(state, now, actor))
            case messages.Progressed():
                if state.status is Status.RUNNING:
                    change.then(transitions.report_progress(state, body.percent, clean(body.message)))
                if body.message:
                    details = {"progress_percent": change.state.progress_percent}
                    writes.logs.append(_log_row(event, now, "INFO", body.message, details))
            case messages.LogLine():
                writes.logs.append(_log_row(event, now, body.level, body.message, body.details))
            case messages.CheckpointSaved():
                self._checkpoint(event, body, change, actor, writes, outcome)
            case messages.Completed():
                if problem := self._result_problem(body.result_json):
                    change.then(transitions.fail(state, now, actor, problem, "permanent"))
                else:
                    change.then(transitions.complete(state, now, actor, body.result_json.decode()))
            case messages.Failed():
                change.then(self._failure(body, change.before, change, actor))
            case messages.Paused():
                if state.pause_phase is PausePhase.GRANTED:
                    change.then(transitions.pause(state, now, actor))
                else:
                    change.then(transitions.release(state, now, actor, "stopped without a pause"))
            case messages.Released():
                change.then(transitions.release(state, now, actor, clean(body.reason) or "released"))
            case messages.Refused():
                change.then(transitions.unschedule(state, now, actor, clean(body.reason) or "refused"))

    def _checkpoint(
        self,
        event: Event,
        body: messages.CheckpointSaved,
        change: Change,
        actor: Actor,
        writes: _Writes,
        outcome: _Outcome,
    ) -> None:
        ref = event.ref
        folder = checkpoint_folder(ref.customer_id, ref.workload_id, ref.generation)
        if body.object_key and not body.object_key.startswith(folder):
            outcome.checkpoint_error = "the checkpoint lies where it doesn't belong; the last good one still stands"
            return
        limit = self._settings.max_checkpoint_bytes
        size = body.size_bytes if body.object_key else len(body.data)
        if not body.object_key and size > limit:
            outcome.checkpoint_error = (
                f"the checkpoint has {size} bytes, the limit is {limit}; the last good one still stands"
            )
            return
        if len(body.sha256) != 32 or (not body.object_key and hashlib.sha256(body.data).digest() != body.sha256):
            outcome.checkpoint_error = "the checkpoint arrived damaged; the last good one still stands"
            return
        change.then(transitions.record_checkpoint(change.state, change.before.now, actor))
        state = change.state
        outcome.checkpoint_sequence = state.checkpoint_sequence
        writes.checkpoints.append(
            NewCheckpoint(
                customer_id=state.customer_id,
                workload_id=state.workload_id,
                sequence=state.checkpoint_sequence,
                generation=state.generation,
                encoding="bytes" if body.encoding == "bytes" else "json",
                data=None if body.object_key else body.data,
                object_key=body.object_key,
                size_bytes=size,
                sha256=body.sha256,
                progress_percent=state.progress_percent,
            )
        )

    def _failure(self, body: messages.Failed, before: Locked, change: Change, actor: Actor) -> transitions.Move:
        failures = change.state.failure_count + 1
        return transitions.fail_attempt(
            change.state,
            before.now,
            actor,
            clean(body.message) or "the attempt failed",
            permanent=body.permanent,
            timed_out=body.timed_out,
            max_retries=before.config.max_retries,
            backoff_seconds=backoff_seconds(failures, random.random()),  # noqa: S311 -- jitter, no secret
        )

    def _result_problem(self, result: bytes) -> str | None:
        limit = self._settings.max_result_bytes
        if len(result) > limit:
            return f"the result has {len(result)} bytes, the limit is {limit}"
        try:
            msgspec.json.decode(result, type=dict[str, msgspec.Raw])
        except msgspec.DecodeError as exc:
            return f"the result is not a JSON object: {exc}"
        return None


def clean(text: str | None) -> str | None:
    """Text that PostgreSQL can hold: NUL becomes U+FFFD."""
    return text.replace("\0", "\ufffd") if text and "\0" in text else text


def _logged_at(occurred_at_ms: int, now: datetime) -> datetime:
    """A worker's time of a line, kept near the database's: a clock that is far off chooses no partition."""
    now_ms = int(now.timestamp() * 1000)
    sane = min(max(occurred_at_ms, now_ms - _LATEST_LINE_MS), now_ms + _CLOCK_SKEW_MS)
    return datetime.fromtimestamp(sane / 1000, UTC)


def _log_row(event: Event, now: datetime, level: str, message: str, details: Mapping[str, object]) -> NewLogLine:
    return NewLogLine(
        customer_id=event.ref.customer_id,
        workload_id=event.ref.workload_id,
        generation=event.ref.generation,
        sequence=event.sequence,
        logged_at=_logged_at(event.occurred_at_ms, now),
        level=level if level in _LEVELS else "INFO",
        message=clean(message) or "",
        details_json=msgspec.json.encode(details).decode(),
    )
