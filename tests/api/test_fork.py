"""Forks: new workloads that begin at a checkpoint of another, whatever that one does."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import asyncpg
import grpc
import pytest

from niyanta.wire import messages
from niyanta.wire.messages import AttemptRef
from niyanta.wire.v1 import workload_service_pb2 as pb
from support.commit_cutter import commit_cutter
from support.grpc_calls import Calls
from support.scripted_worker import ScriptedWorker
from support.system import System, beating, own_process, running_system, supported

GPU = {"hard_affinity": {"worker_tags": {"hardware": "gpu"}}}


async def saved(system: System, worker: ScriptedWorker, count: int = 2, **fields: Any) -> AttemptRef:
    """One that runs and has saved so many checkpoints, the first at 10 %."""
    await system.submit(**fields)
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, messages.Started())
    for number in range(1, count + 1):
        await worker.report(ref, messages.Progressed(10 * number, None))
        await worker.checkpoint(ref, f'{{"at": {number}}}'.encode())
    return ref


async def forks_of(system: System, workload_id: str) -> list[str]:
    _, body, _ = await system.call("GET", "/workloads?limit=100")
    found = [await system.get(each["workload_id"]) for each in body["workloads"]]
    return [each["workload_id"] for each in found if each["forked_from"] == workload_id]


async def test_a_fork_begins_at_a_checkpoint_while_the_original_goes_on(system: System) -> None:
    worker = await system.worker(tags={"hardware": "gpu"})
    async with beating(worker):
        ref = await saved(system, worker, input_params={"n": 1}, priority=7, affinity_rules=GPU, timeout_seconds=60)
        before = await system.get(ref.workload_id)
        status, body, headers = await system.call(
            "POST", f"/workloads/{ref.workload_id}/fork", {"from_checkpoint": 1, "input_params": {"n": 2}}
        )
        assert status == 202, body
        made = body["workload_id"]
        assert (body["status"], headers["Location"]) == ("PENDING", f"/v1/workloads/{made}")
        assignment = await worker.next_assignment()
        assert (assignment.ref.workload_id, assignment.checkpoint_sequence) == (made, 1)
        assert (await worker.fetch_checkpoint(assignment.ref, 1)).data == b'{"at": 1}'
        found = await system.get(made)
        assert (found["forked_from"], found["from_checkpoint"], found["replayed_from"]) == (ref.workload_id, 1, None)
        assert (found["progress_percent"], found["input_params"]) == (10, {"n": 2})
        same = ("workload_type", "priority", "affinity_rules", "timeout_seconds")
        assert {name: found[name] for name in same} == {name: before[name] for name in same}
        _, audit, _ = await system.call("GET", f"/workloads/{made}/audit")
        facts = audit["events"][0]["details"]
        assert (facts["forked_from"], facts["from_checkpoint"]) == (ref.workload_id, 1)

        # Without a body: at the newest, all as it was. The original runs on, and ends by itself.
        _, body, _ = await system.call("POST", f"/workloads/{ref.workload_id}/fork")
        found = await system.get(body["workload_id"])
        assert (found["from_checkpoint"], found["input_params"], found["forked_from"]) == (
            2,
            {"n": 1},
            ref.workload_id,
        )
        assert (await system.get(ref.workload_id))["version"] == before["version"]
        await worker.report(ref, messages.Completed(b"{}"))
        await system.until(ref.workload_id, "COMPLETED")
        status, body, _ = await system.call("POST", f"/workloads/{ref.workload_id}/fork", {"priority": 9})
        assert (status, (await system.get(body["workload_id"]))["priority"]) == (202, 9)


async def test_a_fork_of_a_fork_goes_on_from_its_own_checkpoints(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        ref = await saved(system, worker)
        _, body, _ = await system.call("POST", f"/workloads/{ref.workload_id}/fork")
        first = body["workload_id"]
        _, body, _ = await system.call("POST", f"/workloads/{first}/fork")
        found = await system.get(body["workload_id"])
        assert (found["forked_from"], found["from_checkpoint"], found["checkpoint_sequence"]) == (first, 1, 1)


async def test_what_cannot_be_forked(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        ref = await saved(system, worker)
        waiting = await system.submit(affinity_rules=GPU)
        cases: list[tuple[str, Any, str, Any]] = [
            (waiting, None, "from_checkpoint", []),
            (ref.workload_id, {"from_checkpoint": 3}, "from_checkpoint", [2, 1]),
            (ref.workload_id, {"from_checkpoint": 0}, "from_checkpoint", [2, 1]),
            (ref.workload_id, {"from_checkpoint": 2**31}, "from_checkpoint", [2, 1]),
            (ref.workload_id, {"from_checkpoint": -(10**30)}, "from_checkpoint", None),
            (ref.workload_id, {"priority": 1001}, "priority", None),
            (ref.workload_id, {"unknown": 1}, "unknown", None),
        ]
        for workload_id, given, field, allowed in cases:
            status, body, _ = await system.call("POST", f"/workloads/{workload_id}/fork", given)
            assert (status, body["error"]["details"]["field"]) == (400, field), body
            assert allowed is None or body["error"]["details"]["allowed"] == allowed
        assert (await system.call("POST", f"/workloads/{ref.workload_id}/fork", key="cust_b"))[0] == 404
        _, body, _ = await system.call("POST", "/tokens", {"workload_id": ref.workload_id})
        status, body, _ = await system.call("POST", f"/workloads/{ref.workload_id}/fork", key=body["token"])
        assert (status, body["error"]["code"]) == (403, "FORBIDDEN")
        assert await forks_of(system, ref.workload_id) == []


async def test_grpc_does_the_same(system: System, calls: Calls) -> None:
    worker = await system.worker()
    async with beating(worker):
        ref = await saved(system, worker, input_params={"n": 1}, priority=7)
        asked = pb.ForkWorkloadRequest(workload_id=ref.workload_id, from_checkpoint=1, priority=0)
        asked.input_params.update({"n": 2})
        made = await calls.call("ForkWorkload", asked, idempotency_key="once")
        assert (made.status, made.version) == (pb.WORKLOAD_STATUS_PENDING, 1)
        found = await calls.get(made.workload_id)
        assert (found.forked_from, found.from_checkpoint, found.replayed_from) == (ref.workload_id, 1, "")
        assert (found.priority, dict(found.input_params), found.progress_percent) == (0, {"n": 2}, 10)
        assert not found.HasField("seconds_since_checkpoint")
        assert 0 <= (await calls.get(ref.workload_id)).seconds_since_checkpoint < 60

        again = calls.begin("ForkWorkload", asked, idempotency_key="once")
        assert (await again) == made
        assert dict(await again.initial_metadata())["idempotent-replayed"] == "true"
        asked.priority = 1
        refusal = await calls.refused("ForkWorkload", asked, idempotency_key="once")
        assert refusal.code is grpc.StatusCode.ALREADY_EXISTS

        newest = await calls.call("ForkWorkload", pb.ForkWorkloadRequest(workload_id=ref.workload_id))
        found = await calls.get(newest.workload_id)
        assert (found.from_checkpoint, found.priority, dict(found.input_params)) == (2, 7, {"n": 1})
        assert len(await forks_of(system, ref.workload_id)) == 2


async def test_what_cannot_be_forked_over_grpc(system: System, calls: Calls) -> None:
    worker = await system.worker()
    async with beating(worker):
        ref = await saved(system, worker)
        waiting = await system.submit(affinity_rules=GPU)
        cases: list[tuple[dict[str, Any], str]] = [
            ({"workload_id": waiting}, "from_checkpoint"),
            ({"workload_id": ref.workload_id, "from_checkpoint": 3}, "from_checkpoint"),
            ({"workload_id": ref.workload_id, "from_checkpoint": -1}, "from_checkpoint"),
            ({"workload_id": ref.workload_id, "from_checkpoint": 2**62}, "from_checkpoint"),
            ({"workload_id": ref.workload_id, "priority": 1001}, "priority"),
            ({"workload_id": ref.workload_id, "priority": -1}, "priority"),
            ({}, "workload_id"),
        ]
        for fields, field in cases:
            refusal = await calls.refused("ForkWorkload", pb.ForkWorkloadRequest(**fields))
            assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field]), fields
        for fields, _ in cases[1:-1]:  # nothing wrong is told of what is another's
            refusal = await calls.refused("ForkWorkload", pb.ForkWorkloadRequest(**fields), key="cust_b")
            assert refusal.code is grpc.StatusCode.NOT_FOUND, fields
        _, body, _ = await system.call("POST", "/tokens", {"workload_id": ref.workload_id})
        request = pb.ForkWorkloadRequest(workload_id=ref.workload_id)
        _, reader, _ = await system.call("POST", "/tokens", {"scopes": ["workloads:read"]})
        for key in (body["token"], reader["token"]):
            refusal = await calls.refused("ForkWorkload", request, key=key)
            assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
        assert await forks_of(system, ref.workload_id) == []


async def test_a_fork_with_a_key_is_made_once(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        ref = await saved(system, worker, 1)
        key: Any = {"Idempotency_Key": "once"}
        _, first, _ = await system.call("POST", f"/workloads/{ref.workload_id}/fork", **key)
        await worker.checkpoint(ref, b"{}")  # what the newest is has changed, and what was asked for has not
        status, again, headers = await system.call("POST", f"/workloads/{ref.workload_id}/fork", **key)
        assert (status, again, headers["Idempotent-Replayed"]) == (202, first, "true")
        status, body, _ = await system.call("POST", f"/workloads/{ref.workload_id}/fork", {"priority": 1}, **key)
        assert (status, body["error"]["code"]) == (409, "CONFLICT")
        assert await forks_of(system, ref.workload_id) == [first["workload_id"]]


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_fork_that_is_cut_off_at_its_commit_is_neither_lost_nor_doubled(
    database_url: str, nats_url: str, subject_prefix: str, arrives: bool
) -> None:
    async with (
        commit_cutter(database_url) as cutter,
        running_system(cutter.url, nats_url, subject_prefix, outcome_wait_seconds=5) as system,
    ):
        worker = await system.worker()
        async with beating(worker):
            ref = await saved(system, worker)
            await worker.report(ref, messages.Failed("no disk", permanent=True))
        await supported(system)
        cutter.cut_next()
        key: Any = {"Idempotency_Key": "cut"}
        path = f"/workloads/{ref.workload_id}/fork"
        asked = asyncio.create_task(system.call("POST", path, {"from_checkpoint": 1}, **key))
        async with asyncio.timeout(20):
            await cutter.cut.wait()
            (cutter.arrive if arrives else cutter.drop).set()
            await asked
            while (answer := await system.call("POST", path, {"from_checkpoint": 1}, **key))[0] != 202:
                pass
        made = answer[1]["workload_id"]
        assert await forks_of(system, ref.workload_id) == [made]
        assert (await system.get(made))["checkpoint_sequence"] == 1


async def test_a_coordinator_that_is_killed_while_it_forks_loses_none_and_doubles_none(system: System) -> None:
    """It is killed while the transaction waits that is to store the fork; another coordinator is asked again."""
    worker = await system.worker()
    async with beating(worker):
        ref = await saved(system, worker)
        await worker.report(ref, messages.Failed("no disk", permanent=True))
    await supported(system)
    path, wanted = f"/workloads/{ref.workload_id}/fork", {"from_checkpoint": 1}
    hung = await asyncpg.connect(system.database_url)
    async with asyncio.timeout(90), own_process(system) as (process, url):

        async def through_it() -> None:
            headers = {"Authorization": f"Bearer {system.keys['cust_a']}", "Idempotency-Key": "killed"}
            async with system.http.post(url + "/v1" + path, json=wanted, headers=headers) as response:
                await response.read()

        async with hung.transaction():
            await hung.execute("SELECT FROM customer_usage WHERE customer_id = 'cust_a' FOR UPDATE")
            asked = asyncio.create_task(through_it())
            while not await hung.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                pass
            process.kill()
            with pytest.raises(aiohttp.ClientError):
                await asked
    await hung.close()
    assert await forks_of(system, ref.workload_id) == []
    key: Any = {"Idempotency_Key": "killed"}
    _, first, _ = await system.call("POST", path, wanted, **key)
    _, again, _ = await system.call("POST", path, wanted, **key)
    assert again == first
    assert await forks_of(system, ref.workload_id) == [first["workload_id"]]
    assert (await system.get(first["workload_id"]))["checkpoint_sequence"] == 1
