"""Listing a customer's workloads, page by page, in any order (ADR 0011), or by labels (ADR 0033).

What rests (is queued, paused or has ended) is read from indexes in the wanted order; what workers hold is at most the
customer's concurrency, and is sorted when asked for. So a page costs the same with a thousand workloads and with a
million. That holds for what labels let through as well, though there a page may end before it is full.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, NamedTuple

import asyncpg
import msgspec

from niyanta.domain.ids import made_at
from niyanta.domain.limits import MAX_COUNTED
from niyanta.domain.workload import Status
from niyanta.errors import InvalidInputError
from niyanta.server.store.list_query import FIRST_ID, LAST_ID, ListQuery, Place
from niyanta.server.store.queries import Connection, Queries

__all__ = [
    "DEEP_OFFSET",
    "DEEP_SECONDS",
    "ListingStore",
    "Slice",
    "Total",
    "WorkloadSummary",
    "cursor_values",
]

_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
"""asyncpg sends these two as -infinity and infinity."""
_LOWEST, _HIGHEST = -1, 2**31 - 1

_KEEP_BOUND_SECONDS = 5.0
_MOST_BOUNDS = 10_000
DEEP_OFFSET = 10_000
"""A page that begins here or later is read in bounded time."""
DEEP_SECONDS = 4
REACH = 2_000
"""Workloads that a page by labels looks at, whether they fit or not."""
_NEAR = 250
"""Of these it looks at so many first: mostly there are enough among them."""
_KEEP_CHOICE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Total:
    """How many workloads the filters let through."""

    count: int
    is_exact: bool
    """False: an upper bound, and close to the truth unless retention has deleted much."""


class Slice(NamedTuple):
    """A page of a list."""

    workloads: list[WorkloadSummary]
    """As many as the query's limit at the most."""
    next: Place | None
    """Behind which place the list goes on; None at its end. A page by labels may go on though it isn't full."""
    counts: Sequence[int] = ()
    """What was counted for it on the way; `ListingStore.total` may take it."""

    def reached_at(self, query: ListQuery) -> datetime | None:
        """Of a list by labels that goes on: all before this time of submission, in its order, has been looked at."""
        return made_at(self.next[1]) if query.labels and self.next is not None else None


class WorkloadSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A workload as lists show it."""

    customer_id: str
    workload_id: str
    workload_type: str
    status: Status
    priority: int
    progress_percent: int
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    version: int
    retry_count: int
    worker_id: str | None
    labels: str | None
    """JSON object; None without any."""


class _Walked(msgspec.Struct, frozen=True):
    ids: list[str]
    reached: str | None
    """The last that was looked at, where there may be more behind it."""


class _Stream(NamedTuple):
    status: str
    workload_type: str


class _EverCreated(msgspec.Struct, frozen=True, kw_only=True):
    created: int
    completed: int
    failed: int
    cancelled: int


_queries = Queries("listing.sql")
_newest = _queries.many("newest", WorkloadSummary)
_oldest = _queries.many("oldest", WorkloadSummary)
_sorted = {
    (name, way): _queries.many(f"by_{name}_{way}", WorkloadSummary)
    for name in ("place", "priority", "progress", "start", "end")
    for way in ("up", "down")
}
_streams = _queries.many("streams", _Stream)
_labelled = {way: _queries.sole(f"labelled_{way}", _Walked) for way in ("up", "down")}
_listed = _queries.many("listed", WorkloadSummary)
_count_labels = _queries.many("count_labels", int)
_count_everything = _queries.sole("count_everything", int)
_count_streams = _queries.sole("count_streams", int)
_upper_bounds = _queries.sole("upper_bounds", _EverCreated)
_bound_time = _queries.many("bound_time", str)


def cursor_values(row: WorkloadSummary, order_by: str) -> Place:
    """The place of a workload in an order; with it as ``after``, a page begins behind the workload."""
    return ("", row.workload_id) if order_by == "created_at" else (getattr(row, order_by), row.workload_id)


class ListingStore:
    """Queries for pages of workloads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bounds: dict[ListQuery, tuple[float, Total]] = {}
        self._choices: dict[ListQuery, tuple[float, int]] = {}
        """Which of its filters a list by labels walks."""

    async def slice(self, conn: Connection, query: ListQuery) -> Slice:
        """One page, and where the next begins.

        Raises:
            InvalidInputError: As `page`.
        """
        if query.labels:
            return await self._labelled(conn, query)
        found = await self.page(conn, query)
        workloads = found[: query.limit]
        return Slice(workloads, cursor_values(workloads[-1], query.order_by) if len(found) > query.limit else None)

    async def first_ids(
        self, conn: Connection, query: ListQuery, looks: int | None = None
    ) -> tuple[list[str], Place | None]:
        """The first ids of a list, as many as the query's limit or all, and behind which place the list goes on.

        With ``looks`` there may be fewer by labels: `REACH` workloads are looked at so many times, and no more.
        """
        ids: list[str] = []
        place = query.after
        for _ in count() if looks is None else range(looks):
            found = await self.slice(conn, replace(query, after=place, limit=query.limit - len(ids)))
            ids += [workload.workload_id for workload in found.workloads]
            place = found.next
            if place is None or len(ids) == query.limit:
                break
        return ids, place

    async def page(self, conn: Connection, query: ListQuery) -> list[WorkloadSummary]:
        """One page, and one more when there are more. Not for labels: see `slice`.

        Raises:
            InvalidInputError: The offset is so deep that the page can't be read in reasonable time.
        """
        if query.offset < DEEP_OFFSET:
            return await self._page(conn, query)
        if query.offset >= (await self.total(conn, query)).count:
            return []
        try:
            async with conn.transaction(readonly=True):
                await _bound_time(conn, milliseconds=str(DEEP_SECONDS * 1000))
                return await self._page(conn, query)
        except asyncpg.QueryCanceledError as exc:
            raise InvalidInputError(
                "offset is too deep for these filters and this order; follow the cursor instead",
                details={"field": "offset", "allowed": "cursor"},
            ) from exc

    async def total(self, conn: Connection, query: ListQuery, counts: Sequence[int] = ()) -> Total:
        """How many workloads the filters let through: counted up to `MAX_COUNTED`, else from the hourly figures.

        An inexact total is kept for some seconds.

        Args:
            conn: The connection.
            query: Of the list.
            counts: Of its first page, if there is one: spares counting again.
        """
        key = _list_of(query)
        until, kept = self._bounds.get(key, (0.0, None))
        if kept is not None and self._clock() < until:
            return kept
        counts = counts or await self._counts(conn, key, MAX_COUNTED + 1)
        if min(counts) <= MAX_COUNTED:
            self._bounds.pop(key, None)
            return Total(min(counts), len(counts) == 1)
        if len(self._bounds) >= _MOST_BOUNDS:
            self._bounds.clear()
        total = Total(max(min(counts), await self._upper_bound(conn, query)), False)
        self._bounds[key] = (self._clock() + _KEEP_BOUND_SECONDS, total)
        return total

    async def _counts(self, conn: Connection, query: ListQuery, most: int) -> list[int]:
        """How many have each of the labels; and, last, the status and type, if asked for, or there is no label."""
        bounds = {"above_id": query.above, "below_id": query.below, "most": most}
        counts: list[int] = []
        if query.labels:
            keys, values = _columns(query.labels)
            counts = await _count_labels(conn, customer_id=query.customer_id, keys=keys, values=values, **bounds)
        if query.status is not None or query.workload_type is not None:
            counts.append(await _count_streams(conn, **await self._filters(conn, query), **bounds))
        elif not query.labels:
            counts.append(await _count_everything(conn, customer_id=query.customer_id, **bounds))
        return counts

    async def _upper_bound(self, conn: Connection, query: ListQuery) -> int:
        sums = await _upper_bounds(
            conn,
            customer_id=query.customer_id,
            workload_type=query.workload_type,
            since=made_at(query.above) or _EARLIEST,
            until=made_at(query.below) or _LATEST,
        )
        if query.status is None:
            return sums.created
        ended = {Status.COMPLETED: sums.completed, Status.FAILED: sums.failed, Status.CANCELLED: sums.cancelled}
        return ended.get(Status(query.status), sums.created - sum(ended.values()))

    async def _labelled(self, conn: Connection, query: ListQuery) -> Slice:
        """Walk what the rarest of the filters means, as far as a page may."""
        above, below = query.above, query.below
        if query.after is not None:
            above, below = (above, query.after[1]) if query.descending else (query.after[1], below)
        rarest, counts = await self._rarest(conn, query)
        checked = list(query.labels)
        key, value = checked.pop(rarest) if rarest < len(checked) else (None, None)
        keys, values = _columns(checked)
        given = _given(query, []) if key is not None else await self._filters(conn, query)
        given |= {"key": key, "value": value, "keys": keys, "values": values}
        ids: list[str] = []
        near = max(min(_NEAR, REACH), query.limit + 1)
        reached = None
        for reach in (near, REACH - near):
            if query.descending:
                bounds = {"above_id": above, "before_id": below if reached is None else reached}
            else:
                bounds = {"after_id": above if reached is None else reached, "below_id": below}
            walk = _labelled["down" if query.descending else "up"]
            found = await walk(conn, **given, **bounds, reach=reach, most=query.limit + 1 - len(ids))
            ids += found.ids
            reached = found.reached
            if len(ids) > query.limit or reached is None or near >= REACH:
                break
        if len(ids) > query.limit:
            del ids[query.limit :]
            reached = ids[-1]
        workloads = await _listed(conn, customer_id=query.customer_id, workload_ids=ids) if ids else []
        return Slice(workloads, None if reached is None else ("", reached), counts)

    async def _rarest(self, conn: Connection, query: ListQuery) -> tuple[int, Sequence[int]]:
        """Which of the labels, or behind them the status and type, is to be walked; and what was counted for that.

        Later pages of a list go by what was chosen for the first; so does a first one whose total is kept.
        """
        key = _list_of(query)
        until, chosen = self._choices.get(key, (0.0, 0))
        if self._clock() < until and (query.after is not None or self._clock() < self._bounds.get(key, (0.0,))[0]):
            return chosen, ()
        counts = await self._counts(conn, key, MAX_COUNTED + 1)
        chosen = counts.index(min(counts))
        if len(self._choices) >= _MOST_BOUNDS:
            self._choices.clear()
        self._choices[key] = (self._clock() + _KEEP_CHOICE_SECONDS, chosen)
        return chosen, counts

    async def _filters(self, conn: Connection, query: ListQuery) -> dict[str, Any]:
        """The filters, and the streams that they let through."""
        if query.status is not None and query.workload_type is not None:
            pairs = [(query.status, query.workload_type)]
        elif query.status is not None and Status(query.status).is_held:
            pairs = []
        else:
            pairs = [
                (stream.status, stream.workload_type)
                for stream in await _streams(conn, customer_id=query.customer_id)
                if query.status in (None, stream.status) and query.workload_type in (None, stream.workload_type)
            ]
        return _given(query, pairs)

    async def _page(self, conn: Connection, query: ListQuery) -> list[WorkloadSummary]:
        window = {"most": query.limit + 1, "skip": query.offset}
        start = _start(query)
        if query.order_by == "created_at" and query.status is None and query.workload_type is None:
            if query.descending:
                return await _newest(
                    conn, customer_id=query.customer_id, above_id=query.above, before_id=start[1], **window
                )
            return await _oldest(
                conn, customer_id=query.customer_id, after_id=start[1], below_id=query.below, **window
            )
        given = {**await self._filters(conn, query), **window, "reach": query.limit + 1 + query.offset}
        bound = "before" if query.descending else "after"
        way = "down" if query.descending else "up"
        if query.order_by in ("created_at", "status", "workload_type"):
            _give_places(given, query, start, bound)
            given |= {"above_id": query.above} if query.descending else {"below_id": query.below}
            name = "place"
        elif query.order_by in ("started_at", "completed_at"):
            given |= _bounds_of_time(query, start, bound)
            name = "start" if query.order_by == "started_at" else "end"
        else:
            given |= {bound: start[0], f"{bound}_id": start[1]}
            name = "priority" if query.order_by == "priority" else "progress"
        return await _sorted[name, way](conn, **given)


