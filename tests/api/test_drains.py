"""Drains that move: what runs goes on elsewhere from its next checkpoint, and the report says what became of it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import grpc
import pytest

from niyanta.server.store.workloads import WorkloadStore
from niyanta.wire import messages
from niyanta.wire.messages import AttemptRef
from niyanta.wire.v1 import admin_service_pb2 as pb
from niyanta.wire.v1 import workload_service_pb2 as workload_pb
from support.grpc_calls import Calls
from support.scripted_worker import ScriptedWorker
from support.system import System, beating, supported

ON_W1 = {"hard_affinity": {"worker_id": "w1"}}


async def drain(system: System, mode: str | None = "move", worker_id: str = "w1") -> Any:
    body = None if mode is None else {"mode": mode}
    status, answer, _ = await system.call("POST", f"/admin/workers/{worker_id}/drain", body, key="admin")
    assert status == 200, answer
    return answer


async def report(system: System, worker_id: str = "w1") -> Any:
    status, answer, _ = await system.call("GET", f"/admin/workers/{worker_id}/drain", key="admin")
    assert status == 200, answer
    return answer


async def running(system: System, worker: ScriptedWorker, **fields: Any) -> AttemptRef:
    await system.submit(**fields)
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, messages.Started())
    return ref


async def moving(worker: ScriptedWorker, *refs: AttemptRef, seconds: float = 20.0) -> None:
    """Wait until the answers to its beats name these as moving, which holds up to a second, and no others."""
    async with asyncio.timeout(seconds):
        while sorted((await worker.beat(*refs)).moving or [], key=str) != sorted(refs, key=str):
            await asyncio.sleep(0.05)


async def test_what_runs_moves_at_its_next_checkpoint(system: System) -> None:
    worker = await system.worker("w1")
    ref = await running(system, worker)
    await worker.checkpoint(ref, b"{}")
    other = await system.worker("w2")
    async with beating(worker, other):
        answer = await drain(system)
        (found,) = answer["workloads"]
        assert (answer["status"], answer["mode"], answer["remaining"]) == ("DRAINING", "move", 1)
        assert answer["given_by"].startswith("key_")
        assert (found["workload_id"], found["customer_id"], found["attempt"]) == (ref.workload_id, "cust_a", 1)
        assert (found["status"], found["checkpoint_sequence"], found["moved_to"]) == ("RUNNING", 1, None)
        await moving(worker, ref)
        (found,) = (await report(system))["workloads"]
        assert (found["outcome"], found["reason"]) == ("moving", "it moves at its next checkpoint")

        await worker.checkpoint(ref, b"[]")
        await worker.report(ref, messages.Released("drained"))
        again = await other.next_assignment()
        assert (again.ref.workload_id, again.ref.generation, again.checkpoint_sequence) == (ref.workload_id, 2, 2)
        answer = await report(system)
        (found,) = answer["workloads"]
        assert (answer["remaining"], found["outcome"], found["reason"]) == (0, "moved", None)
        assert (found["moved_to"], found["checkpoint_sequence"], found["seconds_lost"]) == ("w2", 2, 0.0)
        assert (await worker.beat()).moving == []
        await other.report(again.ref, messages.Started(), messages.Completed(b"{}"))
        workload = await system.until(ref.workload_id, "COMPLETED")
        assert workload["retry_count"] == 0


@pytest.mark.parametrize("mode", ["finish", "move"])
async def test_an_assignment_that_is_under_way_while_its_worker_is_drained_is_no_empty_worker(
    system: System, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is told that nothing remains lets the machine go."""
    await supported(system)
    await system.submit()
    apply = WorkloadStore.apply
    drains: list[Any] = []

    async def drained_first(store: WorkloadStore, *args: Any, **options: Any) -> Any:
        if not drains:
            drains.append(await drain(system, mode))
        return await apply(store, *args, **options)

    monkeypatch.setattr(WorkloadStore, "apply", drained_first)
    worker = await system.worker("w1")
    ref = (await worker.next_assignment()).ref
    assert drains[0]["remaining"] == 0, "it was not assigned yet"
    answer = await report(system)
    assert (answer["remaining"], answer["workloads"][0]["workload_id"]) == (1, ref.workload_id)
    await worker.report(ref, messages.Started(), messages.Completed(b"{}"))
    await system.until(ref.workload_id, "COMPLETED")
    assert (await report(system))["remaining"] == 0


async def test_to_finish_is_what_a_drain_does_by_itself(system: System) -> None:
    worker, other = await system.worker("w1"), await system.worker("w2", types=["idle"])
    ref = await running(system, worker)
    async with beating(worker, other):
        answer = await drain(system, None)
        assert answer["mode"] == "finish"
        assert (await worker.beat(ref)).moving == []
        (found,) = (await report(system))["workloads"]
        assert (found["outcome"], found["reason"]) == ("running", None)
        await worker.report(ref, messages.Completed(b"{}"))
        answer = await report(system)
        (found,) = answer["workloads"]
        assert (answer["remaining"], found["outcome"], found["status"]) == (0, "finished", "COMPLETED")


