"""Explanations: every reason with its numbers, the place, the estimate, and what would start it; in every state."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from niyanta.wire import messages
from niyanta.wire.v1 import workload_service_pb2 as pb
from support.grpc_calls import Calls
from support.system import System, beating, supported

GPU = {"hard_affinity": {"worker_tags": {"hardware": "gpu"}}}


async def explained(system: System, workload_id: str, **options: Any) -> dict[str, Any]:
    status, body, _ = await system.call("GET", f"/workloads/{workload_id}/explain", **options)
    assert status == 200, body
    return dict(body)


def codes(body: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in body["reasons"]]


async def test_every_reason_is_there_with_its_numbers(system: System) -> None:
    """A fresh coordinator has counted nothing yet, so that what it says is not a second old."""
    gpu = await system.worker("gpu", capacity=1, tags={"hardware": "gpu"})
    plain = await system.worker("plain", capacity=1)
    async with beating(gpu, plain):
        await system.submit(affinity_rules=GPU)
        await gpu.report((await gpu.next_assignment()).ref, messages.Started())
        await system.submit()
        await plain.report((await plain.next_assignment()).ref, messages.Started())
        ids = [await system.submit(affinity_rules=GPU) for _ in range(3)]
        status, body, _ = await system.call(
            "PATCH", "/admin/customers/cust_a", {"limits": {"max_concurrent_workloads": 2}}, key="admin"
        )
        assert status == 200, body
        async with system.another_coordinator() as fresh:
            body = await explained(system, ids[-1], via=fresh)
    assert codes(body) == ["workers_full", "limit_reached", "behind_others"]
    assert body["reasons"][0]["message"] == (
        "every matching worker is full: 2 workers serve 'count', 1 lacks tag hardware=gpu, 1 is full"
    )
    assert body["reasons"][0]["details"]["lacking"] == {"tag hardware=gpu": 1}
    assert body["reasons"][1]["message"] == "the customer's limit: 2 of 2 concurrent workloads are running"
    assert body["reasons"][1]["details"] == {"running": 2, "limit": 2}
    assert body["reasons"][2]["details"] == {"ahead": 2, "is_bounded": False}
    assert body["position"] == {"ahead": 2, "is_bounded": False}
    assert (body["status"], body["version"]) == ("PENDING", 1)
    assert body["smallest_change"].startswith(
        "one slot on a worker with hardware=gpu that serves 'count' and one running workload of the customer ends"
    )
    assert abs((datetime.fromisoformat(body["explained_at"]) - datetime.now(UTC)).total_seconds()) < 60


async def test_without_any_worker(system: System) -> None:
    await supported(system)
    body = await explained(system, await system.submit())
    assert codes(body) == ["type_not_served"]
    assert (body["estimated_start"], body["accuracy"]) == (None, None)
    assert body["smallest_change"] == "one worker that serves 'count'"


async def test_a_back_off_says_when_it_ends(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is anything up to a second, and may be over before anybody asks."""
    monkeypatch.setattr("niyanta.server.fleet.folding.backoff_seconds", lambda failures, chance: 30.0)
    worker = await system.worker()
    async with beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started(), messages.Failed("disk full", permanent=False))
        await system.until(workload_id, "REDISTRIBUTING")
        body = await explained(system, workload_id)
    waits = body["reasons"][0]
    assert waits["code"] == "backing_off"
    assert 0 < waits["details"]["seconds_left"] <= 30
    assert (waits["details"]["retry_count"], waits["details"]["last_error"]) == (1, "disk full")
    assert body["position"] is None


@pytest.mark.hasty
async def test_nobody_leads(system: System) -> None:
    """The lease runs out, as its row can't be written."""
    await supported(system)
    workload_id = await system.submit()
    connection = await asyncpg.connect(system.database_url)
    try:
        async with asyncio.timeout(20), connection.transaction():
            await connection.execute("SELECT FROM leader_lease FOR UPDATE")
            while "no_leader" not in codes(body := await explained(system, workload_id)):
                pass
    finally:
        await connection.close()
    assert body["smallest_change"].endswith("a coordinator takes the lead")
    assert body["reasons"][-1]["details"]["seconds"] >= 0


async def test_where_it_runs_who_paused_it_and_how_it_ended(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started(), messages.Progressed(40, None))
        running = await explained(system, workload_id)
        assert codes(running) == ["running"]
        assert running["reasons"][0]["details"]["worker_id"] == "w1"
        assert running["reasons"][0]["details"]["progress_percent"] == 40
        assert running["estimated_completion"]["p50"] is not None
        assert running["smallest_change"] is None

        asked = asyncio.create_task(system.call("POST", f"/workloads/{workload_id}/pause"))
        assert isinstance(await worker.next_command(), messages.PauseAttempt)
        assert codes(await explained(system, workload_id)) == ["pausing"]
        await worker.checkpoint(ref, b"{}")
        await worker.report(ref, messages.Paused())
        assert (await asked)[0] == 200
        paused = await explained(system, workload_id)
        assert codes(paused) == ["paused"]
        assert paused["reasons"][0]["details"]["by"].startswith("key_")
        assert paused["smallest_change"] == "it is resumed"

        await system.call("POST", f"/workloads/{workload_id}/cancel", {"reason": "not needed"})
        cancelled = (await explained(system, workload_id))["reasons"][0]
        assert cancelled["code"] == "cancelled"
        assert cancelled["message"].endswith(": not needed")
        assert cancelled["details"]["by"].startswith("key_")

        failing = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started(), messages.Failed("no such codec", permanent=True))
        failed = (await explained(system, failing))["reasons"][0]
        assert failed["message"] == "failed in attempt 1 (permanent): no such codec"
        assert failed["details"] == {"attempts": 1, "error": "no such codec", "reason": "permanent"}

        done = await system.submit()
        ref = (await worker.next_assignment()).ref
        assert codes(await explained(system, done)) == ["starting"]
        await worker.report(ref, messages.Started(), messages.Completed(b"{}"))
        completed = (await explained(system, done))["reasons"][0]
        assert (completed["code"], completed["details"]["worker_id"]) == ("completed", "w1")


async def test_grpc_says_the_same(system: System, calls: Calls) -> None:
    await supported(system)
    workload_id = await system.submit()
    over_rest = await explained(system, workload_id)
    found = await calls.call("ExplainWorkload", pb.ExplainWorkloadRequest(workload_id=workload_id))
    assert [reason.code for reason in found.reasons] == codes(over_rest)
    assert [reason.message for reason in found.reasons] == [reason["message"] for reason in over_rest["reasons"]]
    assert found.smallest_change == over_rest["smallest_change"]
    assert found.reasons[0].details["workers_serving"] == 0
    assert found.position.ahead == 0
