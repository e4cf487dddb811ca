"""The methods of the gRPC service, each against the real system."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from niyanta.wire import messages
from niyanta.wire.messages import CancelAttempt, PauseAttempt, WithdrawPause
from niyanta.wire.v1 import workload_service_pb2 as pb
from support.grpc_calls import Calls, connected, rest_of, submission
from support.pace import pace
from support.scripted_worker import ScriptedWorker
from support.system import System, beating, running_system

S = pb.WorkloadStatus


@pytest.fixture
async def worker(system: System) -> AsyncIterator[ScriptedWorker]:
    """A worker that stays alive and does what the test says."""
    found = await system.worker()
    async with beating(found):
        yield found


async def start(calls: Calls, worker: ScriptedWorker, **fields: Any) -> tuple[str, messages.AttemptRef]:
    """A RUNNING workload."""
    workload_id = await calls.submit({}, **fields)
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, messages.Started())
    return workload_id, ref


def at(stamp: Any) -> str:
    """A Timestamp as REST writes it."""
    return str(stamp.ToDatetime(tzinfo=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"))


async def test_submit_answers_like_rest(system: System, calls: Calls, worker: ScriptedWorker) -> None:
    before = datetime.now(UTC)
    answer = await calls.call("SubmitWorkload", submission({"to": 3}, priority=7))
    assert (answer.status, answer.version) == (S.WORKLOAD_STATUS_PENDING, 1)
    assert abs((answer.created_at.ToDatetime(tzinfo=UTC) - before).total_seconds()) < 5
    stored = await system.get(answer.workload_id)
    assert (stored["priority"], stored["input_params"]) == (7, {"to": 3})
    assert at(answer.created_at) == stored["created_at"]


async def test_get_gives_every_field_that_rest_gives(system: System, calls: Calls, worker: ScriptedWorker) -> None:
    workload_id, ref = await start(calls, worker, timeout_seconds=600)
    await worker.report(ref, messages.Progressed(40, "so far"))
    await worker.checkpoint(ref, b'{"n": 1}')
    await worker.report(ref, messages.Completed(b'{"sum": 6}'))
    rest = await system.get(workload_id)
    found = MessageToDict(
        await calls.get(workload_id),
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
    assert found.keys() - rest.keys() == set()
    for name, value in rest.items():
        told: Any = found.get(name)
        if name == "status":
            told = told.removeprefix("WORKLOAD_STATUS_")
        elif isinstance(value, int) and isinstance(told, str):
            told = int(told)  # the JSON form of a 64-bit integer
        elif name.endswith(("_at", "_time")) and value is not None:
            moment = datetime.fromisoformat(told)
            told = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        assert told == value or (value is None and told in ("", None, 0, "0")), name
    assert found["checkpoint_sequence"] == "1"
    assert found["result_data"] == {"sum": 6.0}


async def test_get_says_why_a_workload_waits(calls: Calls, worker: ScriptedWorker) -> None:
    rules = pb.AffinityRules(hard_affinity=pb.AffinityConstraint(worker_tags={"hardware": "gpu"}))
    found = await calls.get(await calls.submit({}, affinity_rules=rules))
    assert found.status == S.WORKLOAD_STATUS_PENDING
    assert "hardware" in found.pending_reason


async def test_cancel(system: System, calls: Calls, worker: ScriptedWorker) -> None:
    workload_id, ref = await start(calls, worker)
    answer = await calls.call("CancelWorkload", pb.CancelWorkloadRequest(workload_id=workload_id, reason="enough"))
    assert answer.status == S.WORKLOAD_STATUS_CANCELLED
    command = await worker.next_command()
    assert isinstance(command, CancelAttempt)
    assert command.ref == ref
    stored = await system.get(workload_id)
    assert (at(answer.cancelled_at), answer.version) == (stored["cancelled_at"], stored["version"])
    assert (await calls.get(workload_id)).HasField("cancelled_at")
    _, audit, _ = await system.call("GET", f"/workloads/{workload_id}/audit")
    assert audit["events"][-1]["details"]["reason"] == "enough"


async def test_pause_and_resume(system: System, calls: Calls, worker: ScriptedWorker) -> None:
    workload_id, ref = await start(calls, worker)
    pausing = asyncio.ensure_future(calls.call("PauseWorkload", pb.PauseWorkloadRequest(workload_id=workload_id)))
    assert isinstance(await worker.next_command(), PauseAttempt)
    assert (await worker.checkpoint(ref, b"{}")).pause_granted
    await worker.report(ref, messages.Paused())
    paused = await pausing
    assert (paused.status, paused.checkpoint_sequence) == (S.WORKLOAD_STATUS_PAUSED, 1)
    stored = await system.get(workload_id)
    assert (at(paused.paused_at), paused.version) == (stored["paused_at"], stored["version"])
    assert (await calls.get(workload_id)).HasField("paused_at")
    resumed = await calls.call("ResumeWorkload", pb.ResumeWorkloadRequest(workload_id=workload_id))
    assert (resumed.status, resumed.checkpoint_sequence) == (S.WORKLOAD_STATUS_PENDING, 1)
    assert resumed.version == paused.version + 1
    assert (await worker.next_assignment()).checkpoint_sequence == 1


async def test_a_pause_waits_no_longer_than_the_deadline_and_is_withdrawn(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    seconds = 2 * pace()
    async with (
        running_system(database_url, nats_url, subject_prefix, pause_wait_seconds=60.0) as system,
        connected(system.coordinator, system.keys) as calls,
    ):
        worker = await system.worker()
        async with beating(worker):
            workload_id, ref = await start(calls, worker)
            request = pb.PauseWorkloadRequest(workload_id=workload_id)
            refusal = await calls.refused("PauseWorkload", request, timeout=seconds)
            assert refusal.code is grpc.StatusCode.UNAVAILABLE
            assert float(refusal.info["waited_seconds"]) < seconds
            assert refusal.details["RetryInfo"].retry_delay.seconds == 5
            while isinstance(command := await worker.next_command(), PauseAttempt):
                pass  # which is sent again, as nothing was heard
            assert isinstance(command, WithdrawPause)
            assert not (await worker.checkpoint(ref, b"{}")).pause_granted
            assert (await system.get(workload_id))["status"] == "RUNNING"


async def test_a_pause_whose_caller_leaves_is_withdrawn(calls: Calls, worker: ScriptedWorker) -> None:
    workload_id, ref = await start(calls, worker)
    call = calls.begin("PauseWorkload", pb.PauseWorkloadRequest(workload_id=workload_id))
    sent = asyncio.ensure_future(call.wait_for_connection())
    assert isinstance(await worker.next_command(), PauseAttempt)
    call.cancel()
    assert isinstance(await worker.next_command(), WithdrawPause)
    assert not (await worker.checkpoint(ref, b"{}")).pause_granted
    await asyncio.gather(sent, return_exceptions=True)


async def test_a_repeated_submission_is_answered_as_before(system: System, calls: Calls) -> None:
    await system.worker()
    key = str(uuid.uuid4())
    request = submission({"n": 5, "deep": {"l": [1, 2.5]}}, priority=3)
    first = calls.begin("SubmitWorkload", request, idempotency_key=key)
    again = calls.begin("SubmitWorkload", request, idempotency_key=key)
    assert {(await first).workload_id} == {(await again).workload_id}
    replayed = ["idempotent-replayed" in dict(await call.initial_metadata()) for call in (first, again)]
    assert sorted(replayed) == [False, True]
    other = await calls.refused("SubmitWorkload", submission({"n": 6}), idempotency_key=key)
    assert (other.code, other.reason) == (grpc.StatusCode.ALREADY_EXISTS, "CONFLICT")
    # The key means the same over REST, where the same body has the same integers.
    body = {"workload_type": "count", "input_params": {"deep": {"l": [1, 2.5]}, "n": 5}, "priority": 3}
    status, answer, headers = await system.call("POST", "/workloads", body, Idempotency_Key=key)
    assert (status, answer["workload_id"]) == (202, (await first).workload_id)
    assert headers["Idempotent-Replayed"] == "true"


async def test_metadata_of_an_answer(system: System, calls: Calls) -> None:
    await system.worker()
    call = calls.begin("SubmitWorkload", submission(), x_request_id="my-own.id_1")
    await call
    found = dict(await call.initial_metadata())
    assert found["x-request-id"] == "my-own.id_1"
    assert found["x-ratelimit-limit"] == "200"
    assert 0 <= int(found["x-ratelimit-remaining"]) < 1000
    assert int(found["x-ratelimit-reset"]) > 1_700_000_000
    insane = calls.begin("SubmitWorkload", submission(), x_request_id="a b")
    await insane
    assert dict(await insane.initial_metadata())["x-request-id"].startswith("req_")
    by_admin = calls.begin("SubmitWorkload", submission(), key="admin")
    await by_admin
    assert "x-ratelimit-limit" not in dict(await by_admin.initial_metadata())


async def test_a_stream_tells_each_state_in_order_and_ends(calls: Calls, worker: ScriptedWorker) -> None:
    workload_id = await calls.submit({})
    stream = calls.stream(workload_id)
    seen = [await stream.read()]
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, messages.Started())
    while seen[-1].status != S.WORKLOAD_STATUS_RUNNING:
        seen.append(await stream.read())
    await worker.report(ref, messages.Progressed(30, "a third"))
    while seen[-1].progress_percent != 30:
        seen.append(await stream.read())
    assert seen[-1].message == "a third"
    await worker.report(ref, messages.Completed(b'{"sum": 6, "l": [1, null]}'))
    seen += await rest_of(stream)
    versions = [update.version for update in seen]
    assert versions == sorted(set(versions))
    statuses = list(dict.fromkeys(S.Name(update.status).removeprefix("WORKLOAD_STATUS_") for update in seen))
    assert statuses[-3:] == ["SCHEDULED", "RUNNING", "COMPLETED"] or statuses[-2:] == ["RUNNING", "COMPLETED"]
    last = seen[-1]
    assert (last.status, last.progress_percent) == (S.WORKLOAD_STATUS_COMPLETED, 100)
    assert MessageToDict(last.result_data) == {"sum": 6.0, "l": [1.0, None]}
    assert {update.workload_id for update in seen} == {workload_id}
    assert last.generation == 1
    assert last.HasField("timestamp")
    assert await stream.code() is grpc.StatusCode.OK


async def test_a_stream_of_what_has_ended_is_one_update(calls: Calls, worker: ScriptedWorker) -> None:
    workload_id, ref = await start(calls, worker)
    await worker.report(ref, messages.Failed("no such file", permanent=True))
    (update,) = await rest_of(calls.stream(workload_id))
    assert (update.status, update.error_message) == (S.WORKLOAD_STATUS_FAILED, "no such file")
    assert (await calls.get(workload_id)).error_message == "no such file"


async def test_many_streams_of_one_connection_all_see_the_end(calls: Calls, worker: ScriptedWorker) -> None:
    workload_id, ref = await start(calls, worker)
    streams = [calls.stream(workload_id) for _ in range(400)]
    for first in await asyncio.gather(*(stream.read() for stream in streams)):
        assert first.status == S.WORKLOAD_STATUS_RUNNING
    await worker.report(ref, messages.Completed(b"{}"))
    for stream in streams:
        assert (await rest_of(stream))[-1].status == S.WORKLOAD_STATUS_COMPLETED


async def test_a_slow_reader_gets_the_newest_progress_and_every_state(
    system: System, calls: Calls, worker: ScriptedWorker
) -> None:
    """What doesn't fit on the way waits in one place, not in a queue that grows."""
    workload_id, ref = await start(calls, worker)
    async with connected(system.coordinator, system.keys, ("grpc.http2.bdp_probe", 0)) as slow:
        stream = slow.stream(workload_id, timeout=60)
        first = await stream.read()
        told = 200
        for number in range(told):
            await worker.report(ref, messages.Progressed(number % 100, str(number) + "x" * 8000))
        await worker.report(ref, messages.Completed(b"{}"))
        seen = [first, *await rest_of(stream)]
    versions = [update.version for update in seen]
    assert versions == sorted(set(versions))
    assert seen[-1].status == S.WORKLOAD_STATUS_COMPLETED
    assert len(seen) < told / 2


