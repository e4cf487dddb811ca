"""Replays: one and many, as submissions with a lineage; none lost and none doubled, whatever is cut off."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import aiohttp
import asyncpg
import pytest

from niyanta.wire import messages
from niyanta.wire.v1 import workload_service_pb2 as pb
from support.cases import cases
from support.commit_cutter import commit_cutter
from support.grpc_calls import Calls
from support.scripted_worker import ScriptedWorker
from support.system import System, beating, own_process, running_system, supported

FAILED = {"filter": {"status": "FAILED"}}
GPU = {"hard_affinity": {"worker_tags": {"hardware": "gpu"}}}


async def ended(system: System, worker: ScriptedWorker, *events: Any, **fields: Any) -> str:
    """A workload that has run and said so much."""
    workload_id = await system.submit(**fields)
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, messages.Started(), *events)
    return workload_id


async def failed(system: System, worker: ScriptedWorker, count: int = 1, **fields: Any) -> list[str]:
    return [await ended(system, worker, messages.Failed("no disk", permanent=True), **fields) for _ in range(count)]


async def origins(system: System, key: str = "cust_a") -> list[str]:
    """What all replays and forks are of."""
    connection = await asyncpg.connect(system.database_url)
    try:
        rows = await connection.fetch(
            "SELECT coalesce(replayed_from, forked_from) FROM workload_origins WHERE customer_id = $1", key
        )
    finally:
        await connection.close()
    return sorted(row[0] for row in rows)


async def test_a_replay_is_the_same_but_for_what_is_new(system: System) -> None:
    worker = await system.worker(tags={"hardware": "gpu"})
    async with beating(worker):
        (original,) = await failed(
            system, worker, input_params={"n": 1}, priority=7, affinity_rules=GPU, timeout_seconds=60
        )
        status, body, headers = await system.call("POST", f"/workloads/{original}/replay")
        assert status == 202, body
        assert (body["status"], body["version"]) == ("PENDING", 1)
        assert headers["Location"] == f"/v1/workloads/{body['workload_id']}"
        found = await system.get(body["workload_id"])
        assert found["replayed_from"] == original
        assert found["from_checkpoint"] is None
        before = await system.get(original)
        assert (before["status"], before["replayed_from"]) == ("FAILED", None)
        same = ("workload_type", "input_params", "priority", "affinity_rules", "timeout_seconds")
        assert {name: found[name] for name in same} == {name: before[name] for name in same}
        _, audit, _ = await system.call("GET", f"/workloads/{body['workload_id']}/audit")
        assert audit["events"][0]["details"]["replayed_from"] == original

        edited = {"input_params": {"n": 2}, "priority": 900}
        _, body, _ = await system.call("POST", f"/workloads/{original}/replay", edited)
        found = await system.get(body["workload_id"])
        assert (found["input_params"], found["priority"], found["timeout_seconds"]) == ({"n": 2}, 900, 60)
        assert await origins(system) == [original, original]


async def test_what_cannot_be_replayed(system: System) -> None:
    worker = await system.worker(types=["count", "gone"])
    async with beating(worker):
        (original,) = await failed(system, worker)
        waiting = await system.submit(affinity_rules=GPU)
        status, body, _ = await system.call("POST", f"/workloads/{waiting}/replay")
        assert (status, body["error"]["code"]) == (400, "INVALID_STATE")
        assert body["error"]["details"]["current_status"] == "PENDING"
        for given, field in (
            ({"priority": 1001}, "priority"),
            ({"from_checkpoint": 3}, "from_checkpoint"),
            ({"from_checkpoint": 2**31}, "from_checkpoint"),
            ({"input_params": 1}, "input_params"),
            ({"unknown": 1}, "unknown"),
        ):
            status, body, _ = await system.call("POST", f"/workloads/{original}/replay", given)
            assert (status, body["error"]["details"]["field"]) == (400, field), body
        status, body, _ = await system.call("POST", "/tokens", {"workload_id": original})
        status, body, _ = await system.call("POST", f"/workloads/{original}/replay", key=body["token"])
        assert (status, body["error"]["code"]) == (403, "FORBIDDEN")
    assert await origins(system) == []


async def test_a_replay_with_a_key_is_made_once(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        (original, other) = await failed(system, worker, 2)
        key: Any = {"Idempotency_Key": "again-1"}
        _, first, _ = await system.call("POST", f"/workloads/{original}/replay", {"priority": 5}, **key)
        status, again, headers = await system.call("POST", f"/workloads/{original}/replay", {"priority": 5}, **key)
        assert (status, again) == (202, first)
        assert headers["Idempotent-Replayed"] == "true"
        for path, given in ((original, {"priority": 6}), (other, {"priority": 5})):
            status, body, _ = await system.call("POST", f"/workloads/{path}/replay", given, **key)
            assert (status, body["error"]["code"]) == (409, "CONFLICT")
    assert await origins(system) == [original]


async def test_a_replay_begins_at_a_checkpoint(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        original = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started(), messages.Progressed(30, None))
        await worker.checkpoint(ref, b'{"at": 1}')
        await worker.report(ref, messages.Progressed(60, None))
        await worker.checkpoint(ref, b'{"at": 2}')
        await worker.report(ref, messages.Failed("no disk", permanent=True))
        _, body, _ = await system.call("POST", f"/workloads/{original}/replay", {"from_checkpoint": 1})
        assignment = await worker.next_assignment()
        assert assignment.ref.workload_id == body["workload_id"]
        assert assignment.checkpoint_sequence == 1
        found = await system.get(body["workload_id"])
        assert (found["replayed_from"], found["from_checkpoint"]) == (original, 1)
        assert (found["checkpoint_sequence"], found["progress_percent"]) == (1, 30)
        mine = await worker.fetch_checkpoint(assignment.ref, 1)
        assert mine.sha256 == hashlib.sha256(b'{"at": 1}').digest()
        _, audit, _ = await system.call("GET", f"/workloads/{body['workload_id']}/audit")
        assert audit["events"][0]["details"]["from_checkpoint"] == 1


@pytest.mark.parametrize("how", ["replay", "fork"])
async def test_a_checkpoint_that_is_dropped_before_the_commit_is_missed(system: System, how: str) -> None:
    """The transaction that is to store it waits for the customer's counts meanwhile; not for more than a second."""
    worker = await system.worker()
    async with beating(worker):
        saved = [messages.CheckpointSaved(data, hashlib.sha256(data).digest()) for data in (b"1", b"2")]
        original = await ended(system, worker, *saved, messages.Failed("no disk", permanent=True))
        hung = await asyncpg.connect(system.database_url)
        first = f"FROM checkpoints WHERE workload_id = '{original}' AND sequence = 1"
        await hung.execute(f"CREATE TEMP TABLE kept AS SELECT * {first}")
        status = 503
        while status == 503:  # it waited for too long
            async with asyncio.timeout(30), hung.transaction():
                await hung.execute("SELECT FROM customer_usage WHERE customer_id = 'cust_a' FOR UPDATE")
                path = f"/workloads/{original}/{how}"
                asked = asyncio.create_task(system.call("POST", path, {"from_checkpoint": 1}))
                while not await hung.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                    pass
                await hung.execute(f"DELETE {first}")
            status, body, _ = await asked
            if status == 503:
                await hung.execute("INSERT INTO checkpoints SELECT * FROM kept")
        await hung.close()
        assert (status, body["error"]["code"]) == (400, "INVALID_INPUT"), body
        assert body["error"]["details"] == {"field": "from_checkpoint", "allowed": [2]}
        assert await origins(system) == []
        _, listed, _ = await system.call("GET", "/workloads")
        assert [each["workload_id"] for each in listed["workloads"]] == [original]