def _list_of(query: ListQuery) -> ListQuery:
    """What all pages of a list have in common, whatever its order."""
    return ListQuery(
        query.customer_id,
        query.status,
        query.workload_type,
        above=query.above,
        below=query.below,
        labels=query.labels,
    )


def _given(query: ListQuery, streams: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "customer_id": query.customer_id,
        "statuses": [stream[0] for stream in streams],
        "types": [stream[1] for stream in streams],
        "status": query.status,
        "workload_type": query.workload_type,
    }


def _columns(labels: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [key for key, _ in labels], [value for _, value in labels]


def _start(query: ListQuery) -> Place:
    """Behind which place the page begins; before everything when there is no cursor."""
    if query.after is not None:
        return query.after
    if query.order_by in ("priority", "progress_percent"):
        return (_HIGHEST, LAST_ID) if query.descending else (_LOWEST, FIRST_ID)
    if query.order_by in ("started_at", "completed_at"):
        return (_LATEST, LAST_ID) if query.descending else (_EARLIEST, FIRST_ID)
    if query.order_by == "created_at":
        return ("", query.below if query.descending else query.above)
    return (LAST_ID, LAST_ID) if query.descending else (FIRST_ID, FIRST_ID)


def _give_places(given: dict[str, Any], query: ListQuery, start: Place, bound: str) -> None:
    """Give each stream its place in the order, and drop those that lie before the start."""
    value, workload_id = start
    streams = []
    for status, workload_type in zip(given["statuses"], given["types"], strict=True):
        place = {"status": status, "workload_type": workload_type}.get(query.order_by, "")
        if place == value:
            streams.append((status, workload_type, place, workload_id))
        elif (place < str(value)) == query.descending:
            streams.append((status, workload_type, place, LAST_ID if query.descending else FIRST_ID))
    given |= {name: [s[n] for s in streams] for n, name in enumerate(("statuses", "types", "places"))}
    given |= {
        f"{bound}_ids": [s[3] for s in streams],
        "order_by": query.order_by,
        "place": value,
        f"{bound}_id": workload_id,
    }


def _bounds_of_time(query: ListQuery, start: Place, bound: str) -> dict[str, Any]:
    """Where to begin among those that have the time, and among those, behind all of these, that haven't."""
    value, workload_id = start
    if value is not None:
        unset = LAST_ID if query.descending else FIRST_ID
        return {bound: value, f"{bound}_id": workload_id, f"unset_{bound}_id": unset}
    # All that have the time lie before: begin behind the last of them.
    nowhere = (_EARLIEST, FIRST_ID) if query.descending else (_LATEST, LAST_ID)
    return {bound: nowhere[0], f"{bound}_id": nowhere[1], f"unset_{bound}_id": workload_id}
