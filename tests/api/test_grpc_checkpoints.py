"""Checkpoints and workload types over gRPC: what REST gives, and nothing of another customer's."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from niyanta.wire import messages
from niyanta.wire.v1 import workload_service_pb2 as pb
from support.grpc_calls import Calls
from support.system import System, beating


async def test_checkpoints_are_listed_and_pinned_as_over_rest(system: System, calls: Calls) -> None:
    worker = await system.worker()
    async with beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started(), messages.Progressed(40))
        for number in range(3):
            await worker.checkpoint(ref, b"%d" % number)
        listed = await calls.call("ListCheckpoints", pb.ListCheckpointsRequest(workload_id=workload_id))
        _, body, _ = await system.call("GET", f"/workloads/{workload_id}/checkpoints")
        assert [one.sequence for one in listed.checkpoints] == [3, 2, 1]
        for one, row in zip(listed.checkpoints, body["checkpoints"], strict=True):
            for name in set(row) - {"created_at"}:
                assert getattr(one, name) == (row[name] or type(getattr(one, name))()), name
            assert one.created_at.ToDatetime().isoformat(timespec="milliseconds") + "Z" == row["created_at"]
        for method, request, pinned in (
            ("PinCheckpoint", pb.PinCheckpointRequest(workload_id=workload_id, sequence=2), True),
            ("UnpinCheckpoint", pb.UnpinCheckpointRequest(workload_id=workload_id, sequence=2), False),
        ):
            assert (await calls.call(method, request)).checkpoint.pinned is pinned
            _, body, _ = await system.call("GET", f"/workloads/{workload_id}/checkpoints")
            assert [row["pinned"] for row in body["checkpoints"]] == [False, pinned, False]
        for sequence in (0, -1, 4, 2**40, 2**62):
            request = pb.PinCheckpointRequest(workload_id=workload_id, sequence=sequence)
            assert (await calls.refused("PinCheckpoint", request)).code == grpc.StatusCode.NOT_FOUND
        foreign: dict[str, Any] = {
            "ListCheckpoints": pb.ListCheckpointsRequest(workload_id=workload_id),
            "PinCheckpoint": pb.PinCheckpointRequest(workload_id=workload_id, sequence=2),
            "UnpinCheckpoint": pb.UnpinCheckpointRequest(workload_id=workload_id, sequence=2),
        }
        for name, asked in foreign.items():
            assert (await calls.refused(name, asked, key="cust_b")).code == grpc.StatusCode.NOT_FOUND


async def test_a_paused_workload_goes_on_from_a_checkpoint_that_is_named(system: System, calls: Calls) -> None:
    worker = await system.worker()
    async with beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started())
        for number in range(1, 4):
            await worker.checkpoint(ref, b"%d" % number)
        early = pb.ResumeWorkloadRequest(workload_id=workload_id, from_checkpoint=1)
        assert (await calls.refused("ResumeWorkload", early)).code is grpc.StatusCode.FAILED_PRECONDITION
        pausing = asyncio.create_task(
            calls.call("PauseWorkload", pb.PauseWorkloadRequest(workload_id=workload_id), timeout=20)
        )
        await worker.next_command()
        await worker.checkpoint(ref, b"4")
        await worker.report(ref, messages.Paused())
        assert (await pausing).checkpoint_sequence == 4
        for sequence in (5, -1, 2**62):
            request = pb.ResumeWorkloadRequest(workload_id=workload_id, from_checkpoint=sequence)
            refusal = await calls.refused("ResumeWorkload", request)
            assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["from_checkpoint"])
            refusal = await calls.refused("ResumeWorkload", request, key="cust_b")
            assert refusal.code is grpc.StatusCode.NOT_FOUND
        request = pb.ResumeWorkloadRequest(workload_id=workload_id, from_checkpoint=2)
        resumed = await calls.call("ResumeWorkload", request)
        assert (resumed.status, resumed.checkpoint_sequence) == (pb.WORKLOAD_STATUS_PENDING, 5)
        again = await worker.next_assignment()
        assert (await worker.fetch_checkpoint(again.ref, 5)).data == b"2"


async def test_types_are_told_with_their_schemas(system: System, calls: Calls) -> None:
    schema = {"type": "object", "properties": {"to": {"type": "integer", "maximum": 5}}}
    config = {"workload_type": "own", "input_schema": schema}
    assert (await system.call("POST", "/workload-configs", config))[0] == 201
    worker = await system.worker(types=["count"])
    async with beating(worker):
        _, body, _ = await system.call("GET", "/workload-types")
        found = (await calls.call("ListWorkloadTypes", pb.ListWorkloadTypesRequest())).workload_types
        assert [(one.workload_type, one.is_served) for one in found] == [("count", True), ("own", False)]
        for one, row in zip(found, body["workload_types"], strict=True):
            assert len(one.input_schemas) == len(row["input_schemas"])
            assert one.HasField("config_schema") is (row["config_schema"] is not None)
        assert found[1].config_schema["properties"]["to"]["maximum"] == 5
        others = (await calls.call("ListWorkloadTypes", pb.ListWorkloadTypesRequest(), key="cust_b")).workload_types
        assert [one.workload_type for one in others] == ["count"]
