"""Calls on workloads."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Unpack

import msgspec

from niyanta.client.again import headers_of, submit_again
from niyanta.client.arguments import AffinityRules, BatchFilter, Changes, ListFilter, Submission
from niyanta.client.explanations import Explanation
from niyanta.client.live import LiveEvent, follow_events
from niyanta.client.log_reading import follow_logs, iterate_logs, last_lines, read_logs
from niyanta.client.models import (
    AuditEvent,
    BatchCancelled,
    BatchSubmitted,
    LogLine,
    LogPage,
    Page,
    Pagination,
    Update,
    Workload,
)
from niyanta.client.status import Status
from niyanta.client.transport import Transport, quoted, without_none
from niyanta.client.values import refuse_lossy
from niyanta.client.watching import get_workload, wait_for_end, watch_workload
from niyanta.domain.limits import MAX_PAGE
from niyanta.errors import ConfigurationError, WorkloadCancelledError, WorkloadFailedError

__all__ = ["AsyncWorkloads"]


class _Audit(msgspec.Struct):
    events: list[AuditEvent]
    pagination: Pagination | None = None


class AsyncWorkloads:
    """Calls on workloads."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def submit(
        self,
        workload_type: str,
        input_params: dict[str, Any],
        *,
        priority: int | None = None,
        affinity_rules: AffinityRules | None = None,
        timeout_seconds: int | None = None,
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
    ) -> Workload:
        """Submit a workload.

        Args:
            workload_type: One that a worker serves or that has a config.
            input_params: A JSON object.
            priority: 0 to 1000, higher first; 10 when None.
            affinity_rules: Which workers may run it.
            timeout_seconds: Bound on one attempt's running time.
            labels: Up to 16, for lists to find it by.
            idempotency_key: Made when None, so that a repeated request never makes a second workload.
            traceparent: The span to put its trace below, as W3C Trace Context has it; when None the current one of
                OpenTelemetry, where the program uses that.

        Raises:
            InvalidInputError: Something is wrong with it; ``details`` names the field and what is allowed.
            ServiceUnavailableError: The customer's queue is full, still so after the retries.
        """
        refuse_lossy(input_params, "input_params")
        body = without_none(
            workload_type=workload_type,
            input_params=input_params,
            priority=priority,
            affinity_rules=affinity_rules,
            timeout_seconds=timeout_seconds,
            labels=labels,
        )
        headers = headers_of(idempotency_key, traceparent)
        answer = await self._transport.call("POST", "/workloads", body, headers=headers, safe_to_repeat=True)
        workload = msgspec.json.decode(answer, type=Workload)
        workload.workload_type, workload.input_params = workload_type, input_params
        return workload

    async def submit_batch(
        self,
        workloads: Sequence[Submission],
        *,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
    ) -> BatchSubmitted:
        """Submit 1 to 1,000 workloads at once; each has an outcome of its own.

        Args:
            workloads: Dicts with the arguments of `submit`: ``workload_type``, ``input_params`` and so on.
            idempotency_key: For the batch as a whole; made when None.
            traceparent: As for `submit`.
        """
        refuse_lossy(workloads, "workloads")
        headers = headers_of(idempotency_key, traceparent)
        answer = await self._transport.call(
            "POST", "/workloads/batch", {"workloads": list(workloads)}, headers=headers, safe_to_repeat=True
        )
        return msgspec.json.decode(answer, type=BatchSubmitted)

    async def get(self, workload_id: str, *, wait_seconds: int | None = None, version: int | None = None) -> Workload:
        """One workload; with ``wait_seconds`` once its version has passed ``version``, or the time is up."""
        return await get_workload(self._transport, workload_id, wait_seconds=wait_seconds, version=version)

    async def explain(self, workload_id: str) -> Explanation:
        """Why it waits, with numbers and what would start it; or where it runs, who paused it, how it ended."""
        answer = await self._transport.call("GET", f"/workloads/{quoted(workload_id)}/explain")
        return msgspec.json.decode(answer, type=Explanation)

    async def list(
        self,
        *,
        limit: int | None = None,
        offset: int | None = None,
        order_by: str | None = None,
        order: str | None = None,
        cursor: str | None = None,
        **filters: Unpack[ListFilter],
    ) -> Page:
        """One page of workloads; one by labels may have fewer than ``limit`` though ``pagination.has_more``."""
        params: dict[str, Any] = {**filters}
        params["label"] = [f"{key}:{value}" for key, value in (params.pop("labels", None) or {}).items()]
        params |= {"limit": limit, "offset": offset, "order_by": order_by, "order": order, "cursor": cursor}
        return msgspec.json.decode(await self._transport.call("GET", "/workloads", params=params), type=Page)

    async def iterate(
        self,
        *,
        order_by: str | None = None,
        order: str | None = None,
        limit: int | None = None,
        **filters: Unpack[ListFilter],
    ) -> AsyncIterator[Workload]:
        """All workloads that fit, page by page; newest first unless an order is given.

        Args:
            order_by: ``created_at`` (when None), ``priority``, ``status``, ``workload_type``, ``progress_percent``,
                ``started_at`` or ``completed_at``.
            order: ``desc`` (when None) or ``asc``.
            limit: How many at most; all when None.
            filters: ``status``, ``workload_type``, ``labels`` and so on: only those.
        """
        left = math.inf if limit is None else limit
        cursor: str | None = None
        while left > 0:
            most = int(min(MAX_PAGE, left))
            begun = time.monotonic()
            page = await self.list(order_by=order_by, order=order, limit=most, cursor=cursor, **filters)
            for workload in page.workloads:
                yield workload
            left -= len(page.workloads)
            cursor = page.pagination.next_cursor
            if not page.pagination.has_more or cursor is None:
                return
            if not page.workloads:
                await self._transport.rest(begun)

    async def cancel(self, workload_id: str, reason: str | None = None) -> Workload:
        """Cancel, at once and for good."""
        body = without_none(reason=reason)
        answer = await self._transport.call("POST", f"/workloads/{quoted(workload_id)}/cancel", body)
        return msgspec.json.decode(answer, type=Workload)

    async def cancel_batch(
        self,
        workload_ids: Sequence[str] | None = None,
        *,
        filter: BatchFilter | None = None,
        reason: str | None = None,
    ) -> BatchCancelled:
        """Cancel up to 1,000 workloads at once.

        Args:
            workload_ids: Which; or
            filter: what ``status``, ``workload_type``, ``created_before``, ``created_after``, ``labels`` they have;
                oldest first.
            reason: For the history.
        """
        ids = None if workload_ids is None else [*workload_ids]
        body = without_none(workload_ids=ids, filter=filter, reason=reason)
        answer = await self._transport.call("POST", "/workloads/batch/cancel", body)
        return msgspec.json.decode(answer, type=BatchCancelled)

    async def pause(self, workload_id: str) -> Workload:
        """Checkpoint and stop; returns when the checkpoint is safe and the processes are gone."""
        answer = await self._transport.call("POST", f"/workloads/{quoted(workload_id)}/pause", timeout=60.0)
        return msgspec.json.decode(answer, type=Workload)

    async def resume(self, workload_id: str, *, from_checkpoint: int | None = None) -> Workload:
        """Go on from the last checkpoint, or from the kept one with the sequence ``from_checkpoint``."""
        body = None if from_checkpoint is None else {"from_checkpoint": from_checkpoint}
        answer = await self._transport.call("POST", f"/workloads/{quoted(workload_id)}/resume", body)
        return msgspec.json.decode(answer, type=Workload)

    async def update(self, workload_id: str, changes: Changes, *, version: int | None = None) -> Workload:
        """Change it while it waits or is PAUSED; with ``version`` only if this is its version still.

        Raises:
            InvalidStateError: A worker has it, or it has ended.
            ConflictError: It has another version by now.
        """
        body = {**changes, **without_none(version=version)}
        answer = await self._transport.call("PATCH", f"/workloads/{quoted(workload_id)}", body, safe_to_repeat=False)
        return msgspec.json.decode(answer, type=Workload)

    async def replay(
        self,
        workload_id: str,
        *,
        input_params: dict[str, Any] | None = None,
        priority: int | None = None,
        from_checkpoint: int | None = None,
        idempotency_key: str | None = None,
    ) -> Workload:
        """Submit one that has ended again, as a new one, at the start or a checkpoint; what is None is as it was."""
        new = (input_params, priority, from_checkpoint)
        return await submit_again(self._transport, "replay", workload_id, *new, key=idempotency_key)

    async def fork(
        self,
        workload_id: str,
        *,
        input_params: dict[str, Any] | None = None,
        priority: int | None = None,
        from_checkpoint: int | None = None,
        idempotency_key: str | None = None,
    ) -> Workload:
        """Submit one again, ended or not, to begin at one of its checkpoints, by default the newest. It goes on.

        What else is None is as it was.
        """
        new = (input_params, priority, from_checkpoint)
        return await submit_again(self._transport, "fork", workload_id, *new, key=idempotency_key)

    async def logs(
        self,
        workload_id: str,
        *,
        limit: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        level: str | None = None,
        order: str | None = None,
        tail: int | None = None,
        q: str | None = None,
        cursor: str | None = None,
    ) -> LogPage:
        """One page of log lines. To read them all, `iterate_logs` is simpler.

        Args:
            workload_id: Which.
            limit: Lines in a page, up to 1,000; 100 when None.
            since: Only lines after this time. Many lines may share a millisecond: read on by ``cursor``.
            until: Only lines up to this time.
            level: ``DEBUG``, ``INFO``, ``WARN`` or ``ERROR``: lines of this level and above.
            order: ``asc`` (oldest first, when None) or ``desc``.
            tail: The last so many lines, oldest first, in place of ``limit`` and ``order``.
            q: Only lines whose message has this in it, in whatever case. The service looks at 5,000 lines for a page,
                which may be empty although its cursor leads on.
            cursor: ``pagination.next_cursor`` of the page before; of a tail it leads to the lines before.
        """
        return await read_logs(
            self._transport,
            workload_id,
            limit=limit,
            since=since,
            until=until,
            level=level,
            order=order,
            tail=tail,
            q=q,
            cursor=cursor,
        )

    async def iterate_logs(
        self,
        workload_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        level: str | None = None,
        order: str | None = None,
        limit: int | None = None,
        tail: int | None = None,
        q: str | None = None,
        follow: bool = False,
    ) -> AsyncIterator[LogLine]:
        """All log lines that fit, page by page: none left out, none twice.

        Args:
            workload_id: Which.
            since: Only lines after this time.
            until: Only lines up to this time.
            level: ``DEBUG``, ``INFO``, ``WARN`` or ``ERROR``: lines of this level and above.
            order: ``asc`` (oldest first, when None) or ``desc``.
            limit: How many at most.
            tail: Begin with the last so many lines, up to 1,000; without ``order`` and ``limit``.
            q: Only lines whose message has this in it, in whatever case.
            follow: Go on with the lines that are still to be written, to the workload's end; without ``order``,
                ``limit`` and ``until``.

        Raises:
            ConfigurationError: Arguments that don't go together.
        """
        if (tail is not None or follow) and (
            order is not None or limit is not None or (follow and until is not None)
        ):
            raise ConfigurationError(
                "tail and follow read oldest first and to the end: give no order, limit or until"
            )
        lines: list[LogLine] = []
        if tail is not None:
            lines = await last_lines(self._transport, workload_id, tail, since=since, until=until, level=level, q=q)
            for line in lines:
                yield line
        reading = None
        if follow:
            reading = follow_logs(self._transport, workload_id, lines, since=since, level=level, q=q)
        elif tail is None:
            reading = iterate_logs(
                self._transport, workload_id, limit, since=since, until=until, level=level, order=order, q=q
            )
        if reading is not None:
            async with aclosing(reading):
                async for line in reading:
                    yield line

    async def audit(self, workload_id: str) -> Sequence[AuditEvent]:
        """The workload's whole history, in order."""
        events: list[AuditEvent] = []
        cursor: str | None = None
        while True:
            answer = await self._transport.call(
                "GET", f"/workloads/{quoted(workload_id)}/audit", params={"cursor": cursor}
            )
            page = msgspec.json.decode(answer, type=_Audit)
            events += page.events
            cursor = page.pagination.next_cursor if page.pagination else None
            if cursor is None:
                return events

    async def watch(self, workload_id: str, *, logs: bool = False) -> AsyncIterator[Update]:
        """What happens to it, in order, ending with its terminal state.

        Args:
            workload_id: Which.
            logs: Whether to give the log lines as well that it writes from now on.
        """
        async with aclosing(watch_workload(self._transport, workload_id, logs=logs)) as updates:
            async for update in updates:
                yield update

    async def events(self) -> AsyncIterator[LiveEvent]:
        """What happens to all of the customer's workloads from now on, without end.

        Begins with ``ready``; read the list after it. A connection that breaks is replaced; where something may have
        been missed, a ``missed`` says so. It is no history: that is `audit`.
        """
        async with aclosing(follow_events(self._transport, "/workloads/events")) as events:
            async for event in events:
                yield event

    async def wait_for_completion(self, workload_id: str, timeout: float | None = None) -> Workload:
        """Wait until it is COMPLETED.

        Raises:
            WorkloadFailedError, WorkloadCancelledError: It ended so; they carry the workload.
            WaitTimeoutError: Not terminal after ``timeout`` seconds; it goes on.
        """
        await wait_for_end(self._transport, workload_id, timeout)
        workload = await self.get(workload_id)
        if workload.status is Status.FAILED:
            raise WorkloadFailedError(f"workload {workload_id} failed: {workload.error_message}", workload)
        if workload.status is Status.CANCELLED:
            raise WorkloadCancelledError(f"workload {workload_id} was cancelled", workload)
        return workload
