"""What a customer may know of its own account: limits, usage, statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from niyanta.domain.limits import MAX_STATISTICS_DAYS, MAX_STATISTICS_DAYS_BY_HOUR
from niyanta.errors import InvalidInputError
from niyanta.server.store.customers import Customer, CustomerStore, Identity
from niyanta.server.store.database import Database, retried
from niyanta.server.store.statistics import Period, StatisticsStore, Summary, TimeFigures, TypeFigures

__all__ = ["GROUPINGS", "CustomerService", "Statistics"]

GROUPINGS = ("workload_type", "day", "hour")


@dataclass(frozen=True, slots=True)
class Statistics:
    """What became of the workloads that were created in a period; grouped by type, or by time."""

    summary: Summary
    by_type: Sequence[TypeFigures] | None = None
    by_time: Sequence[TimeFigures] | None = None


class CustomerService:
    """Use cases on one customer's account."""

    def __init__(self, database: Database, customers: CustomerStore) -> None:
        self._database = database
        self._customers = customers
        self._statistics = StatisticsStore()

    @retried
    async def info(self, identity: Identity) -> tuple[Customer, int]:
        """The account with its live counts, and how many workloads were created since midnight UTC."""
        customer = await self._customers.get(identity.customer_id)
        async with self._database.connection(customer_id=identity.customer_id) as conn:
            return customer, await self._statistics.created_today(conn, identity.customer_id)

    @retried
    async def statistics(
        self, identity: Identity, first: date, last: date, group_by: str, workload_type: str | None = None
    ) -> Statistics:
        """Statistics of the workloads created from one day to another (UTC), both included.

        Args:
            identity: Who asks.
            first: The first day.
            last: The last one.
            group_by: One of `GROUPINGS`.
            workload_type: The only type that counts; all when None.

        Raises:
            InvalidInputError: The last day is before the first, or the period is too long.
        """
        if last < first:
            raise InvalidInputError(
                "end_date must not be before start_date",
                details={"field": "end_date", "allowed": f"{first} or later"},
            )
        most = MAX_STATISTICS_DAYS_BY_HOUR if group_by == "hour" else MAX_STATISTICS_DAYS
        days = (last - first).days + 1
        if days > most:
            raise InvalidInputError(
                f"start_date to end_date are {days} days; {most} are allowed with group_by={group_by}",
                details={"field": "end_date", "max_days": most},
            )
        period, customer_id = Period(first, last), identity.customer_id
        async with self._database.connection(customer_id=customer_id) as conn:
            of = (conn, customer_id, period, workload_type)
            summary = await self._statistics.summary(*of)
            if group_by == "day":
                return Statistics(summary, by_time=await self._statistics.by_day(*of))
            if group_by == "hour":
                return Statistics(summary, by_time=await self._statistics.by_hour(*of))
            return Statistics(summary, by_type=await self._statistics.by_type(*of))
