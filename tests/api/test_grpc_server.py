"""The gRPC server itself: health, reflection, its port, its end; and the files that are made from its proto."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from niyanta.errors import ConfigurationError
from niyanta.server.grpc.methods import SERVICES
from niyanta.server.grpc.server import GrpcServer
from niyanta.server.services.health import Health, Readiness
from niyanta.server.settings import CoordinatorSettings
from niyanta.wire.v1 import admin_service_pb2
from niyanta.wire.v1 import workload_service_pb2 as pb
from support.grpc_calls import Calls, connected, submission
from support.pace import pace
from support.system import System, running_system

SERVICE, ADMIN_SERVICE = SERVICES
ROOT = Path(__file__).resolve().parents[2]
Serving = health_pb2.HealthCheckResponse


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_code_is_what_the_proto_says() -> None:
    protobuf = script("protobuf")
    made = protobuf.render()
    assert made.keys() == {path.name for path in protobuf.PACKAGE.glob("*pb2*.py*")}
    for name, text in made.items():
        assert (protobuf.PACKAGE / name).read_text(encoding="utf-8") == text, "run `make generate`"


def test_the_contracts_fields_keep_their_numbers() -> None:
    """What was published; more may be added."""
    published = {
        "SubmitWorkloadRequest": "workload_type input_params priority affinity_rules timeout_seconds",
        "SubmitWorkloadResponse": "workload_id status created_at estimated_start_time",
        "GetWorkloadRequest": "workload_id",
        "GetWorkloadResponse": "workload",
        "Workload": "workload_id customer_id workload_type status priority progress_percent worker_id input_params "
        "result_data error_message retry_count created_at scheduled_at started_at completed_at",
        "AffinityRules": "hard_affinity soft_affinity anti_affinity",
        "AffinityConstraint": "worker_id worker_tags workload_types",
        "StreamWorkloadStatusRequest": "workload_id",
        "WorkloadStatusUpdate": "workload_id status progress_percent timestamp message",
    }
    for name, fields in published.items():
        by_number = pb.DESCRIPTOR.message_types_by_name[name].fields_by_number
        assert [by_number[number].name for number in range(1, len(fields.split()) + 1)] == fields.split()
    assert pb.DESCRIPTOR.message_types_by_name["SubmitWorkloadRequest"].fields_by_name["priority"].has_presence
    statuses = "UNSPECIFIED PENDING SCHEDULED RUNNING PAUSED REDISTRIBUTING COMPLETED FAILED CANCELLED"
    assert pb.WorkloadStatus.items() == [(f"WORKLOAD_STATUS_{name}", n) for n, name in enumerate(statuses.split())]


METHODS = [
    *pb.DESCRIPTOR.services_by_name["WorkloadService"].methods,
    *admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"].methods,
]


async def test_every_method_of_the_protos_is_served(calls: Calls) -> None:
    for method in METHODS:
        path = f"/{method.containing_service.full_name}/{method.name}"
        streaming = method.server_streaming
        answer = calls.channel.unary_stream(path)(b"").read() if streaming else calls.channel.unary_unary(path)(b"")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await answer
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED, method.name


async def test_a_request_without_credentials_is_hardly_read(system: System) -> None:
    taken = 0

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool) -> None:
        nonlocal taken
        try:
            while data := await reader.read(1 << 16):
                taken += len(data) if count else 0
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def connected_through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = await asyncio.open_connection("127.0.0.1", system.coordinator.grpc_port)
        await asyncio.gather(pass_on(reader, inner[1], count=True), pass_on(inner[0], writer, count=False))

    proxy = await asyncio.start_server(connected_through, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    large = pb.SubmitWorkloadBatchRequest(workloads=[submission({"text": "x" * 8_000_000})])
    async with proxy, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(f"/{SERVICE}/SubmitWorkloadBatch", pb.SubmitWorkloadBatchRequest.SerializeToString)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(large, metadata=(("authorization", "Bearer nyt_cust_a_guess"),))
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert taken < 64 * 1024 + 2048
        key = system.keys["cust_a"]
        answer = pb.SubmitWorkloadBatchResponse.FromString(
            await call(large, metadata=(("authorization", f"Bearer {key}"),))
        )
        assert answer.rejected == 1
        assert taken > 8_000_000


async def test_a_call_without_a_request_is_refused(system: System, calls: Calls) -> None:
    call = calls.channel.stream_unary(f"/{SERVICE}/GetWorkload")(metadata=calls.metadata("cust_a", {}))
    await call.done_writing()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "The call has no request"


async def test_health_is_the_truth_of_ready(system: System, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = health_pb2_grpc.HealthStub(calls.channel)
    async with asyncio.timeout(10):
        for service in ("", *SERVICES):
            while (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status != Serving.SERVING:
                pass
    status, _, _ = await system.call("GET", "/ready")
    assert status == 200
    listed = await stub.List(health_pb2.HealthListRequest())
    assert {name: found.status for name, found in listed.statuses.items()} == dict.fromkeys(("", *SERVICES), 1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(health_pb2.HealthCheckRequest(service="another"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
    unknown = stub.Watch(health_pb2.HealthCheckRequest(service="another"))
    assert (await watch.read()).status == Serving.SERVING
    assert (await unknown.read()).status == Serving.SERVICE_UNKNOWN

    async def not_ready(*_: Any) -> Readiness:
        return Readiness(database=True, broker=False, leader_elected=True)

    monkeypatch.setattr(Health, "check", not_ready)
    assert (await stub.Check(health_pb2.HealthCheckRequest())).status == Serving.NOT_SERVING
    async with asyncio.timeout(20):
        assert (await watch.read()).status == Serving.NOT_SERVING


@pytest.fixture
async def reflecting(database_url: str, nats_url: str, subject_prefix: str) -> AsyncIterator[Calls]:
    async with (
        running_system(database_url, nats_url, subject_prefix, grpc_reflection=True) as system,
        connected(system.coordinator, system.keys) as found,
    ):
        yield found


async def reflect(channel: grpc.aio.Channel, name: str, **question: str) -> reflection_pb2.ServerReflectionResponse:
    """One question to the reflection service, under one of its names."""
    call = channel.stream_stream(
        f"/{name}/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )(iter([reflection_pb2.ServerReflectionRequest(**question)]))
    return await call.read()


@pytest.mark.parametrize("name", ["grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection"])
async def test_reflection_tells_what_there_is(reflecting: Calls, name: str) -> None:
    answer = await reflect(reflecting.channel, name, list_services="")
    services = {service.name for service in answer.list_services_response.service}
    assert {*SERVICES, "grpc.health.v1.Health"} <= services
    for symbol, descriptor in ((SERVICE, pb.DESCRIPTOR), (ADMIN_SERVICE, admin_service_pb2.DESCRIPTOR)):
        answer = await reflect(reflecting.channel, name, file_containing_symbol=symbol)
        files = [
            descriptor_pb2.FileDescriptorProto.FromString(raw)
            for raw in answer.file_descriptor_response.file_descriptor_proto
        ]
        (ours,) = [file for file in files if file.name == descriptor.name]
        methods = [method.name for service in ours.service for method in service.method]
        (expected,) = descriptor.services_by_name.values()
        assert methods == [method.name for method in expected.methods]


async def test_reflection_is_off_by_default(calls: Calls) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(calls.channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def settings(**given: Any) -> CoordinatorSettings:
    return CoordinatorSettings.from_environment({}, database_url="", nats_url="", **given)


async def test_a_port_in_use_is_said_plainly() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"cannot listen on 127\.0\.0\.1:{port} for gRPC.*--grpc-port"):
            GrpcServer(settings(grpc_port=port))


async def test_two_servers_never_share_a_port() -> None:
    first = GrpcServer(settings(grpc_port=0))
    assert first.port > 0
    with pytest.raises(ConfigurationError, match="cannot listen"):
        GrpcServer(settings(grpc_port=first.port))
    await first.stop()


async def test_an_address_of_version_6(database_url: str, nats_url: str, subject_prefix: str) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    server = GrpcServer(settings(grpc_port=0, host="::1"))
    assert server.port > 0
    await server.stop()


async def test_when_it_stops_streams_end_and_callers_are_told_to_come_back(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    async with (
        running_system(database_url, nats_url, subject_prefix) as system,
        connected(system.coordinator, system.keys) as calls,
    ):
        await system.worker()
        workload_id = await calls.submit({})
        streams = [calls.stream(workload_id) for _ in range(5)]
        await asyncio.gather(*(stream.read() for stream in streams))
        health = health_pb2_grpc.HealthStub(calls.channel).Watch(health_pb2.HealthCheckRequest())
        await health.read()
        began = asyncio.get_running_loop().time()
        stopping = asyncio.create_task(system.coordinator.stop())
        for stream in streams:
            refusal = await calls.ended(stream)
            assert refusal.code is grpc.StatusCode.UNAVAILABLE
            assert refusal.details["RetryInfo"].retry_delay.seconds == 1
        await stopping
        assert asyncio.get_running_loop().time() - began < 5 * pace()
        refusal = await calls.refused("SubmitWorkload", submission())
        assert refusal.code is grpc.StatusCode.UNAVAILABLE