async def test_many_by_a_filter_page_by_page(system: System) -> None:
    worker = await system.worker(types=["count", "render"])
    async with beating(worker):
        originals = await failed(system, worker, 5)
        await failed(system, worker, 1, workload_type="render")
        await ended(system, worker, messages.Completed(b"{}"))
        wanted = {"filter": {"workload_type": "count"}, "limit": 2, "priority": 3}
        pages, cursor = [], None
        while True:
            body = wanted if cursor is None else wanted | {"cursor": cursor}
            status, page, _ = await system.call("POST", "/workloads/replay", body, Idempotency_Key=f"p-{cursor}")
            assert status == 202, page
            assert page["accepted"] == len(page["results"])
            pages.append([result["replayed_from"] for result in page["results"]])
            cursor = page["next_cursor"]
            assert page["has_more"] is (cursor is not None)
            if cursor is None:
                break
        assert pages == [originals[:2], originals[2:4], originals[4:]]
        made = page["results"][0]["workload_id"]
        assert (await system.get(made))["priority"] == 3
    assert await origins(system) == sorted(originals)


@cases(
    ("body", "field"),
    [
        ({"filter": {"status": "RUNNING"}}, "filter.status"),
        ({"filter": {}, "limit": 0}, "limit"),
        ({"filter": {}, "limit": 1001}, "limit"),
        ({"filter": {}, "cursor": "made up"}, "cursor"),
        ({}, "filter"),
    ],
)
async def test_wrong_filters(system: System, body: dict[str, Any], field: str) -> None:
    status, answer, _ = await system.call("POST", "/workloads/replay", body)
    assert (status, answer["error"]["details"]["field"]) == (400, field), answer


async def test_nothing_to_replay(system: System) -> None:
    status, body, _ = await system.call("POST", "/workloads/replay", FAILED, Idempotency_Key="none")
    assert (status, body) == (
        202,
        {"results": [], "accepted": 0, "rejected": 0, "has_more": False, "next_cursor": None},
    )


