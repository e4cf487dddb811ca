"""Calls on what has failed: what errors have in common, and trying many again."""

from __future__ import annotations

import uuid
from datetime import datetime

import msgspec

from niyanta.client.arguments import BatchFilter
from niyanta.client.failure_models import BatchReplayed, FailureList
from niyanta.client.transport import Transport, without_none

__all__ = ["AsyncFailures"]


class AsyncFailures:
    """Calls on what has failed: what errors have in common, and trying many again."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(
        self,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        workload_type: str | None = None,
        order_by: str | None = None,
        limit: int | None = None,
    ) -> FailureList:
        """What workloads FAILED of, those together whose errors are alike.

        Args:
            since: Only what failed in the hour of this time or later.
            until: Only what failed in the hour of this time or before.
            workload_type: Only workloads of this type.
            order_by: ``last_seen_at`` (when None) or ``count``, each the greatest first.
            limit: Fingerprints at the most, 1 to 100; 50 when None.
        """
        params = {
            "since": since,
            "until": until,
            "workload_type": workload_type,
            "order_by": order_by,
            "limit": limit,
        }
        return msgspec.json.decode(await self._transport.call("GET", "/failures", params=params), type=FailureList)

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
                ``created_after``, ``labels``, ``fingerprint`` they have.
            priority: In place of the one they had.
            limit: How many at most.
            cursor: ``next_cursor`` of the call before, with the same filter.
            idempotency_key: For this call; made when None, so that a repeated request replays nothing twice.
        """
        body = without_none(filter=filter or {}, priority=priority, limit=limit, cursor=cursor)
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        answer = await self._transport.call("POST", "/workloads/replay", body, headers=headers, safe_to_repeat=True)
        return msgspec.json.decode(answer, type=BatchReplayed)
