"""What failed, by what the errors have in common: counted once, found by list and replay."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from niyanta.server.store import failures as store
from niyanta.wire import messages
from niyanta.wire.v1 import workload_service_pb2 as pb
from support.cases import cases
from support.grpc_calls import Calls
from support.scripted_worker import ScriptedWorker
from support.system import System, beating, supported


async def failed(system: System, worker: ScriptedWorker, error: str, key: str = "cust_a", **fields: Any) -> str:
    workload_id = await system.submit(key, **fields)
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, messages.Started(), messages.Failed(error, permanent=True))
    return workload_id


async def failures(system: System, query: str = "", key: str = "cust_a") -> list[dict[str, Any]]:
    status, body, _ = await system.call("GET", f"/failures{query}", key=key)
    assert status == 200, body
    assert body["counted_since"] is None
    return list(body["failures"])


async def test_failures_that_are_alike_come_together(system: System, calls: Calls) -> None:
    assert await failures(system) == []
    await supported(system)
    worker = await system.worker(types=["count", "render"])
    async with beating(worker):
        alike = [
            await failed(system, worker, f"OSError: /tmp/{n}.mp4 has {n} bytes", workload_type=kind)
            for n, kind in enumerate(("count", "render", "count"))
        ]
        other = await failed(system, worker, "ValueError: broken")
        theirs = await failed(system, worker, "ValueError: broken", key="cust_b")
    last, first = await failures(system)
    assert (last["count"], last["workload_ids"], last["message"]) == (1, [other], "ValueError: broken")
    assert (first["count"], first["workload_ids"]) == (3, alike[::-1])
    assert first["message"] == "OSError: /tmp/2.mp4 has 2 bytes"
    assert first["pattern"] == "OSError: <path> has <n> bytes"
    assert first["workload_types"] == ["count", "render"]
    assert first["first_seen_at"] == (await system.get(alike[0]))["completed_at"]
    assert first["last_seen_at"] == (await system.get(alike[2]))["completed_at"]
    (foreign,) = await failures(system, key="cust_b")
    assert (foreign["fingerprint"], foreign["workload_ids"]) == (last["fingerprint"], [theirs])
    assert [one["count"] for one in await failures(system, "?order_by=count")] == [3, 1]
    assert [one["count"] for one in await failures(system, "?workload_type=render")] == [1]
    assert [one["count"] for one in await failures(system, "?limit=1")] == [1]
    now = datetime.now(UTC)
    for query, count in (
        (f"since={now - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}", 2),
        (f"since={now + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}", 0),
        (f"until={now - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}", 0),
    ):
        assert len(await failures(system, f"?{query}")) == count, query

    fingerprint = first["fingerprint"]
    whole = await system.get(alike[0])
    assert (whole["error_fingerprint"], whole["labels"]) == (fingerprint, {})
    _, body, _ = await system.call("GET", f"/workloads?fingerprint={fingerprint}&workload_type=count&limit=1")
    assert [row["workload_id"] for row in body["workloads"]] == [alike[2]]
    query = f"fingerprint={fingerprint}&workload_type=count&cursor={body['pagination']['next_cursor']}"
    _, body, _ = await system.call("GET", f"/workloads?{query}")
    assert [row["workload_id"] for row in body["workloads"]] == [alike[0]]
    _, body, _ = await system.call("GET", f"/workloads?fingerprint={fingerprint}", key="cust_b")
    assert body["workloads"] == []

    answer = await calls.call("ListFailures", pb.ListFailuresRequest(order_by="count", limit=1))
    assert answer.has_more
    (found,) = answer.failures
    assert (found.fingerprint, found.count, list(found.workload_ids)) == (fingerprint, 3, alike[::-1])
    assert not answer.HasField("counted_since")
    given = pb.ListWorkloadsRequest(fingerprint=fingerprint)
    listed = await calls.call("ListWorkloads", given)
    assert [workload.workload_id for workload in listed.workloads] == alike[::-1]

    status, body, _ = await system.call("POST", "/workloads/replay", {"filter": {"fingerprint": fingerprint}})
    assert status == 202, body
    assert [result["replayed_from"] for result in body["results"]] == alike


async def test_each_way_to_fail_is_counted_once(system: System) -> None:
    worker = await system.worker(capacity=4)
    async with beating(worker):
        for body in (
            messages.Failed("broken", permanent=True),
            messages.Completed(b"no JSON"),
        ):
            workload_id = await system.submit()
            ref = (await worker.next_assignment()).ref
            await worker.report(ref, messages.Started(), body)
            found = await system.until(workload_id, "FAILED")
            assert found["error_fingerprint"], body
        ids = [await system.submit() for _ in range(3)]
        refs = [(await worker.next_assignment()).ref for _ in ids]
        await asyncio.gather(
            *(worker.report(ref, messages.Started(), messages.Failed("at once", permanent=True)) for ref in refs)
        )
        for ref in refs:
            await worker.report(ref, messages.Failed("again", permanent=True))
    counts = {one["message"]: one["count"] for one in await failures(system)}
    assert counts.pop("at once") == 3
    assert list(counts.values()) == [1, 1]


async def test_figures_outlive_a_workload_until_their_time_is_over(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        workload_id = await failed(system, worker, "broken", labels={"team": "video"})
    connection = await asyncpg.connect(system.database_url)
    try:
        await connection.execute("DELETE FROM workloads WHERE workload_id = $1", workload_id)
        assert len(await failures(system)) == 1
        _, body, _ = await system.call("GET", "/workloads?label=team:video")
        assert (body["workloads"], body["pagination"]["has_more"]) == ([], False)
    finally:
        await connection.close()


async def test_too_many_to_count_says_from_when_on(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_ROWS", 2)
    worker = await system.worker()
    async with beating(worker):
        for word in ("one", "two", "three"):
            await failed(system, worker, word)
    status, body, _ = await system.call("GET", "/failures")
    assert (status, len(body["failures"])) == (200, 2)
    assert body["counted_since"].endswith(":00:00.000Z")


@cases(
    ("query", "field"),
    [("since=x", "since"), ("limit=0", "limit"), ("limit=101", "limit"), ("order_by=name", "order_by"), ("q=1", "q")],
)
async def test_wrong_parameters(system: System, query: str, field: str) -> None:
    status, body, _ = await system.call("GET", f"/failures?{query}")
    assert (status, body["error"]["details"]["field"]) == (400, field)