async def test_what_nobody_else_takes_finishes_and_the_report_says_why(system: System) -> None:
    worker = await system.worker("w1", types=["count", "rare"])
    refs = [
        await running(system, worker),
        await running(system, worker, affinity_rules=ON_W1),
        await running(system, worker, workload_type="rare"),
    ]
    other = await system.worker("w2")
    async with beating(worker, other):
        await drain(system)
        await moving(worker, refs[0])
        found = {each["workload_id"]: each for each in (await report(system))["workloads"]}
        assert [found[ref.workload_id]["outcome"] for ref in refs] == ["moving", "running", "running"]
        assert "saved no checkpoint yet" in found[refs[0].workload_id]["reason"]
        for ref in refs[1:]:
            assert found[ref.workload_id]["reason"].startswith("no other live worker suits it")
        # The other is drained, too: nobody is left to go to.
        await drain(system, worker_id="w2")
        await moving(worker)
        assert {each["outcome"] for each in (await report(system))["workloads"]} == {"running"}


async def test_the_mode_holds_over_a_restart_and_undraining_lets_all_stay(system: System) -> None:
    worker, other = await system.worker("w1"), await system.worker("w2")
    async with beating(worker, other):
        ref = await running(system, worker, affinity_rules={"soft_affinity": {"worker_id": "w1"}})
        assert (await drain(system, "finish"))["mode"] == "finish"
        assert (await drain(system))["mode"] == "move"
        _, body, _ = await system.call("GET", "/admin/workers", key="admin")
        assert body["workers"][0]["standing_order"]["mode"] == "move"
        async with system.another_coordinator() as second:
            status, answer, _ = await system.call("GET", "/admin/workers/w1/drain", key="admin", via=second)
            assert (status, answer["mode"], answer["remaining"]) == (200, "move", 1)
        await moving(worker, ref)
        assert (await system.call("POST", "/admin/workers/w1/undrain", key="admin"))[0] == 200
        await moving(worker)
        status, body, _ = await system.call("GET", "/admin/workers/w1/drain", key="admin")
        assert (status, body["error"]["message"]) == (404, "No operator drains worker 'w1'")
        await worker.report(ref, messages.Completed(b"{}"))

        await drain(system)
        await worker.beat(leaving=True)
        worker.incarnation = "second"
        assert (await worker.register_again()).accepted
        reply = await worker.beat()
        assert (reply.draining, reply.moving) == (True, [])
        assert (await report(system))["mode"] == "move"


@pytest.mark.hasty
async def test_a_worker_that_dies_meanwhile_has_its_lost_seconds_told(system: System) -> None:
    worker = await system.worker("w1")
    ref = await running(system, worker)
    other = await system.worker("w2")
    async with beating(other):
        await drain(system)
        assert (await other.next_assignment(15)).ref.workload_id == ref.workload_id  # it fell silent
        (found,) = (await report(system))["workloads"]
        assert (found["outcome"], found["moved_to"]) == ("moved", "w2")
        assert found["reason"] == "it left without a checkpoint: worker_died"
        assert found["checkpoint_sequence"] is None
        assert 0.5 < found["seconds_lost"] < 15


async def test_what_a_customer_pauses_or_cancels_meanwhile(system: System) -> None:
    worker = await system.worker("w1")
    paused, cancelled = await running(system, worker), await running(system, worker)
    other = await system.worker("w2")
    async with beating(worker, other):
        await drain(system)
        await moving(worker, paused, cancelled)
        pausing = asyncio.create_task(system.call("POST", f"/workloads/{paused.workload_id}/pause"))
        assert isinstance(await command_of(worker, messages.PauseAttempt), messages.PauseAttempt)
        assert (await worker.checkpoint(paused, b"{}")).pause_granted
        await worker.report(paused, messages.Paused())
        assert (await pausing)[0] == 200
        await system.call("POST", f"/workloads/{cancelled.workload_id}/cancel")
        answer = await report(system)
        outcomes = {each["workload_id"]: (each["outcome"], each["status"]) for each in answer["workloads"]}
        assert outcomes == {
            paused.workload_id: ("paused", "PAUSED"),
            cancelled.workload_id: ("finished", "CANCELLED"),
        }
        assert answer["remaining"] == 0


async def command_of(worker: ScriptedWorker, kind: type[Any]) -> Any:
    """The next command of a kind."""
    while not isinstance(command := await worker.next_command(), kind):
        pass
    return command


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/admin/workers/w1/drain", {"mode": "run"}, 400, "mode"),
        ("/admin/workers/w1/drain", {"mode": 1}, 400, "mode"),
        ("/admin/workers/w1/drain", {"how": "move"}, 400, "how"),
        ("/admin/workers/nobody/drain", {"mode": "move"}, 404, None),
    ],
)
async def test_what_is_refused(system: System, path: str, body: Any, status: int, field: str | None) -> None:
    worker = await system.worker("w1")
    answer = await system.call("POST", path, body, key="admin")
    assert answer[0] == status
    assert answer[1]["error"]["details"].get("field") == field
    assert not (await worker.beat()).draining
    for worker_id in ("w1", "nobody"):
        assert (await system.call("GET", f"/admin/workers/{worker_id}/drain", key="admin"))[0] == 404
    assert (await system.call("GET", "/admin/workers/w1/drain"))[0] == 403


