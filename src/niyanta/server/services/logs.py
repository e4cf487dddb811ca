"""A workload's log as customers read it: pages from either end, the last lines, everything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime

from niyanta.domain.limits import DEFAULT_LINES, MAX_COUNTED_LINES, MAX_LINES, MAX_SEARCH_LENGTH
from niyanta.domain.records import LogLevel
from niyanta.errors import InvalidInputError
from niyanta.server.services.cursors import Cursors
from niyanta.server.services.workloads import WorkloadService
from niyanta.server.store.customers import Identity
from niyanta.server.store.database import Database, retried
from niyanta.server.store.logs import LogPlace, LogsQuery, LogStore, StoredLine
from niyanta.server.store.partitions import Lifetime

__all__ = ["LogPage", "LogRequest", "LogService"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRequest:
    """What somebody wants to read; None where they didn't say."""

    since: datetime | None = None
    """Only lines after this time."""
    until: datetime | None = None
    """Only lines up to this time."""
    level: str | None = None
    """A `LogLevel`: only lines of this one or a higher one."""
    order: str | None = None
    """``asc`` or ``desc``; oldest first when None."""
    limit: int | None = None
    """Lines in a page."""
    tail: int | None = None
    """The last so many lines, oldest first; a cursor leads to the ones before. Takes the place of limit and order."""
    cursor: str | None = None
    q: str | None = None
    """Only lines whose message has this in it, in whatever case. A page looks at a bounded number of lines, so it may
    hold fewer than were asked for although its cursor leads on."""

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            InvalidInputError: Says what doesn't go together.
        """
        if self.since is not None and self.until is not None and self.since > self.until:
            raise InvalidInputError(
                "since must not be after until", details={"field": "since", "allowed": "a time up to until"}
            )
        if self.q is not None and not self.q.strip():
            raise InvalidInputError(
                "q must have something in it to search for",
                details={"field": "q", "allowed": f"1 to {MAX_SEARCH_LENGTH} characters, not only blanks"},
            )
        if self.tail is not None and (self.limit is not None or self.order is not None):
            raise InvalidInputError(
                "tail takes the place of limit and order; give it without them",
                details={"field": "tail", "allowed": ["tail", "limit and order"]},
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """Some lines, in the order asked for, and the way on."""

    lines: list[StoredLine]
    next_cursor: str | None
    """Leads to the lines behind these; None when there are none now."""
    total: int | None = None
    """With the first page of a tail: how many lines there are in all; of a search only once it is at its end."""
    total_is_estimate: bool = False
    """True when there are more than ``total``."""
    behind: LogPlace | None = None
    """Where the cursor leads on from."""

    @property
    def has_more(self) -> bool:
        """Whether there are lines behind these, in the direction of reading."""
        return self.next_cursor is not None


class LogService:
    """Reads logs. A foreign workload is exactly as missing as one that never was."""

    def __init__(self, database: Database, workloads: WorkloadService, cursors: Cursors) -> None:
        self._database = database
        self._workloads = workloads
        self._cursors = cursors
        self._store = LogStore()

    async def page(self, identity: Identity, workload_id: str, request: LogRequest) -> LogPage:
        """One page.

        Raises:
            NotFoundError: The customer has no such workload.
            InvalidInputError: Parts of the request contradict each other, or the cursor isn't one of this reading.
        """
        request.check()
        query = await self._query(identity, workload_id, request)
        page = await self._read(query, request, request.tail or request.limit or DEFAULT_LINES)
        if request.tail is None:
            return page
        page.lines.reverse()
        return page if request.cursor is not None else await self._with_total(page, query)

    async def pages(self, identity: Identity, workload_id: str, request: LogRequest) -> AsyncIterator[LogPage]:
        """Page after page until there is nothing more, or the limit or tail that was given is reached.

        Raises:
            NotFoundError, InvalidInputError: As `page`, before the first page.
        """
        if request.tail is not None:
            yield await self.page(identity, workload_id, request)
            return
        request.check()
        query = await self._query(identity, workload_id, request)
        left = request.limit
        while True:
            page = await self._read(query, request, MAX_LINES if left is None else min(left, MAX_LINES))
            yield page
            left = None if left is None else left - len(page.lines)
            if not page.has_more or left == 0:
                return
            query = replace(query, behind=page.behind)

    async def _query(self, identity: Identity, workload_id: str, request: LogRequest) -> LogsQuery:
        lifetime = Lifetime.of(await self._workloads.get(identity, workload_id))
        behind = None
        if request.cursor is not None:
            behind = self._cursors.read_line(request.cursor, *_names(identity.customer_id, workload_id, request))
        return LogsQuery(
            customer_id=identity.customer_id,
            workload_id=workload_id,
            lifetime=lifetime,
            levels=_from(request.level),
            since=request.since,
            until=request.until,
            newest_first=_is_newest_first(request),
            behind=behind,
            words=request.q,
        )

    @retried
    async def _read(self, query: LogsQuery, request: LogRequest, most: int) -> LogPage:
        behind = None
        async with self._database.connection(customer_id=query.customer_id) as conn:
            if query.words is None:
                lines = await self._store.page(conn, query, most + 1)
            else:
                lines, behind = await self._store.search(conn, query, most + 1)
        if len(lines) > most:
            del lines[most:]
            behind = lines[-1].place
        cursor = None
        if behind is not None:
            names = _names(query.customer_id, query.workload_id, request)
            cursor = self._cursors.after_line(behind, *names)
        return LogPage(lines=lines, next_cursor=cursor, behind=behind)

    @retried
    async def _with_total(self, page: LogPage, query: LogsQuery) -> LogPage:
        if not page.has_more:
            return replace(page, total=len(page.lines))
        if query.words is not None:
            return page  # counting would mean to look at all of the log
        async with self._database.connection(customer_id=query.customer_id) as conn:
            counted = await self._store.count(conn, query, MAX_COUNTED_LINES + 1)
        return replace(page, total=min(counted, MAX_COUNTED_LINES), total_is_estimate=counted > MAX_COUNTED_LINES)


def _is_newest_first(request: LogRequest) -> bool:
    return request.tail is not None or request.order == "desc"


def _names(customer_id: str, workload_id: str, request: LogRequest) -> tuple[str, ...]:
    """All that names a reading; how many lines a page has doesn't."""
    since, until = (at.isoformat() if at else "" for at in (request.since, request.until))
    direction = "desc" if _is_newest_first(request) else "asc"
    names = "logs", customer_id, workload_id, since, until, request.level or "", direction
    return names if request.q is None else (*names, request.q)


def _from(level: str | None) -> list[LogLevel]:
    """A level and the higher ones; all when None."""
    levels = list(LogLevel)
    return levels[levels.index(LogLevel(level)) :] if level is not None else levels
