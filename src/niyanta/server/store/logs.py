"""The log lines of workloads in PostgreSQL: appended in batches, read in pages from either end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from niyanta.domain.limits import MAX_SEARCHED_LINES
from niyanta.domain.records import LogLevel
from niyanta.domain.searching import pattern_of
from niyanta.server.store.partitions import Lifetime
from niyanta.server.store.queries import Connection, Queries, Row

__all__ = ["LogPlace", "LogStore", "LogsQuery", "NewLogLine", "StoredLine", "read_line"]

_SLACK = timedelta(days=2)
_LAST_GENERATION = 2**31 - 1
_LAST_SEQUENCE = 2**63 - 1


class LogPlace(NamedTuple):
    """Where a line stands in its workload's log. No two lines have the same place, however close in time they are."""

    logged_at: datetime
    generation: int
    sequence: int


class NewLogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One log line. (workload, generation, sequence, logged_at) names it, so that a resend adds nothing."""

    customer_id: str
    workload_id: str
    generation: int
    sequence: int
    logged_at: datetime
    level: LogLevel
    message: str
    details_json: str


class StoredLine(msgspec.Struct, frozen=True, kw_only=True):
    """One log line as it was kept."""

    place: LogPlace
    level: LogLevel
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
    words: str | None = None
    """Only lines whose message has these in it, in whatever case; see `LogStore.search`."""

    def period(self) -> tuple[datetime, datetime]:
        """After which time and up to which; never wider than the workload's life, so that few partitions are read."""
        earliest, latest = self.lifetime.with_slack(_SLACK)
        since = earliest if self.since is None else max(self.since, earliest)
        until = latest if self.until is None else min(self.until, latest)
        return since, until


def read_line(row: Row) -> StoredLine:
    """From a row with all of a line."""
    return StoredLine(
        place=LogPlace(row["logged_at"], row["generation"], row["sequence"]),
        level=row["level"],
        message=row["message"],
        details_json=row["details_json"],
    )


class _Looked(NamedTuple):
    """A line that a search has found; or, if it doesn't fit, the last of those that it could look at."""

    line: StoredLine
    fits: bool


def _read_looked(row: Row) -> _Looked:
    return _Looked(read_line(row), row["fits"])


_queries = Queries("logs.sql")
_add_lines = _queries.run("add_lines")
_lines_after = _queries.many("lines_after", StoredLine, read_line)
_lines_before = _queries.many("lines_before", StoredLine, read_line)
_searched_after = _queries.many("searched_after", _Looked, _read_looked)
_searched_before = _queries.many("searched_before", _Looked, _read_looked)
_count_lines = _queries.sole("count_lines", int)


class LogStore:
    """Queries on log lines."""

    async def add(self, conn: Connection, lines: Sequence[NewLogLine]) -> None:
        """Append log lines."""
        await _add_lines(
            conn,
            customer_ids=[line.customer_id for line in lines],
            workload_ids=[line.workload_id for line in lines],
            generations=[line.generation for line in lines],
            sequences=[line.sequence for line in lines],
            logged_ats=[line.logged_at for line in lines],
            levels=[line.level for line in lines],
            messages=[line.message for line in lines],
            details=[line.details_json for line in lines],
        )

    async def page(self, conn: Connection, query: LogsQuery, most: int) -> list[StoredLine]:
        """At most so many lines, in the order asked for."""
        read = _lines_before if query.newest_first else _lines_after
        return await read(conn, **_given(query), most=most)

    async def search(self, conn: Connection, query: LogsQuery, most: int) -> tuple[list[StoredLine], LogPlace | None]:
        """At most so many lines that have the query's words, and how far was looked where there may be more behind.

        One search looks at `MAX_SEARCHED_LINES` at the most.
        """
        read = _searched_before if query.newest_first else _searched_after
        pattern = pattern_of(query.words or "")
        looked = await read(conn, **_given(query), pattern=pattern, reach=MAX_SEARCHED_LINES, most=most)
        reached = next((each.line.place for each in looked if not each.fits), None)
        return [each.line for each in looked if each.fits], reached

    async def count(self, conn: Connection, query: LogsQuery, most: int) -> int:
        """How many lines the query means, whichever place it begins behind; ``most`` where there are more."""
        since, until = query.period()
        return await _count_lines(
            conn,
            customer_id=query.customer_id,
            workload_id=query.workload_id,
            levels=list(query.levels),
            since=since,
            until=until,
            most=most,
        )


def _given(query: LogsQuery) -> dict[str, object]:
    """What names the lines that a reading means, and where it begins."""
    since, until = query.period()
    if query.newest_first:
        bound: dict[str, object] = {"since": since}
        behind = query.behind or LogPlace(until, _LAST_GENERATION, _LAST_SEQUENCE)
    else:
        bound = {"until": until}
        behind = query.behind or LogPlace(since, _LAST_GENERATION, _LAST_SEQUENCE)
    of = {"customer_id": query.customer_id, "workload_id": query.workload_id, "levels": list(query.levels)}
    return {**of, **bound, **behind._asdict()}
