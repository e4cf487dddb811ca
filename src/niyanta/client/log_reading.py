"""Reading a workload's log: a page, all of it, and what is still to come."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta

import msgspec

from niyanta.client.models import LogLine, LogPage
from niyanta.client.transport import Transport, quoted, without_none
from niyanta.client.watching import get_workload
from niyanta.domain.limits import MAX_LINES
from niyanta.domain.searching import pattern_of

__all__ = ["follow_logs", "iterate_logs", "last_lines", "read_logs"]

_POLL_SECONDS = 1
_CLOCK_STEP = timedelta(milliseconds=1)  # what `since` can tell apart


def _stamp(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


async def read_logs(transport: Transport, workload_id: str, **params: object) -> LogPage:
    """One page; parameters as of the service, times as datetimes, None for what isn't given."""
    given = without_none(**params)
    given |= {name: _stamp(given[name]) for name in ("since", "until") if name in given}
    answer = await transport.call("GET", f"/workloads/{quoted(workload_id)}/logs", params=given)
    return msgspec.json.decode(answer, type=LogPage)


async def iterate_logs(
    transport: Transport, workload_id: str, limit: int | None = None, **params: object
) -> AsyncGenerator[LogLine, None]:
    """All lines or the first ``limit`` of them, page by page, by cursor: none left out, none twice."""
    left = limit
    cursor: str | None = None
    while left is None or left > 0:
        most = MAX_LINES if left is None else min(left, MAX_LINES)
        begun = time.monotonic()
        page = await read_logs(transport, workload_id, limit=most, cursor=cursor, **params)
        for line in page.logs:
            yield line
        cursor = page.pagination.next_cursor
        if cursor is None:
            return
        if not page.logs:
            await transport.rest(begun)
        left = None if left is None else left - len(page.logs)


async def last_lines(transport: Transport, workload_id: str, tail: int, **params: object) -> list[LogLine]:
    """The last so many lines, oldest first; of a search however far back they are."""
    lines: list[LogLine] = []
    cursor: str | None = None
    while len(lines) < tail:
        begun = time.monotonic()
        page = await read_logs(transport, workload_id, tail=tail - len(lines), cursor=cursor, **params)
        lines = [*page.logs, *lines]
        cursor = page.pagination.next_cursor
        if cursor is None:
            break
        if not page.logs:
            await transport.rest(begun)
    return lines


async def follow_logs(
    transport: Transport,
    workload_id: str,
    seen: list[LogLine],
    since: datetime | None = None,
    level: str | None = None,
    q: str | None = None,
) -> AsyncGenerator[LogLine, None]:
    """Lines as they are written, oldest first, until the workload has ended and all of them are given.

    Args:
        transport: What asks.
        workload_id: Which.
        seen: Lines that the caller has already, in order: what follows is what comes behind them.
        since: Where to begin when there are none.
        level: Only lines of this one or a higher one.
        q: Only lines whose message has this in it. All are read, and looked at here: what was looked at isn't again.
    """
    last = seen[-1].timestamp if seen else None
    given: set[tuple[int | None, int | None]] = set()
    resume_behind = (seen[-1].attempt, seen[-1].sequence) if seen else None
    version = 0
    wanted = re.compile(pattern_of(q or ""))
    while True:
        workload = await get_workload(transport, workload_id, wait_seconds=_POLL_SECONDS, version=version)
        version = workload.version or 0
        # Lines may share the last one's millisecond: read from before it, and leave out those that were given.
        begin = last - _CLOCK_STEP if last else since
        async for line in iterate_logs(transport, workload_id, since=begin, level=level):
            place = line.attempt, line.sequence
            if last is not None and line.timestamp < last:
                continue  # of the millisecond before, by fractions that its text doesn't show
            if line.timestamp == last:
                known = resume_behind is not None or place in given
            else:
                last, known, resume_behind = line.timestamp, False, None
                given.clear()
            given.add(place)
            if place == resume_behind:
                resume_behind = None  # those before it stand before what the caller has seen
            if not known and wanted.search(line.message):
                yield line
        if workload.is_terminal:
            return
