"""A customer's statistics, and what estimates are made from.

Read from ``workload_hours``, which the transactions that create and end workloads keep (ADR 0011): exact, and at the
same cost for a million workloads as for a thousand. They count by the time of creation, and stay when retention
deletes the workloads. Durations run from ``started_at``, the first start, to ``completed_at``: what passes between
attempts and in pauses is part of them. Run-seconds don't have that: they are counted at the end of each attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import msgspec

from niyanta.server.store.queries import Connection, Queries

__all__ = ["Period", "QueueLane", "RunSeconds", "StatisticsStore", "Summary", "TimeFigures", "TypeFigures"]


class Period(msgspec.Struct, frozen=True):
    """From the first day to the last, both included, in UTC."""

    first: date
    last: date

    def bounds(self) -> tuple[datetime, datetime]:
        """From when, up to when (not included)."""
        since = datetime.combine(self.first, time.min, UTC)
        if self.last == date.max:
            return since, datetime.max.replace(tzinfo=UTC)
        return since, datetime.combine(self.last + timedelta(days=1), time.min, UTC)


class RunSeconds(msgspec.Struct, frozen=True, kw_only=True):
    """How long attempts ran, counted at the end of each."""

    used_seconds: float
    """Of all."""
    redone_seconds: float
    """Of that since the last checkpoint, where another attempt had to do it again: a loss, a failure, a hand-back."""
    lost_seconds: float
    """Of that since the last checkpoint, of what ended FAILED or CANCELLED."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the workloads of a period. ``total`` counts those that haven't ended too."""

    total: int
    completed: int
    failed: int
    cancelled: int
    total_execution_hours: float
    """Durations of all that ended after a start, also of the failed and the cancelled."""
    run_seconds: RunSeconds


class TypeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One workload type's share."""

    workload_type: str
    count: int
    avg_duration_seconds: float | None
    """Of the completed ones; None when there is none."""
    failure_rate: float | None
    """failed / (completed + failed), 0 to 1; None when there is neither."""
    run_seconds: RunSeconds


class TimeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One hour's or day's share."""

    start: datetime
    count: int
    completed: int
    failed: int
    cancelled: int
    avg_duration_seconds: float | None
    """Of the completed ones; None when there is none."""


class _Sums(RunSeconds, frozen=True, kw_only=True):
    total: int
    completed: int
    failed: int
    cancelled: int
    execution_seconds: float


class _TypeSums(RunSeconds, frozen=True, kw_only=True):
    workload_type: str
    total: int
    completed: int
    failed: int
    completed_seconds: float


class _TimeSums(msgspec.Struct, frozen=True, kw_only=True):
    start: datetime
    total: int
    completed: int
    failed: int
    cancelled: int
    completed_seconds: float


class QueueLane(msgspec.Struct, frozen=True, kw_only=True):
    """One of a customer's lanes with something ready, and what its first workload asks for."""

    placement_key: int
    workload_type: str
    affinity_rules: str | None
    """JSON."""


_queries = Queries("statistics.sql")
_summary = _queries.sole("summary", _Sums)
_by_type = _queries.many("by_type", _TypeSums)
_by_time = _queries.many("by_time", _TimeSums)
_created_today = _queries.sole("created_today", int)
_recent_durations = _queries.many("recent_durations", float)
_lanes = _queries.many("lanes", QueueLane)
_count_ahead = _queries.sole("count_ahead", int)


class StatisticsStore:
    """Queries for statistics and estimates."""

    async def summary(
        self, conn: Connection, customer_id: str, period: Period, workload_type: str | None = None
    ) -> Summary:
        """All times together, of one type or of all."""
        since, until = period.bounds()
        sums = await _summary(conn, customer_id=customer_id, since=since, until=until, workload_type=workload_type)
        return Summary(
            total=sums.total,
            completed=sums.completed,
            failed=sums.failed,
            cancelled=sums.cancelled,
            total_execution_hours=sums.execution_seconds / 3600,
            run_seconds=_run_seconds(sums),
        )

    async def by_type(
        self, conn: Connection, customer_id: str, period: Period, workload_type: str | None = None
    ) -> list[TypeFigures]:
        """Each workload type, the most used first; or one alone."""
        since, until = period.bounds()
        return [
            TypeFigures(
                workload_type=sums.workload_type,
                count=sums.total,
                avg_duration_seconds=_ratio(sums.completed_seconds, sums.completed),
                failure_rate=_ratio(sums.failed, sums.completed + sums.failed),
                run_seconds=_run_seconds(sums),
            )
            for sums in await _by_type(
                conn, customer_id=customer_id, since=since, until=until, workload_type=workload_type
            )
        ]

    async def by_day(
        self, conn: Connection, customer_id: str, period: Period, workload_type: str | None = None
    ) -> list[TimeFigures]:
        """Each UTC day in which something was created, in order."""
        return await self._by_time(conn, customer_id, period, "day", workload_type)

    async def by_hour(
        self, conn: Connection, customer_id: str, period: Period, workload_type: str | None = None
    ) -> list[TimeFigures]:
        """Each UTC hour in which something was created, in order."""
        return await self._by_time(conn, customer_id, period, "hour", workload_type)

    async def _by_time(
        self, conn: Connection, customer_id: str, period: Period, unit: str, workload_type: str | None
    ) -> list[TimeFigures]:
        since, until = period.bounds()
        sums_by_time = await _by_time(
            conn, customer_id=customer_id, since=since, until=until, unit=unit, workload_type=workload_type
        )
        return [
            TimeFigures(
                start=sums.start,
                count=sums.total,
                completed=sums.completed,
                failed=sums.failed,
                cancelled=sums.cancelled,
                avg_duration_seconds=_ratio(sums.completed_seconds, sums.completed),
            )
            for sums in sums_by_time
        ]

    async def created_today(self, conn: Connection, customer_id: str) -> int:
        """How many workloads were created since midnight UTC."""
        return await _created_today(conn, customer_id=customer_id)

    async def recent_durations(
        self, conn: Connection, customer_id: str, workload_type: str, most: int = 50
    ) -> list[float]:
        """Seconds that the last completed workloads of a type took, the latest first."""
        return await _recent_durations(conn, customer_id=customer_id, workload_type=workload_type, most=most)

    async def lanes(self, conn: Connection, customer_id: str, most: int = 200) -> list[QueueLane]:
        """The customer's lanes; further ones than ``most`` are left out."""
        return await _lanes(conn, customer_id=customer_id, most_lanes=most)

    async def count_ahead(
        self,
        conn: Connection,
        customer_id: str,
        lanes: Sequence[QueueLane],
        before: tuple[float, str] | None = None,
        *,
        most: int,
    ) -> int:
        """How many workloads of some lanes go before a rank and id; all of them when it is None.

        Counted no further than ``most``.
        """
        if not lanes:
            return 0
        rank, workload_id = before if before is not None else (None, None)
        return await _count_ahead(
            conn,
            customer_id=customer_id,
            placement_keys=[lane.placement_key for lane in lanes],
            rank=rank,
            workload_id=workload_id,
            most=most,
        )


def _run_seconds(sums: RunSeconds) -> RunSeconds:
    return RunSeconds(
        used_seconds=sums.used_seconds, redone_seconds=sums.redone_seconds, lost_seconds=sums.lost_seconds
    )


def _ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None
