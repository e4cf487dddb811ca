"""Calls on what has failed: many at once."""

from __future__ import annotations

import uuid

import msgspec

from niyanta.client.arguments import BatchFilter
from niyanta.client.failure_models import BatchReplayed
from niyanta.client.transport import Transport, without_none

__all__ = ["AsyncFailures"]


class AsyncFailures:
    """Calls on what has failed: many at once."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def replay(
        self,
        filter: BatchFilter | None = None,
        *,
        priority: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        idempotency_key: str | None = None,
    ) -> BatchReplayed:
        """Replay up to 1,000 workloads at once, the oldest first: FAILED ones, or of the filter's status.

        Args:
            filter: What ``status`` (``FAILED`` when left out), ``workload_type``, ``created_before``,
                ``created_after``, ``labels`` they have.
            priority: In place of the one they had.
            limit: How many at most.
            cursor: ``next_cursor`` of the call before, with the same filter.
            idempotency_key: For this call; made when None, so that a repeated request replays nothing twice.
        """
        body = without_none(filter=filter or {}, priority=priority, limit=limit, cursor=cursor)
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        answer = await self._transport.call("POST", "/workloads/replay", body, headers=headers, safe_to_repeat=True)
        return msgspec.json.decode(answer, type=BatchReplayed)