async def test_a_deadline_ends_a_stream(calls: Calls, worker: ScriptedWorker) -> None:
    workload_id, _ = await start(calls, worker)
    stream = calls.stream(workload_id, timeout=0.5)
    assert (await stream.read()).status == S.WORKLOAD_STATUS_RUNNING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_streams_are_counted_and_a_caller_that_leaves_makes_room(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    async with (
        running_system(database_url, nats_url, subject_prefix, grpc_max_streams_per_customer=2) as system,
        connected(system.coordinator, system.keys) as calls,
    ):
        await system.worker()
        workload_id = await calls.submit({})
        request = pb.StreamWorkloadStatusRequest(workload_id=workload_id)
        streams = [calls.stream(workload_id) for _ in range(2)]
        await asyncio.gather(*(stream.read() for stream in streams))
        refusal = await calls.refused("StreamWorkloadStatus", request)
        assert (refusal.code, refusal.info) == (grpc.StatusCode.RESOURCE_EXHAUSTED, {"max_streams": "2"})
        foreign = await calls.refused("StreamWorkloadStatus", request, key="cust_b")
        assert foreign.code is grpc.StatusCode.NOT_FOUND
        streams[0].cancel()
        async with asyncio.timeout(10):
            while not await opens(calls, workload_id):
                pass


async def opens(calls: Calls, workload_id: str) -> bool:
    """Whether there is room for one more stream."""
    stream = calls.stream(workload_id)
    try:
        await stream.read()
    except grpc.aio.AioRpcError:
        return False
    stream.cancel()
    return True


async def test_a_result_that_cannot_be_carried_ends_the_stream_with_a_reason(
    system: System, calls: Calls, worker: ScriptedWorker
) -> None:
    workload_id, ref = await start(calls, worker)
    stream = calls.stream(workload_id)
    await stream.read()
    await worker.report(ref, messages.Completed(json.dumps({"n": 2**53 + 1}).encode()))
    refusal = await calls.ended(stream)
    assert (refusal.code, refusal.info) == (grpc.StatusCode.FAILED_PRECONDITION, {"field": "result_data.n"})
    assert (await system.get(workload_id))["result_data"] == {"n": 2**53 + 1}
