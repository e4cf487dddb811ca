"""Listing: every order, by offset and by cursor; cursors that can't be forged or carried elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg

from niyanta.wire import messages
from support.system import System, beating, supported

ORDERS = ["created_at", "priority", "status", "workload_type", "progress_percent", "started_at", "completed_at"]
NOWHERE = {"hard_affinity": {"worker_id": "nowhere"}}


@contextlib.asynccontextmanager
async def filled(system: System) -> AsyncIterator[None]:
    """Meanwhile there are a few workloads in all kinds of states."""
    worker = await system.worker(capacity=50, types=["count", "other"])
    async with beating(worker):
        for number in range(6):
            await system.submit(workload_type=["count", "other"][number % 2], priority=number % 3)
        for number in range(6):
            ref = (await worker.next_assignment()).ref
            bodies: list[Any] = [messages.Started()]
            if number % 3 == 0:
                bodies.append(messages.Progressed(10 * number, None))
            if number % 3 == 1:
                bodies.append(messages.Completed(b"{}"))
            await worker.report(ref, *bodies)
        for number in range(5):
            await system.submit(priority=number % 2, affinity_rules=NOWHERE)
        yield


async def pages(system: System, query: str, limit: int = 3) -> list[dict[str, Any]]:
    """All rows, page by page, along the cursor."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        status, body, _ = await system.call("GET", f"/workloads?limit={limit}{query}{cursor}")
        assert status == 200, body
        found += body["workloads"]
        pagination = body["pagination"]
        assert (pagination["next_cursor"] is not None) is pagination["has_more"]
        if not pagination["has_more"]:
            return found
        assert len(body["workloads"]) == limit
        cursor = f"&cursor={pagination['next_cursor']}"


def rank(row: dict[str, Any], order_by: str) -> Any:
    return "" if order_by == "created_at" else row[order_by]


async def test_every_order_is_sorted_whole_and_the_same_by_cursor_and_by_offset(system: System) -> None:
    async with filled(system):
        for order_by in ORDERS:
            for order in ("asc", "desc"):
                query = f"&order_by={order_by}&order={order}"
                rows = await pages(system, query)
                assert len({row["workload_id"] for row in rows}) == len(rows) == 11
                sized = await asyncio.gather(*(pages(system, query, limit) for limit in (1, 2, 100)))
                assert [[row["workload_id"] for row in one] for one in sized] == [
                    [row["workload_id"] for row in rows]
                ] * 3
                known = [row for row in rows if rank(row, order_by) is not None]
                assert rows[: len(known)] == known, "what has no value comes last"
                keys = [(rank(row, order_by), row["workload_id"]) for row in known]
                assert keys == sorted(keys, reverse=order == "desc"), query
                by_offset = []
                for offset in range(0, 12, 4):
                    _, body, _ = await system.call("GET", f"/workloads?limit=4&offset={offset}{query}")
                    by_offset += body["workloads"]
                    assert (body["pagination"]["total"], body["pagination"]["total_is_estimate"]) == (11, False)
                    assert (body["pagination"]["limit"], body["pagination"]["offset"]) == (4, offset)
                assert by_offset == rows


async def test_filters_hold_along_the_cursor(system: System) -> None:
    async with filled(system):
        for query in (
            "&status=PENDING",
            "&status=RUNNING",
            "&workload_type=other",
            "&status=PENDING&workload_type=count",
        ):
            wanted = dict(part.split("=") for part in query[1:].split("&"))
            for order_by in ORDERS:
                rows = await pages(system, f"{query}&order_by={order_by}", 2)
                assert rows
                assert all(row[name] == value for row in rows for name, value in wanted.items())


async def test_a_cursor_is_stable_under_inserts(system: System) -> None:
    await supported(system)
    old = [await system.submit(affinity_rules=NOWHERE) for _ in range(4)]
    _, first, _ = await system.call("GET", "/workloads?limit=2")
    await system.submit(affinity_rules=NOWHERE)
    _, second, _ = await system.call("GET", f"/workloads?limit=2&cursor={first['pagination']['next_cursor']}")
    assert [row["workload_id"] for row in first["workloads"] + second["workloads"]] == old[::-1]


