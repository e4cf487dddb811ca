"""The client, for asyncio."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from niyanta.client.models import AuditEvent, LogLine, Page, Workload
from niyanta.client.transport import Transport, find_credentials
from niyanta.errors import WaitTimeoutError, WorkloadCancelledError, WorkloadFailedError

__all__ = ["AsyncClient", "AsyncWorkloads"]

_POLL_SECONDS = 20


class _Logs(msgspec.Struct):
    logs: list[LogLine]
    has_more: bool = False


class _Audit(msgspec.Struct):
    events: list[AuditEvent]


class AsyncClient:
    """A connection to Niyanta.

    Args:
        api_key: ``nyt_…``; else ``NIYANTA_API_KEY``, else the credentials of a ``niyanta dev`` in this folder.
        base_url: Without ``/v1``; else ``NIYANTA_URL``, else as above.
        timeout: Seconds for one request.
        max_retries: How often a request is repeated, where that is safe.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 4,
    ) -> None:
        self._transport = Transport(find_credentials(api_key, base_url), timeout, max_retries)
        self.workloads = AsyncWorkloads(self._transport)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient(base_url={self._transport.credentials.base_url!r})"


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
        affinity_rules: dict[str, Any] | None = None,
        timeout_seconds: int | None = None,
        idempotency_key: str | None = None,
    ) -> Workload:
        """Submit a workload.

        Args:
            workload_type: One that a worker serves or that has a config.
            input_params: A JSON object.
            priority: 0 to 1000, higher first; 10 when None.
            affinity_rules: ``hard_affinity``, ``soft_affinity``, ``anti_affinity``.
            timeout_seconds: Bound on one attempt's running time.
            idempotency_key: Made when None, so that a repeated request never makes a second workload.
        """
        body: dict[str, Any] = {"workload_type": workload_type, "input_params": input_params}
        optional = {"priority": priority, "affinity_rules": affinity_rules, "timeout_seconds": timeout_seconds}
        body.update({name: value for name, value in optional.items() if value is not None})
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        answer = await self._transport.call("POST", "/workloads", body, headers=headers, safe_to_repeat=True)
        workload = msgspec.json.decode(answer, type=Workload)
        workload.workload_type, workload.input_params = workload_type, input_params
        return workload

    async def get(self, workload_id: str, *, wait_seconds: int | None = None, version: int | None = None) -> Workload:
        """One workload; with ``wait_seconds`` once its version has passed ``version``, or the time is up."""
        answer = await self._transport.call(
            "GET",
            f"/workloads/{_safe(workload_id)}",
            params={"wait_seconds": wait_seconds, "version": version},
            timeout=None if wait_seconds is None else wait_seconds + 15.0,
        )
        return msgspec.json.decode(answer, type=Workload)

    async def list(
        self,
        *,
        status: str | None = None,
        workload_type: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        order_by: str | None = None,
        order: str | None = None,
        cursor: str | None = None,
    ) -> Page:
        """One page of workloads."""
        params = {
            "status": status,
            "workload_type": workload_type,
            "limit": limit,
            "offset": offset,
            "order_by": order_by,
            "order": order,
            "cursor": cursor,
        }
        return msgspec.json.decode(await self._transport.call("GET", "/workloads", params=params), type=Page)

    async def iterate(
        self, *, status: str | None = None, workload_type: str | None = None
    ) -> AsyncIterator[Workload]:
        """All workloads that fit, newest first, page by page."""
        cursor: str | None = None
        while True:
            page = await self.list(status=status, workload_type=workload_type, limit=100, cursor=cursor)
            for workload in page.workloads:
                yield workload
            cursor = page.pagination.next_cursor
            if not page.pagination.has_more or cursor is None:
                return

    async def cancel(self, workload_id: str, reason: str | None = None) -> Workload:
        """Cancel, at once and for good."""
        body = {"reason": reason} if reason is not None else {}
        answer = await self._transport.call("POST", f"/workloads/{_safe(workload_id)}/cancel", body)
        return msgspec.json.decode(answer, type=Workload)

    async def pause(self, workload_id: str) -> Workload:
        """Checkpoint and stop; waits for the checkpoint."""
        answer = await self._transport.call("POST", f"/workloads/{_safe(workload_id)}/pause", timeout=60.0)
        return msgspec.json.decode(answer, type=Workload)

    async def resume(self, workload_id: str) -> Workload:
        """Go on from the last checkpoint."""
        answer = await self._transport.call("POST", f"/workloads/{_safe(workload_id)}/resume")
        return msgspec.json.decode(answer, type=Workload)

    async def logs(
        self,
        workload_id: str,
        *,
        limit: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[LogLine]:
        """Log lines, oldest first."""
        params = {
            "limit": limit,
            "since": since.isoformat() if since else None,
            "until": until.isoformat() if until else None,
        }
        answer = await self._transport.call("GET", f"/workloads/{_safe(workload_id)}/logs", params=params)
        return msgspec.json.decode(answer, type=_Logs).logs

    async def audit(self, workload_id: str) -> Sequence[AuditEvent]:
        """The workload's history, in order."""
        answer = await self._transport.call("GET", f"/workloads/{_safe(workload_id)}/audit")
        return msgspec.json.decode(answer, type=_Audit).events

    async def watch(self, workload_id: str) -> AsyncIterator[Workload]:
        """The workload as it changes, never going back, ending with its terminal state."""
        version = -1
        while True:
            workload = await self.get(
                workload_id, wait_seconds=_POLL_SECONDS, version=max(0, version) if version >= 0 else 0
            )
            if workload.version > version:
                version = workload.version
                yield workload
                if workload.is_terminal:
                    return

    async def wait_for_completion(self, workload_id: str, timeout: float | None = None) -> Workload:
        """Wait until it is COMPLETED.

        Raises:
            WorkloadFailedError, WorkloadCancelledError: It ended so; they carry the workload.
            WaitTimeoutError: Not terminal after ``timeout`` seconds; it goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        version = 0
        while True:
            left = _POLL_SECONDS if deadline is None else deadline - time.monotonic()
            workload = await self.get(
                workload_id, wait_seconds=max(1, min(_POLL_SECONDS, int(left))), version=version
            )
            version = workload.version
            if workload.status == "COMPLETED":
                return workload
            if workload.status == "FAILED":
                raise WorkloadFailedError(f"workload {workload_id} failed: {workload.error_message}", workload)
            if workload.status == "CANCELLED":
                raise WorkloadCancelledError(f"workload {workload_id} was cancelled", workload)
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeoutError(f"workload {workload_id} is {workload.status} after {timeout:g} s")


def _safe(workload_id: str) -> str:
    return quote(workload_id, safe="")
