"""Lists: right in every order, by cursor and by offset, and never by reading the whole table."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from niyanta.domain.workload import Status
from niyanta.errors import InvalidInputError
from niyanta.server.services.cursors import Cursors
from niyanta.server.store import listing
from niyanta.server.store.list_query import ORDERS, ListQuery
from niyanta.server.store.listing import ListingStore, cursor_values
from support.store_rows import ExplainFirst, add_workloads

CURSORS = Cursors(bytes(32))
FILTERS = [
    (None, None),
    ("PENDING", None),
    ("RUNNING", None),
    ("FAILED", None),
    (None, "type_1"),
    ("COMPLETED", "type_2"),
    ("SCHEDULED", "type_0"),
    (None, "nothing"),
]


def sorted_rows(rows: list[Any], order_by: str, descending: bool) -> list[Any]:
    """The order as the contract says it: nulls last in both directions, ties by id."""
    value = "workload_id" if order_by == "created_at" else order_by
    rows = sorted(rows, key=lambda row: row["workload_id"], reverse=descending)
    there = [row for row in rows if row[value] is not None]
    there.sort(key=lambda row: row[value], reverse=descending)
    return there + [row for row in rows if row[value] is None]


async def by_cursor(store: ListingStore, conn: asyncpg.Connection, query: ListQuery) -> list[str]:
    """All ids, page by page, the cursor taken through its text each time."""
    ids: list[str] = []
    while True:
        found = await store.slice(conn, query)
        ids += [row.workload_id for row in found.workloads]
        if found.next is None:
            return ids
        text = CURSORS.after_place(query, found.next)
        query = replace(query, after=CURSORS.read_place(text, query))


@pytest.mark.parametrize("order_by", ORDERS)
async def test_every_order_and_filter_lists_everything_once_in_order(conn: asyncpg.Connection, order_by: str) -> None:
    await add_workloads(conn, "cust_a", 260)
    await add_workloads(conn, "cust_b", 50)
    everything = await conn.fetch("SELECT * FROM workloads WHERE customer_id = 'cust_a'")
    assert {row["status"] for row in everything} == set(Status)
    store = ListingStore()
    for (status, workload_type), descending in itertools.product(FILTERS, (True, False)):
        wanted = [
            row["workload_id"]
            for row in sorted_rows(everything, order_by, descending)
            if status in (None, row["status"]) and workload_type in (None, row["workload_type"])
        ]
        query = ListQuery("cust_a", status, workload_type, order_by, descending, limit=17)
        assert await by_cursor(store, conn, query) == wanted
        for offset in (0, 3, len(wanted) - 2, len(wanted), len(wanted) + 5):
            rows = await store.page(conn, replace(query, offset=max(0, offset), limit=20))
            found = [row.workload_id for row in rows]
            assert found == wanted[max(0, offset) : max(0, offset) + 21]
        assert await store.total(conn, query) == listing.Total(len(wanted), True)


async def test_a_cursor_stands_where_it_stood_while_others_come_and_go(conn: asyncpg.Connection) -> None:
    await add_workloads(conn, "cust_a", 100)
    store = ListingStore()
    for order_by in ORDERS:
        query = ListQuery("cust_a", order_by=order_by, limit=30)
        rows = await store.page(conn, query)
        place = cursor_values(rows[29], order_by)
        rest = [row.workload_id for row in await store.page(conn, replace(query, after=place, limit=100))]
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute("DELETE FROM workloads WHERE workload_id = $1", rows[29].workload_id)
        again = [row.workload_id for row in await store.page(conn, replace(query, after=place, limit=100))]
        await transaction.rollback()
        assert again == rest


async def test_totals_are_counted_while_that_is_cheap_and_never_too_low(
    conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_workloads(conn, "cust_a", 1000)
    monkeypatch.setattr(listing, "MAX_COUNTED", 100)
    now = 0.0
    store = ListingStore(clock=lambda: now)
    for status, workload_type in FILTERS:
        exact = await conn.fetchval(
            """SELECT count(*) FROM workloads WHERE customer_id = 'cust_a' AND ($1::text IS NULL OR status = $1)
               AND ($2::text IS NULL OR workload_type = $2)""",
            status,
            workload_type,
        )
        total = await store.total(conn, ListQuery("cust_a", status, workload_type))
        assert total.is_exact == (exact <= 100)
        assert total.count == exact or (not total.is_exact and exact < total.count <= 1000)
        if status in (None, "COMPLETED", "FAILED"):
            assert total.count == exact
    query = ListQuery("cust_a")
    await conn.execute("DELETE FROM workloads WHERE workload_id > (SELECT min(workload_id) FROM workloads)")
    assert not (await store.total(conn, query)).is_exact, "kept for some seconds"
    now = 60.0
    assert await store.total(conn, query) == listing.Total(1, True)


async def test_an_offset_behind_the_end_is_an_empty_page_and_one_too_deep_a_bad_request(
    conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_workloads(conn, "cust_a", 300)
    store = ListingStore()
    assert await store.page(conn, ListQuery("cust_a", offset=10_000_000, order_by="priority")) == []
    monkeypatch.setattr(listing, "DEEP_OFFSET", 10)
    assert len(await store.page(conn, ListQuery("cust_a", offset=250))) == 50
    monkeypatch.setattr(listing, "DEEP_SECONDS", 0.001)

    class Slow(ExplainFirst):
        async def fetch(self, sql: str, *args: Any) -> Any:
            if "listed_workloads" in sql:
                await conn.fetch("SELECT pg_sleep(10)")
            return await conn.fetch(sql, *args)

    with pytest.raises(InvalidInputError, match="too deep"):
        await store.page(Slow(conn), ListQuery("cust_a", offset=250))
    assert await conn.fetchval("SHOW statement_timeout") == "10s", "only that page was bounded"


async def test_no_list_reads_the_whole_table(conn: asyncpg.Connection) -> None:
    await add_workloads(conn, "cust_a", 30_000)
    await add_workloads(conn, "cust_b", 2_000)
    await conn.execute("VACUUM ANALYZE workloads")
    spy = PlanNotes(conn)
    store = ListingStore()
    held = await conn.fetchval(
        "SELECT count(*) FROM workloads WHERE customer_id = 'cust_a' AND incarnation IS NOT NULL"
    )
    for order_by in ORDERS:
        for status, workload_type in FILTERS[:-1]:
            for descending in (True, False):
                query = ListQuery("cust_a", status, workload_type, order_by, descending)
                rows = await store.page(spy, query)
                await store.page(spy, replace(query, after=cursor_values(rows[-1], order_by)))
    assert len(spy.read) == 13, sorted(spy.read)
    for sql, (plan, most_rows) in spy.read.items():
        assert "Seq Scan on workloads" not in plan, f"{sql}:\n{plan}"
        assert most_rows <= held + 2 * 51 * 6 * 4 + 51, f"{sql} read {most_rows} rows:\n{plan}"


LABELS = (("team", "video"),), (("team", "video"), ("shard", "3")), (("team", "nobody"),), (("only", "one"),)


async def add_labels(conn: asyncpg.Connection) -> None:
    """Half of all are the video team's, one in seven each shard's, and one has a label of its own."""
    for label, condition in (
        ("'team', CASE WHEN hashtext(workload_id) % 2 = 0 THEN 'video' ELSE 'web' END", "true"),
        ("'shard', (abs(hashtext(workload_id || 's')) % 7)::text", "true"),
        ("'only', 'one'", "workload_id = (SELECT min(workload_id) FROM workloads WHERE customer_id = 'cust_a')"),
    ):
        await conn.execute(
            f"INSERT INTO workload_labels SELECT customer_id, workload_id, {label} FROM workloads WHERE {condition}"
        )
    await conn.execute("ANALYZE workload_labels")


@pytest.mark.parametrize("reach", [3, 2000])
async def test_labels_list_all_that_have_them_once_in_order(
    conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, reach: int
) -> None:
    await add_workloads(conn, "cust_a", 260)
    await add_workloads(conn, "cust_b", 50)
    await add_labels(conn)
    monkeypatch.setattr(listing, "REACH", reach)
    rows = await conn.fetch("SELECT * FROM listed_workloads WHERE customer_id = 'cust_a' ORDER BY workload_id")
    ids = [row["workload_id"] for row in rows]
    store = ListingStore()
    for (status, workload_type), labels, descending in itertools.product(FILTERS, LABELS, (True, False)):
        for above, below in (("", "~"), (ids[50], ids[200])):
            wanted = [
                row["workload_id"]
                for row in (reversed(rows) if descending else rows)
                if status in (None, row["status"])
                and workload_type in (None, row["workload_type"])
                and set(labels) <= set(json.loads(row["labels"]).items())
                and above < row["workload_id"] < below
            ]
            query = ListQuery(
                "cust_a",
                status,
                workload_type,
                descending=descending,
                limit=7,
                above=above,
                below=below,
                labels=labels,
            )
            assert await by_cursor(store, conn, query) == wanted
            found, place = await store.first_ids(conn, query)
            assert (found, place is None) == (wanted[:7], len(wanted) <= 7)
            total = await store.total(conn, query)
            assert total.count == len(wanted) or (not total.is_exact and total.count > len(wanted))


async def test_a_range_of_ids_bounds_lists_and_totals(conn: asyncpg.Connection) -> None:
    await add_workloads(conn, "cust_a", 260)
    rows = await conn.fetch("SELECT * FROM workloads WHERE customer_id = 'cust_a' ORDER BY workload_id")
    above, below = rows[40]["workload_id"], rows[200]["workload_id"]
    store = ListingStore()
    for (status, workload_type), descending in itertools.product(FILTERS, (True, False)):
        wanted = [
            row["workload_id"]
            for row in (reversed(rows) if descending else rows)
            if status in (None, row["status"])
            and workload_type in (None, row["workload_type"])
            and above < row["workload_id"] < below
        ]
        query = ListQuery("cust_a", status, workload_type, descending=descending, limit=17, above=above, below=below)
        assert await by_cursor(store, conn, query) == wanted
        assert await store.total(conn, query) == listing.Total(len(wanted), True)


async def test_a_page_by_labels_looks_no_further_than_it_may(
    conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_workloads(conn, "cust_a", 30_000)
    await add_labels(conn)
    await conn.execute(
        "UPDATE workload_labels SET value = 'web' WHERE key = 'team' AND workload_id IN "
        "(SELECT workload_id FROM workloads WHERE status = 'FAILED')"
    )
    await conn.execute("VACUUM ANALYZE")
    monkeypatch.setattr(listing, "REACH", 100)
    monkeypatch.setattr(listing, "MAX_COUNTED", 200)
    spy = PlanNotes(conn)
    store = ListingStore()
    query = ListQuery("cust_a", "FAILED", labels=(("team", "video"),))
    found = await store.slice(spy, query)
    assert found.workloads == []
    assert found.next is not None, "it goes on, though nothing was found yet"
    for labels in LABELS:
        await store.slice(spy, ListQuery("cust_a", labels=labels))
    for sql, (plan, most_rows) in spy.read.items():
        assert "Seq Scan on workload" not in plan, f"{sql}:\n{plan}"
        assert most_rows <= 4 * 201, f"{sql} read {most_rows} rows:\n{plan}"
        assert max(map(int, re.findall(r"loops=(\d+)", plan))) < 100, f"looked one up after another:\n{plan}"


async def test_the_first_page_by_labels_counts_once_and_later_ones_not_at_all(
    conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_COUNTED", 10)
    await add_workloads(conn, "cust_a", 600)
    await add_labels(conn)
    spy = PlanNotes(conn)
    store = ListingStore()
    query = ListQuery("cust_a", "COMPLETED", labels=(("team", "video"),), limit=7)
    found = await store.slice(spy, query)
    assert found.next is not None
    assert await store.total(spy, query, found.counts) == await ListingStore().total(conn, query)
    assert sum(spy.times[sql] for sql in spy.times if ") counted" in sql) == 2, "of labels, and of streams"
    await store.slice(spy, replace(query, after=found.next))
    again = await store.slice(spy, replace(query, limit=8))
    assert await store.total(spy, query, again.counts) == await ListingStore().total(conn, query)
    assert sum(spy.times[sql] for sql in spy.times if ") counted" in sql) == 2


class PlanNotes(ExplainFirst):
    """Notes for each query its plan and the most rows that it has read from the table."""

    def __init__(self, conn: asyncpg.Connection) -> None:
        super().__init__(conn)
        self.read: dict[str, tuple[str, int]] = {}
        self.times: Counter[str] = Counter()

    async def fetch(self, sql: str, *args: Any) -> Any:
        self.rows_read = 0
        self.times[sql] += 1
        rows = await super().fetch(sql, *args)
        if self.rows_read >= self.read.get(sql, ("", -1))[1]:
            self.read[sql] = (self.plan, self.rows_read)
        return rows