def altered(cursor: str) -> Iterator[str]:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place, letter in enumerate(cursor):
        yield cursor[:place] + letters[(letters.index(letter) + 1) % 64] + cursor[place + 1 :]
    yield from (
        cursor[:-1],
        cursor[1:],
        cursor + "A",
        cursor + "=",
        "A" * 40,
        "AA",
        "x" * 2000,
        "%00",
        "%C3%A9",
        "+/",
    )


async def test_no_altered_cursor_is_taken(system: System) -> None:
    await supported(system)
    for _ in range(2):
        await system.submit(affinity_rules=NOWHERE)
    _, body, _ = await system.call("GET", "/workloads?limit=1")
    cursor = body["pagination"]["next_cursor"]
    for bad in [*altered(cursor), "x" * 2001, ""]:
        status, answer, _ = await system.call("GET", f"/workloads?cursor={bad}")
        assert (status, answer["error"]["details"]["field"]) == (400, "cursor"), bad


async def test_a_cursor_belongs_to_its_list(system: System) -> None:
    await supported(system)
    for key in ("cust_a", "cust_b"):
        for _ in range(3):
            await system.submit(key, affinity_rules=NOWHERE)
    _, body, _ = await system.call("GET", "/workloads?limit=1&status=PENDING&order_by=priority&order=asc")
    cursor = body["pagination"]["next_cursor"]
    same = f"/workloads?cursor={cursor}&status=PENDING&order_by=priority&order=asc"
    for limit in (1, 100):
        status, body, _ = await system.call("GET", f"{same}&limit={limit}")
        assert (status, len(body["workloads"])) == (200, min(2, limit))
        assert set(body["pagination"]) == {"has_more", "next_cursor"}
    async with system.another_coordinator() as other:
        assert (await system.call("GET", same, via=other))[0] == 200
    others = [
        same.replace("&status=PENDING", ""),
        same.replace("PENDING", "RUNNING"),
        same.replace("=priority", "=created_at"),
        same.replace("=asc", "=desc"),
        f"{same}&workload_type=count",
        f"{same}&offset=0",
    ]
    for path, key in [*((path, "cust_a") for path in others), (same, "cust_b")]:
        status, answer, _ = await system.call("GET", path, key=key)
        assert (status, answer["error"]["details"]["field"]) == (400, "cursor"), path


async def test_an_audit_cursor_belongs_to_its_workload(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        ids = [await system.submit() for _ in range(2)]
        for _ in ids:
            await worker.report((await worker.next_assignment()).ref, messages.Started(), messages.Completed(b"{}"))
    seen = []
    cursor = ""
    while True:
        _, body, _ = await system.call("GET", f"/workloads/{ids[0]}/audit?limit=1{cursor}")
        seen += [event["event_id"] for event in body["events"]]
        if not body["pagination"]["has_more"]:
            break
        cursor = f"&cursor={body['pagination']['next_cursor']}"
    assert seen == [1, 2, 3, 4]
    status, answer, _ = await system.call("GET", f"/workloads/{ids[1]}/audit?limit=1{cursor}")
    assert (status, answer["error"]["details"]["field"]) == (400, "cursor")


async def test_a_page_of_a_history_holds_a_thousand_events_when_nobody_says(system: System) -> None:
    await supported(system)
    workload_id = await system.submit()
    connection = await asyncpg.connect(system.database_url)
    await connection.execute(
        "INSERT INTO audit_events"
        " SELECT customer_id, workload_id, event_id + n, 'workload.checkpoint_created', occurred_at,"
        " 'worker', 'w1', '{}'"
        " FROM audit_events, generate_series(1, 1500) n WHERE workload_id = $1",
        workload_id,
    )
    await connection.close()
    seen: list[list[int]] = []
    query: str | None = ""
    while query is not None:
        status, body, _ = await system.call("GET", f"/workloads/{workload_id}/audit{query}")
        assert status == 200
        seen.append([event["event_id"] for event in body["events"]])
        query = f"?cursor={body['pagination']['next_cursor']}" if body["pagination"]["has_more"] else None
    assert seen == [list(range(1, 1001)), list(range(1001, 1502))]


async def test_a_deep_offset_is_no_failure(system: System) -> None:
    await supported(system)
    await system.submit(affinity_rules=NOWHERE)
    for order_by in ORDERS:
        status, body, _ = await system.call("GET", f"/workloads?offset=10000000&order_by={order_by}")
        assert (status, body["workloads"], body["pagination"]["total"]) == (200, [], 1)