async def grpc_drain(calls: Calls, mode: str | None) -> pb.WorkerDrain:
    request = pb.DrainWorkerRequest(worker_id="w1", mode=None if mode is None else f"DRAIN_MODE_{mode}")
    answer: pb.DrainWorkerResponse = await calls.call("DrainWorker", request, key="admin")
    assert (answer.worker_id, answer.status) == ("w1", pb.WORKER_STATUS_DRAINING)
    return answer.drain


async def grpc_report(calls: Calls) -> pb.WorkerDrain:
    answer = await calls.call("GetWorkerDrain", pb.GetWorkerDrainRequest(worker_id="w1"), key="admin")
    found: pb.WorkerDrain = answer.drain
    return found


async def test_grpc_drains_and_reports_as_rest_does(system: System, calls: Calls) -> None:
    worker, other = await system.worker("w1"), await system.worker("w2", types=["idle"])
    ref = await running(system, worker)
    async with beating(worker, other):
        drained = await grpc_drain(calls, None)
        assert (drained.mode, drained.remaining) == (pb.DRAIN_MODE_FINISH, 1)
        assert (await grpc_drain(calls, "FINISH")).mode == pb.DRAIN_MODE_FINISH
        assert (await worker.beat(ref)).moving == []
        drained = await grpc_drain(calls, "MOVE")
        assert (drained.mode, drained.workloads[0].outcome) == (pb.DRAIN_MODE_MOVE, pb.DRAIN_OUTCOME_RUNNING)
        assert drained.workloads[0].reason.startswith("no other live worker suits it")
        listed = await calls.call("GetWorker", pb.GetWorkerRequest(worker_id="w1"), key="admin")
        assert listed.worker.standing_order.mode == pb.DRAIN_MODE_MOVE
    third = await system.worker("w3")
    async with beating(worker, third):
        await moving(worker, ref)
        (found,) = (await grpc_report(calls)).workloads
        assert found.outcome == pb.DRAIN_OUTCOME_MOVING
        assert "saved no checkpoint yet" in found.reason
        await worker.checkpoint(ref, b"[]")
        await worker.report(ref, messages.Released("drained"))
        assert (await third.next_assignment()).ref.workload_id == ref.workload_id
        answer, (row,) = await grpc_report(calls), (await report(system))["workloads"]
        (found,) = answer.workloads
        assert (answer.worker_id, answer.remaining, answer.status) == ("w1", 0, pb.WORKER_STATUS_DRAINING)
        assert answer.given_by.startswith("key_")
        assert answer.given_at.ToJsonString() == (await report(system))["given_at"]
        assert (found.customer_id, found.workload_id, found.workload_type) == ("cust_a", ref.workload_id, "count")
        assert (found.attempt, found.moved_to, found.checkpoint_sequence) == (1, "w3", 1)
        assert pb.DrainOutcome.Name(found.outcome) == f"DRAIN_OUTCOME_{row['outcome'].upper()}"
        assert workload_pb.WorkloadStatus.Name(found.status) == f"WORKLOAD_STATUS_{row['status']}"
        assert (found.reason, found.seconds_lost) == ("", 0.0)


async def test_what_drains_grpc_refuses(system: System, calls: Calls) -> None:
    worker = await system.worker("w1")
    async with beating(worker):
        unknown = pb.DrainWorkerRequest(worker_id="w1")
        unknown.mode = cast("pb.DrainMode", 9)
        refusal = await calls.refused("DrainWorker", unknown, key="admin")
        assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["mode"])
        asked: dict[str, Any] = {
            "DrainWorker": pb.DrainWorkerRequest(worker_id="w1", mode="DRAIN_MODE_MOVE"),
            "GetWorkerDrain": pb.GetWorkerDrainRequest(worker_id="w1"),
        }
        for name, request in asked.items():
            for key in ("cust_a", "cust_b"):
                assert (await calls.refused(name, request, key=key)).code is grpc.StatusCode.PERMISSION_DENIED
        assert not (await worker.beat()).draining
        for worker_id in ("w1", "none", "no id", "\0"):  # w1 isn't drained
            request = pb.GetWorkerDrainRequest(worker_id=worker_id)
            assert (await calls.refused("GetWorkerDrain", request, key="admin")).code is grpc.StatusCode.NOT_FOUND
        refusal = await calls.refused("GetWorkerDrain", pb.GetWorkerDrainRequest(), key="admin")
        assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["worker_id"])