async def test_a_full_queue_ends_a_call_early_and_a_refused_one_does_not(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        originals = await failed(system, worker, 4)
    await supported(system)
    await worker.beat(leaving=True)
    status, body, _ = await system.call(
        "PATCH", "/admin/customers/cust_a", {"limits": {"max_queue_depth": 3}}, key="admin"
    )
    assert status == 200, body
    key: Any = {"Idempotency_Key": "full"}
    _, page, _ = await system.call("POST", "/workloads/replay", FAILED, **key)
    assert [result["replayed_from"] for result in page["results"]] == originals[:3]
    assert page["has_more"]
    _, same, headers = await system.call("POST", "/workloads/replay", FAILED, **key)
    assert (same, headers["Idempotent-Replayed"]) == (page, "true")
    more = FAILED | {"cursor": page["next_cursor"]}
    status, body, _ = await system.call("POST", "/workloads/replay", more)
    assert (status, body["error"]["details"]["max_queue_depth"]) == (503, 3)
    assert await origins(system) == originals[:3]


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_call_that_is_cut_off_at_its_commit_loses_none_and_doubles_none(
    database_url: str, nats_url: str, subject_prefix: str, arrives: bool
) -> None:
    async with (
        commit_cutter(database_url) as cutter,
        running_system(cutter.url, nats_url, subject_prefix, outcome_wait_seconds=5) as system,
    ):
        worker = await system.worker()
        async with beating(worker):
            originals = await failed(system, worker, 3)
        await supported(system)
        cutter.cut_next()
        key: Any = {"Idempotency_Key": "cut"}
        asked = asyncio.create_task(system.call("POST", "/workloads/replay", FAILED, **key))
        async with asyncio.timeout(20):
            await cutter.cut.wait()
            (cutter.arrive if arrives else cutter.drop).set()
            await asked
            while (await system.call("POST", "/workloads/replay", FAILED, **key))[0] != 202:
                pass
        assert await origins(system) == sorted(originals)


async def test_a_coordinator_that_is_killed_in_the_middle_loses_none_and_doubles_none(system: System) -> None:
    """It is killed while the transaction of the second of three calls waits; another coordinator goes on."""
    worker = await system.worker()
    async with beating(worker):
        originals = await failed(system, worker, 6)
    await supported(system)
    hung = await asyncpg.connect(system.database_url)
    async with asyncio.timeout(90), own_process(system) as (process, url):

        async def through_it(body: dict[str, Any], key: str) -> Any:
            headers = {"Authorization": f"Bearer {system.keys['cust_a']}", "Idempotency-Key": key}
            async with system.http.post(url + "/v1/workloads/replay", json=body, headers=headers) as response:
                return await response.json()

        wanted: dict[str, Any] = FAILED | {"limit": 2}
        first = await through_it(wanted, "k1")
        wanted |= {"cursor": first["next_cursor"]}
        async with hung.transaction():
            await hung.execute("SELECT FROM customer_usage WHERE customer_id = 'cust_a' FOR UPDATE")
            asked = asyncio.create_task(through_it(wanted, "k2"))
            while not await hung.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                pass
            process.kill()
            with pytest.raises(aiohttp.ClientError):
                await asked
    await hung.close()
    assert await origins(system) == originals[:2]
    _, second, _ = await system.call("POST", "/workloads/replay", wanted, Idempotency_Key="k2")
    _, again, _ = await system.call("POST", "/workloads/replay", wanted, Idempotency_Key="k2")
    assert again == second
    wanted |= {"cursor": second["next_cursor"]}
    _, third, _ = await system.call("POST", "/workloads/replay", wanted, Idempotency_Key="k3")
    assert not third["has_more"]
    done = [result["replayed_from"] for page in (first, second, third) for result in page["results"]]
    assert done == originals
    assert await origins(system) == sorted(originals)


async def test_grpc_does_the_same(system: System, calls: Calls) -> None:
    worker = await system.worker()
    async with beating(worker):
        originals = await failed(system, worker, 2)
        asked = pb.ReplayWorkloadRequest(workload_id=originals[0], priority=4)
        asked.input_params.update({"n": 3})
        one = await calls.call("ReplayWorkload", asked)
        found = await calls.get(one.workload_id)
        assert (found.replayed_from, found.priority) == (originals[0], 4)
        request = pb.ReplayWorkloadBatchRequest(limit=1)
        first = await calls.call("ReplayWorkloadBatch", request)
        assert [result.replayed_from for result in first.results] == originals[:1]
        assert (first.accepted, first.has_more) == (1, True)
        request.cursor = first.next_cursor
        second = await calls.call("ReplayWorkloadBatch", request)
        assert [result.replayed_from for result in second.results] == originals[1:]
        assert not second.has_more
