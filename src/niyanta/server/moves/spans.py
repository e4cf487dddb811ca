"""The spans of workloads' moves, made of the times of the commits: waits in the queue, assignments, attempts.

They are recorded by who commits the move that ends them, so that the attempt of a worker that died has its span, too.
The id of an attempt's span follows from the workload's (`niyanta.domain.traces.attempt_context`): what workers and
handlers record below it needs nobody's word. When a workload was put back into the queue stands in its history only,
from which it is read beside everything else.

Nothing here runs where no traces are exported, and only a look at one field where a workload isn't in one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from niyanta.domain.ids import milliseconds_of
from niyanta.domain.traces import TraceContext, attempt_context, read_traceparent
from niyanta.domain.workload import TERMINAL, EventType, Status, WorkloadState
from niyanta.errors import ServiceUnavailableError
from niyanta.server.store.audit_events import AuditStore
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.partitions import Lifetime
from niyanta.server.store.states import Change
from niyanta.telemetry.words import Attributes, SpanKind

if TYPE_CHECKING:
    from niyanta.telemetry.spans import Spans

__all__ = ["MoveSpans"]

log = logging.getLogger(__name__)

_MOST_WAITING = 1_000


class _Requeued(NamedTuple):
    """A wait in the queue whose beginning has to be read."""

    state: WorkloadState
    context: TraceContext
    event_id: int
    """Of the move that put it there."""
    until: datetime


class MoveSpans:
    """Records what moves have ended, while `run` runs."""

    def __init__(self, spans: Spans, database: Database) -> None:
        self._spans = spans
        self._database = database
        self._history = AuditStore()
        self._requeued: asyncio.Queue[_Requeued] = asyncio.Queue(_MOST_WAITING)

    def tell(self, changes: Sequence[Change]) -> None:
        """Take in what was committed."""
        for change in changes:
            if change.before.traceparent is None:
                continue
            context = read_traceparent(change.before.traceparent)
            if context is None or not context.is_sampled:
                continue
            try:
                self._tell(change, context)
            except Exception:  # what is committed is committed, whether or not anybody can tell of it
                log.exception("spans.not_told", extra={"workload_id": change.state.workload_id})

    def _tell(self, change: Change, context: TraceContext) -> None:
        before, after = change.before.state, change.state
        now = change.before.now
        if after.generation > before.generation and after.scheduled_at is not None:
            self._waited(change, context, after.scheduled_at)
        elif before.status.is_queued and after.status in TERMINAL:
            self._waited(change, context, now)
        attempt = attempt_context(context, after.workload_id, before.generation)
        if before.status is Status.SCHEDULED and after.attempt_started_at is not None and before.scheduled_at:
            times = _nanoseconds(before.scheduled_at), _nanoseconds(after.attempt_started_at)
            self._spans.emit("assignment", self._spans.child(attempt), attempt, times)
        if before.status.is_held and not after.status.is_held and before.scheduled_at is not None:
            earlier = [attempt_context(context, after.workload_id, before.generation - 1)]
            self._spans.emit(
                "attempt",
                attempt,
                context,
                (_nanoseconds(before.scheduled_at), _nanoseconds(now)),
                kind=SpanKind.CONSUMER,
                attributes={**_facts(before), "niyanta.outcome": _outcome(change)},
                follows=earlier if before.generation > 1 else (),
                error=_error(change),
            )

    def _waited(self, change: Change, context: TraceContext, until: datetime) -> None:
        """A wait in the queue has ended."""
        before = change.before.state
        if before.event_count > 1:
            try:
                self._requeued.put_nowait(_Requeued(change.state, context, before.event_count, until))
            except asyncio.QueueFull:
                log.debug("spans.dropped")
            return
        created_ms = milliseconds_of(before.workload_id)
        began = _nanoseconds(until) if created_ms is None else created_ms * 1_000_000
        self._emit_wait(change.state, context, (began, _nanoseconds(until)))

    def _emit_wait(self, state: WorkloadState, context: TraceContext, times: tuple[int, int]) -> None:
        self._spans.emit("queue", self._spans.child(context), context, times, attributes=_facts(state))

    async def run(self) -> None:
        """Read when workloads were put back into the queue, until cancelled."""
        while True:
            found = await self._requeued.get()
            try:
                began = await self._read(found)
            except ServiceUnavailableError as exc:
                log.debug("spans.not_read", extra={"error": str(exc)})
                continue
            self._emit_wait(found.state, found.context, (_nanoseconds(began), _nanoseconds(found.until)))

    async def _read(self, found: _Requeued) -> datetime:
        state, created_ms = found.state, milliseconds_of(found.state.workload_id) or 0
        lifetime = Lifetime(datetime.fromtimestamp(created_ms / 1000, UTC), None)
        async with self._database.connection(Pool.API) as conn:
            events = await self._history.page(
                conn, state.customer_id, state.workload_id, lifetime, after=found.event_id - 1, most=1
            )
        return events[0].occurred_at if events else found.until


def _facts(state: WorkloadState) -> Attributes:
    facts: dict[str, str | int | float | bool] = {
        "niyanta.customer_id": state.customer_id,
        "niyanta.workload_id": state.workload_id,
        "niyanta.workload_type": state.workload_type,
        "niyanta.attempt": state.generation,
    }
    if state.worker_id is not None:
        facts["niyanta.worker_id"] = state.worker_id
    return facts


def _outcome(change: Change) -> str:
    """How an attempt ended, in a word."""
    if any(event.type is EventType.UNSCHEDULED for event in change.events):
        return "unscheduled"
    if change.state.status is Status.REDISTRIBUTING and change.cause is not None:
        return change.cause.value
    return change.state.status.value.lower()


def _error(change: Change) -> str | None:
    """Why an attempt counts as failed."""
    if change.state.status is Status.FAILED or change.cause is not None:
        return change.state.error_message or _outcome(change)
    return None


def _nanoseconds(at: datetime) -> int:
    """Since 1970, to the microsecond."""
    return int(at.timestamp() * 1_000_000) * 1_000
