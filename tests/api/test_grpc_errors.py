"""What refused gRPC calls say: the status code, the details, and nothing of other customers."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import asyncpg
import grpc
import pytest
from google.rpc import error_details_pb2

from niyanta import errors
from niyanta.domain.api_keys import RANDOM_LENGTH, spell_key
from niyanta.errors import ApiError, InvalidInputError, InvalidStateError, ServiceUnavailableError
from niyanta.server.grpc.peers import source_address
from niyanta.server.grpc.status import metadata_of, safe_message, status_of
from niyanta.server.services.workloads import WorkloadService
from niyanta.wire import messages
from niyanta.wire.v1 import admin_service_pb2
from niyanta.wire.v1 import workload_service_pb2 as pb
from support.cases import cases
from support.grpc_calls import Calls, Refusal, connected, submission
from support.system import System, beating, running_system

Code = grpc.StatusCode
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ApiError)]
ABOUT_ONE = {
    "GetWorkload": pb.GetWorkloadRequest,
    "ExplainWorkload": pb.ExplainWorkloadRequest,
    "ReplayWorkload": pb.ReplayWorkloadRequest,
    "ForkWorkload": pb.ForkWorkloadRequest,
    "CancelWorkload": pb.CancelWorkloadRequest,
    "PauseWorkload": pb.PauseWorkloadRequest,
    "ResumeWorkload": pb.ResumeWorkloadRequest,
    "GetWorkloadLogs": pb.GetWorkloadLogsRequest,
    "ListCheckpoints": pb.ListCheckpointsRequest,
    "PinCheckpoint": pb.PinCheckpointRequest,
    "UnpinCheckpoint": pb.UnpinCheckpointRequest,
    "StreamWorkloadStatus": pb.StreamWorkloadStatusRequest,
}
REQUESTS: dict[str, Any] = {
    **{method: kind(workload_id="wl_none") for method, kind in ABOUT_ONE.items()},
    "SubmitWorkload": submission(),
    "UpdateWorkload": pb.UpdateWorkloadRequest(workload_id="wl_none", priority=1),
    "ReplayWorkloadBatch": pb.ReplayWorkloadBatchRequest(limit=1),
    "ListWorkloads": pb.ListWorkloadsRequest(),
    "ListWorkloadTypes": pb.ListWorkloadTypesRequest(),
    "ListFailures": pb.ListFailuresRequest(),
    "StreamWorkloadEvents": pb.StreamWorkloadEventsRequest(),
    "SubmitWorkloadBatch": pb.SubmitWorkloadBatchRequest(workloads=[submission()]),
    "CancelWorkloadBatch": pb.CancelWorkloadBatchRequest(workload_ids=["wl_none"]),
}
ABOUT_A_WORKER = {
    "GetWorker": admin_service_pb2.GetWorkerRequest,
    "DrainWorker": admin_service_pb2.DrainWorkerRequest,
    "GetWorkerDrain": admin_service_pb2.GetWorkerDrainRequest,
    "UndrainWorker": admin_service_pb2.UndrainWorkerRequest,
    "RemoveWorker": admin_service_pb2.RemoveWorkerRequest,
}
ADMIN_REQUESTS: dict[str, Any] = {
    **{method: kind(worker_id="w_none") for method, kind in ABOUT_A_WORKER.items()},
    "ListWorkers": admin_service_pb2.ListWorkersRequest(),
    "StreamAllEvents": admin_service_pb2.StreamAllEventsRequest(),
}
SERVICES = {
    "WorkloadService": (pb.DESCRIPTOR, REQUESTS),
    "AdminService": (admin_service_pb2.DESCRIPTOR, ADMIN_REQUESTS),
}


def test_every_method_is_looked_at_here() -> None:
    for name, (descriptor, requests) in SERVICES.items():
        assert {method.name for method in descriptor.services_by_name[name].methods} == set(requests)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_that_clients_can_read(kind: type[ApiError]) -> None:
    error = kind("what was wrong", details={"field": "a.b", "allowed": [1, 2]}, retry_after_seconds=1.5)
    found = status_of(error, "req_1")
    assert grpc.StatusCode[kind.grpc_code].value[0] == found.code
    info, request_info = error_details_pb2.ErrorInfo(), error_details_pb2.RequestInfo()
    assert found.details[0].Unpack(info)
    assert found.details[1].Unpack(request_info)
    assert (info.reason, info.domain) == (kind.code, "niyanta")
    assert dict(info.metadata) == {"field": "a.b", "allowed": "[1,2]"}
    assert request_info.request_id == "req_1"


@pytest.mark.parametrize(
    "error",
    [
        InvalidInputError("ü" * 5000, details={"errors": [{"pointer": "/" + "p" * 400, "message": "m" * 300}] * 20}),
        InvalidInputError("m", details={"supported_types": ["t" * 90] * 5000, "field": "f" * 9000}),
        InvalidStateError(
            "\U0001f600" * 900, details={"current_status": "RUNNING", **{f"k{n}": "v" * 200 for n in range(99)}}
        ),
    ],
    ids=["violations", "long details", "many details"],
)
def test_a_status_never_outgrows_the_metadata(error: ApiError) -> None:
    size = sum(len(key) + len(value) for key, value in metadata_of(error, "r" * 100))
    assert size * 4 / 3 + len(safe_message(error).encode()) * 3 < 8000
    assert status_of(error, "r").details


async def test_without_good_credentials_nothing_is_answered(calls: Calls) -> None:
    for method, request in {**REQUESTS, **ADMIN_REQUESTS}.items():
        for key in (None, "", "nonsense", "nyt_cust_a_" + "x" * 32):
            refusal = await calls.refused(method, request, key=key)
            assert (refusal.code, refusal.reason) == (Code.UNAUTHENTICATED, "UNAUTHORIZED"), (method, key)
            assert refusal.metadata["x-request-id"] == refusal.details["RequestInfo"].request_id


async def test_credentials_are_looked_at_before_the_request(calls: Calls) -> None:
    good = [(method, "cust_a") for method in REQUESTS] + [(method, "admin") for method in ADMIN_REQUESTS]
    for method, known in good:
        for key, code in ((None, Code.UNAUTHENTICATED), (known, Code.INVALID_ARGUMENT)):
            refusal = await damaged(calls, method, b"\xff\xff\xff", key)
            assert refusal.code is code, method


async def damaged(calls: Calls, method: str, raw: bytes, key: str | None = "cust_a") -> Refusal:
    """The refusal of bytes that are no message."""
    service = "AdminService" if method in ADMIN_REQUESTS else "WorkloadService"
    path = f"/niyanta.v1.{service}/{method}"
    options = {"metadata": calls.metadata(key, {}), "timeout": 20}
    if method.startswith("Stream"):
        return await calls.ended(calls.channel.unary_stream(path)(raw, **options))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await calls.channel.unary_unary(path)(raw, **options)
    return Refusal.of(caught.value)


@cases(
    "raw",
    [b"\x0a\x02\xff\xfe", b"\x0a\xff", b"\x12\x0a" * 60 + b"\x00"],
)
async def test_damaged_requests_are_the_callers_fault(calls: Calls, raw: bytes) -> None:
    refusal = await damaged(calls, "SubmitWorkload", raw)
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "INVALID_INPUT")


async def test_a_foreign_workload_is_exactly_as_missing_as_one_that_never_was(system: System, calls: Calls) -> None:
    await system.worker()
    foreign = await calls.submit({}, key="cust_b")
    for method, kind in ABOUT_ONE.items():
        missing = await calls.refused(method, kind(workload_id="wl_01h000000000000000000000000"))
        assert (missing.code, missing.reason) == (Code.NOT_FOUND, "NOT_FOUND")
        for workload_id in (foreign, "wl_none", "a b", "../x", "x" * 101, "nul\0", "ü"):
            other = await calls.refused(method, kind(workload_id=workload_id))
            assert other.without_id() == missing.without_id(), (method, workload_id)
    assert (await system.get(foreign, "cust_b"))["version"] <= 2


async def test_an_id_is_needed(calls: Calls) -> None:
    for method, kind in ABOUT_ONE.items():
        refusal = await calls.refused(method, kind())
        assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, ["workload_id"])


async def test_what_is_missing_is_told_before_what_is_wrong(system: System, calls: Calls) -> None:
    await system.worker()
    mine = await calls.submit({})
    reason = "x" * 1001
    refusal = await calls.refused("CancelWorkload", pb.CancelWorkloadRequest(workload_id="wl_none", reason=reason))
    assert refusal.code is Code.NOT_FOUND
    refusal = await calls.refused("CancelWorkload", pb.CancelWorkloadRequest(workload_id=mine, reason=reason))
    assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, ["reason"])
    assert (await system.get(mine))["status"] != "CANCELLED"


WRONG = [
    (pb.SubmitWorkloadRequest(workload_type="count"), "input_params"),
    (submission(workload_type=""), "workload_type"),
    (submission(workload_type="nope"), "workload_type"),
    (submission(priority=1001), "priority"),
    (submission(priority=-1), "priority"),
    (submission(timeout_seconds=-5), "timeout_seconds"),
    (submission(timeout_seconds=2_592_001), "timeout_seconds"),
    (submission({"a": {"b": ["x\0"]}}), "input_params.a.b[0]"),
    (
        submission(affinity_rules={"soft_affinity": {"worker_id": "x" * 300}}),
        "affinity_rules.soft_affinity.worker_id",
    ),
]


async def test_wrong_submissions_are_named(system: System, calls: Calls) -> None:
    await system.worker()
    for request, field in WRONG:
        refusal = await calls.refused("SubmitWorkload", request)
        assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "INVALID_INPUT")
        assert refusal.fields == [field]
        assert refusal.info["field"] == field


async def test_input_that_does_not_fit_the_schema_names_each_place(system: System, calls: Calls) -> None:
    connection = await asyncpg.connect(system.database_url)
    schema = '{"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}}'
    await connection.execute(
        "INSERT INTO workload_configs (customer_id, config_id, workload_type, input_schema)"
        " VALUES ('cust_a', 'wlcfg_1', 'count', $1)",
        schema,
    )
    await connection.close()
    await calls.submit({"n": 5.0})
    refusal = await calls.refused("SubmitWorkload", submission({"n": 1.5, "s": 1}))
    assert refusal.code is Code.INVALID_ARGUMENT
    assert sorted(refusal.fields) == ["/input_params/n", "/input_params/s"]


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_bad_idempotency_keys(system: System, calls: Calls, key: str) -> None:
    await system.worker()
    refusal = await calls.refused("SubmitWorkload", submission(), idempotency_key=key)
    assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, ["Idempotency-Key"])


async def test_moves_that_the_state_does_not_allow(system: System, calls: Calls) -> None:
    workload_id = await pending(system, calls)
    for method, status in (("PauseWorkload", "PENDING"), ("ResumeWorkload", "PENDING"), ("CancelWorkload", "")):
        request = ABOUT_ONE[method](workload_id=workload_id)
        if method == "CancelWorkload":
            await calls.call(method, request)
            status = "CANCELLED"
        refusal = await calls.refused(method, request)
        assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "INVALID_STATE")
        assert refusal.info == {"current_status": status}
        (violation,) = refusal.details["PreconditionFailure"].violations
        assert (violation.type, violation.subject) == ("current_status", status)


async def pending(system: System, calls: Calls) -> str:
    """A workload that no worker suits."""
    await system.worker()
    return await calls.submit({}, affinity_rules={"hard_affinity": {"worker_id": "nobody"}})


async def test_too_many_calls(system: System, calls: Calls) -> None:
    await system.customers.create_customer("Slow", "cust_slow", "free")
    key = (await system.customers.create_key("cust_slow", "test"))[1]
    request = pb.ListWorkloadsRequest()
    answered = 0
    with contextlib.suppress(grpc.aio.AioRpcError):
        while answered < 50:
            await calls.call("ListWorkloads", request, key=key)
            answered += 1
    assert answered < 50
    refusal = await calls.refused("ListWorkloads", request, key=key)
    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "RATE_LIMITED")
    delay = refusal.details["RetryInfo"].retry_delay
    assert delay.seconds + delay.nanos > 0
    assert refusal.metadata["x-ratelimit-limit"] == "1"
    assert refusal.metadata["x-ratelimit-remaining"] == "0"
    # The limit is told before what is wrong with the request.
    assert (await damaged(calls, "GetWorkload", b"\xff", key)).code is Code.RESOURCE_EXHAUSTED


async def test_a_full_queue(system: System, calls: Calls) -> None:
    await system.customers.create_customer("Small", "cust_small", "free")
    key = (await system.customers.create_key("cust_small", "test", "admin"))[1]  # admin keys aren't counted
    await system.worker()
    items = [submission(affinity_rules={"hard_affinity": {"worker_id": "nobody"}})] * 51
    answer = await calls.call("SubmitWorkloadBatch", pb.SubmitWorkloadBatchRequest(workloads=items), key=key)
    assert (answer.accepted, answer.rejected) == (50, 1)
    assert answer.results[50].error.code == "SERVICE_UNAVAILABLE"
    refusal = await calls.refused("SubmitWorkload", submission(), key=key)
    assert (refusal.code, refusal.reason) == (Code.UNAVAILABLE, "SERVICE_UNAVAILABLE")
    assert refusal.info == {"current_queue_depth": "50", "max_queue_depth": "50"}
    assert refusal.details["RetryInfo"].retry_delay.seconds == 5


async def test_a_suspended_customer_is_refused(system: System, calls: Calls) -> None:
    await suspend(system)
    for method, request in REQUESTS.items():
        refusal = await calls.refused(method, request)
        assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "FORBIDDEN"), method


async def suspend(system: System) -> None:
    connection = await asyncpg.connect(system.database_url)
    await connection.execute("UPDATE customers SET status = 'suspended' WHERE customer_id = 'cust_a'")
    await connection.close()


async def revoke(system: System) -> None:
    connection = await asyncpg.connect(system.database_url)
    await connection.execute("UPDATE api_keys SET revoked_at = now() WHERE customer_id = 'cust_a'")
    await connection.close()


@pytest.mark.parametrize(
    ("act", "code"), [(suspend, Code.PERMISSION_DENIED), (revoke, Code.UNAUTHENTICATED)], ids=["suspended", "revoked"]
)
async def test_an_open_stream_ends_soon_after_its_credentials(
    system: System, calls: Calls, act: Any, code: grpc.StatusCode
) -> None:
    workload_id = await pending(system, calls)
    stream = calls.stream(workload_id)
    await stream.read()
    await act(system)
    async with asyncio.timeout(20):
        assert (await calls.ended(stream)).code is code


async def test_a_defect_is_logged_and_not_told(
    system: System, calls: Calls, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(WorkloadService, "get", broken)
    request = pb.GetWorkloadRequest(workload_id="wl_1")
    refusal = await calls.refused("GetWorkload", request, x_request_id="my-id")
    assert (refusal.code, refusal.reason) == (Code.INTERNAL, "INTERNAL_ERROR")
    assert refusal.details["RequestInfo"].request_id == "my-id"
    assert "secret" not in str(refusal)
    (record,) = [record for record in caplog.records if record.message == "grpc.request_failed"]
    assert record.__dict__["request_id"] == "my-id"


async def test_a_dependency_that_is_away(system: System, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> None:
        raise ServiceUnavailableError("The database is away", retry_after_seconds=1)

    monkeypatch.setattr(WorkloadService, "get", away)
    refusal = await calls.refused("GetWorkload", pb.GetWorkloadRequest(workload_id="wl_1"))
    assert refusal.code is Code.UNAVAILABLE
    assert refusal.details["RetryInfo"].retry_delay.seconds == 1


async def test_a_pause_without_a_checkpoint_is_unavailable(system: System, calls: Calls) -> None:
    worker = await system.worker()
    async with beating(worker):
        workload_id = await calls.submit({})
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started())
        refusal = await calls.refused("PauseWorkload", pb.PauseWorkloadRequest(workload_id=workload_id))
        assert refusal.code is Code.UNAVAILABLE
        assert refusal.info["waited_seconds"] == "1.0"
        assert (await system.get(workload_id))["status"] == "RUNNING"


async def test_a_request_beyond_every_limit(database_url: str, nats_url: str, subject_prefix: str) -> None:
    """The transport refuses what no method takes, before it is in memory."""
    async with (
        running_system(database_url, nats_url, subject_prefix, max_batch_body_bytes=2 << 20) as system,
        connected(system.coordinator, system.keys, ("grpc.max_send_message_length", -1)) as calls,
    ):
        refusal = await damaged(calls, "SubmitWorkloadBatch", b"\0" * (4 << 20))
        assert refusal.code is Code.RESOURCE_EXHAUSTED
        assert refusal.details == {}


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:40000", "192.0.2.1"),
        ("ipv6:%5B2001:db8::1%5D:40000", "2001:db8::1"),
        ("ipv6:[2001:db8::1]:40000", "2001:db8::1"),
        ("unix:", ""),
    ],
)
def test_the_callers_address_is_known_without_its_port(peer: str, address: str) -> None:
    assert source_address(peer) == address


async def test_guessing_keys_is_slowed_down_for_its_address(calls: Calls) -> None:
    await calls.call("ListWorkloads", pb.ListWorkloadsRequest())
    seen = set()
    for number in range(80):
        guess = spell_key("cust_a", f"{number:0{RANDOM_LENGTH}}")
        seen.add((await calls.refused("ListWorkloads", pb.ListWorkloadsRequest(), key=guess)).code)
    assert seen == {Code.UNAUTHENTICATED, Code.RESOURCE_EXHAUSTED}
    await calls.call("ListWorkloads", pb.ListWorkloadsRequest())  # a key that was good before still comes in


async def test_calls_are_counted_by_method_and_code(system: System, calls: Calls) -> None:
    await calls.call("ListWorkloads", pb.ListWorkloadsRequest())
    await calls.refused("GetWorkload", pb.GetWorkloadRequest(workload_id="wl_none"))
    await calls.refused("StreamWorkloadStatus", pb.StreamWorkloadStatusRequest(workload_id="wl_none"))
    async with system.http.get(
        system.url("/metrics"), headers={"Authorization": f"Bearer {system.keys['admin']}"}
    ) as answer:
        text = await answer.text()
    for method, code in (
        ("ListWorkloads", "OK"),
        ("GetWorkload", "NOT_FOUND"),
        ("StreamWorkloadStatus", "NOT_FOUND"),
    ):
        assert f'niyanta_grpc_call_duration_seconds_count{{code="{code}",method="{method}"}} 1.0' in text


async def test_unknown_methods(calls: Calls) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await calls.channel.unary_unary("/niyanta.v1.WorkloadService/Nothing")(b"")
    assert caught.value.code() is Code.UNIMPLEMENTED
