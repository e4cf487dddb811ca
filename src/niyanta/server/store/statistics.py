"""A customer's statistics, and what estimates are made from.

Read from ``workload_hours``, which the transactions that create and end workloads keep (ADR 0011): exact, and at the
same cost for a million workloads as for a thousand. They count by the time of creation, and stay when retention
deletes the workloads. Durations run from ``started_at``, the first start, to ``completed_at``: what passes between
attempts and in pauses is part of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from niyanta.server.store.database import Connection, Queries

__all__ = ["Period", "StatisticsStore", "Summary", "TimeFigures", "TypeFigures"]

_queries = Queries("statistics.sql")


@dataclass(frozen=True, slots=True)
class Period:
    """From the first day to the last, both included, in UTC."""

    first: date
    last: date

    def bounds(self) -> tuple[datetime, datetime]:
        """From when, up to when (not included)."""
        since = datetime.combine(self.first, time.min, UTC)
        if self.last == date.max:
            return since, datetime.max.replace(tzinfo=UTC)
        return since, datetime.combine(self.last + timedelta(days=1), time.min, UTC)


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of the workloads of a period. ``total`` counts those that haven't ended too."""

    total: int
    completed: int
    failed: int
    cancelled: int
    total_execution_hours: float
    """Durations of all that ended after a start, also of the failed and the cancelled."""


@dataclass(frozen=True, slots=True)
class TypeFigures:
    """One workload type's share."""

    workload_type: str
    count: int
    avg_duration_seconds: float | None
    """Of the completed ones; None when there is none."""
    failure_rate: float | None
    """failed / (completed + failed), 0 to 1; None when there is neither."""


@dataclass(frozen=True, slots=True)
class TimeFigures:
    """One hour's or day's share."""

    start: datetime
    count: int
    completed: int
    failed: int
    cancelled: int
    avg_duration_seconds: float | None
    """Of the completed ones; None when there is none."""


class StatisticsStore:
    """Queries for statistics and estimates."""

    async def summary(self, conn: Connection, customer_id: str, period: Period) -> Summary:
        """All types and times together."""
        since, until = period.bounds()
        row = await _queries.summary(conn, customer_id=customer_id, since=since, until=until)
        return Summary(
            row["total"], row["completed"], row["failed"], row["cancelled"], row["execution_seconds"] / 3600
        )

    async def by_type(self, conn: Connection, customer_id: str, period: Period) -> list[TypeFigures]:
        """Each workload type, the most used first."""
        since, until = period.bounds()
        rows = await _queries.by_type(conn, customer_id=customer_id, since=since, until=until)
        return [
            TypeFigures(
                row["workload_type"],
                row["total"],
                _average(row),
                _ratio(row["failed"], row["completed"] + row["failed"]),
            )
            for row in rows
        ]

    async def by_day(self, conn: Connection, customer_id: str, period: Period) -> list[TimeFigures]:
        """Each UTC day in which something was created, in order."""
        return await self._by_time(conn, customer_id, period, "day")

    async def by_hour(self, conn: Connection, customer_id: str, period: Period) -> list[TimeFigures]:
        """Each UTC hour in which something was created, in order."""
        return await self._by_time(conn, customer_id, period, "hour")

    async def _by_time(self, conn: Connection, customer_id: str, period: Period, unit: str) -> list[TimeFigures]:
        since, until = period.bounds()
        rows = await _queries.by_time(conn, customer_id=customer_id, since=since, until=until, unit=unit)
        return [
            TimeFigures(row["start"], row["total"], row["completed"], row["failed"], row["cancelled"], _average(row))
            for row in rows
        ]

    async def created_today(self, conn: Connection, customer_id: str) -> int:
        """How many workloads were created since midnight UTC."""
        row = await _queries.created_today(conn, customer_id=customer_id)
        return int(row["total"])

    async def recent_durations(
        self, conn: Connection, customer_id: str, workload_type: str, most: int = 50
    ) -> list[float]:
        """Seconds that the last completed workloads of a type took, the latest first."""
        rows = await _queries.recent_durations(conn, customer_id=customer_id, workload_type=workload_type, most=most)
        return [row["seconds"] for row in rows]

    async def queue_ahead(
        self, conn: Connection, customer_id: str, rank: float, workload_id: str, most: int = 10_000
    ) -> int:
        """How many of the customer's own ready workloads go before one, counted no further than ``most``."""
        row = await _queries.queue_ahead(conn, customer_id=customer_id, rank=rank, workload_id=workload_id, most=most)
        return int(row["ahead"])


def _average(row: Any) -> float | None:
    return _ratio(row["completed_seconds"], row["completed"])


def _ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None
