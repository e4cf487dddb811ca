"""The log lines of workloads in PostgreSQL, read in pages from either end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from niyanta.server.store.attempts import Lifetime
from niyanta.server.store.database import Connection, Queries

__all__ = ["LogPlace", "LogStore", "LogsQuery", "StoredLine"]

_queries = Queries("logs.sql")
_SLACK = timedelta(days=2)
_LAST_GENERATION = 2**31 - 1
_LAST_SEQUENCE = 2**63 - 1


class LogPlace(NamedTuple):
    """Where a line stands in its workload's log. No two lines have the same place, however close in time they are."""

    logged_at: datetime
    generation: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLine:
    """One log line as it was kept."""

    place: LogPlace
    level: str
    message: str
    details_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsQuery:
    """Which lines of which log."""

    customer_id: str
    workload_id: str
    lifetime: Lifetime
    levels: Sequence[str]
    since: datetime | None = None
    """Only lines after this time."""
    until: datetime | None = None
    """Only lines up to this time."""
    newest_first: bool = False
    behind: LogPlace | None = None
    """Only lines behind this one, in the order asked for; None from the beginning."""

    def period(self) -> tuple[datetime, datetime]:
        """After which time and up to which; never wider than the workload's life, so that few partitions are read."""
        earliest, latest = self.lifetime.with_slack(_SLACK)
        since = earliest if self.since is None else max(self.since, earliest)
        until = latest if self.until is None else min(self.until, latest)
        return since, until


class LogStore:
    """Queries on log lines."""

    async def page(self, conn: Connection, query: LogsQuery, most: int) -> list[StoredLine]:
        """At most so many lines, in the order asked for."""
        since, until = query.period()
        of = {"customer_id": query.customer_id, "workload_id": query.workload_id, "levels": list(query.levels)}
        if query.newest_first:
            behind = query.behind or LogPlace(until, _LAST_GENERATION, _LAST_SEQUENCE)
            rows = await _queries.lines_before(conn, **of, **behind._asdict(), since=since, most=most)
        else:
            behind = query.behind or LogPlace(since, _LAST_GENERATION, _LAST_SEQUENCE)
            rows = await _queries.lines_after(conn, **of, **behind._asdict(), until=until, most=most)
        return [_line(row) for row in rows]

    async def count(self, conn: Connection, query: LogsQuery, most: int) -> int:
        """How many lines the query means, whichever place it begins behind; ``most`` where there are more."""
        since, until = query.period()
        row = await _queries.count_lines(
            conn,
            customer_id=query.customer_id,
            workload_id=query.workload_id,
            levels=list(query.levels),
            since=since,
            until=until,
            most=most,
        )
        return int(row["total"])


def _line(row: Any) -> StoredLine:
    return StoredLine(
        place=LogPlace(row["logged_at"], row["generation"], row["sequence"]),
        level=row["level"],
        message=row["message"],
        details_json=row["details"],
    )
