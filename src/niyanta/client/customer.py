"""Calls on the customer's own account."""

from __future__ import annotations

from datetime import date

import msgspec

from niyanta.client.models import Customer, Statistics
from niyanta.client.transport import Transport, without_none

__all__ = ["AsyncAccount"]


class AsyncAccount:
    """Calls on the customer's own account."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self) -> Customer:
        """The account with its limits and what it uses now."""
        return msgspec.json.decode(await self._transport.call("GET", "/customer"), type=Customer)

    async def stats(
        self,
        start_date: date | str,
        end_date: date | str,
        *,
        group_by: str | None = None,
        workload_type: str | None = None,
    ) -> Statistics:
        """What was used between two days.

        Args:
            start_date: First day (UTC), a date or ``YYYY-MM-DD``.
            end_date: Last day, included.
            group_by: ``workload_type`` (when None), ``day`` or ``hour``.
            workload_type: Only workloads of this type.
        """
        params = without_none(
            start_date=str(start_date), end_date=str(end_date), group_by=group_by, workload_type=workload_type
        )
        answer = await self._transport.call("GET", "/customer/stats", params=params)
        return msgspec.json.decode(answer, type=Statistics)
