"""A gRPC client for tests: calls by name, refusals taken apart."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import NULL_VALUE, Struct, Value
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from niyanta.server.coordinator import Coordinator
from niyanta.wire.v1 import workload_service_pb2 as pb
from niyanta.wire.v1.admin_service_pb2_grpc import AdminServiceStub
from niyanta.wire.v1.workload_service_pb2_grpc import WorkloadServiceStub
from support.system import System

__all__ = ["Calls", "Refusal", "calls", "connected", "fill", "rest_of", "struct", "submission"]


@dataclass(frozen=True)
class Refusal:
    """What a refused call says."""

    code: grpc.StatusCode
    message: str
    details: dict[str, Any]
    """The messages in the status, by their type's name."""
    metadata: dict[str, Any]
    """Initial and trailing."""

    @property
    def reason(self) -> str:
        return str(self.details["ErrorInfo"].reason)

    @property
    def info(self) -> dict[str, str]:
        return dict(self.details["ErrorInfo"].metadata)

    @property
    def fields(self) -> list[str]:
        return [violation.field for violation in self.details["BadRequest"].field_violations]

    def without_id(self) -> tuple[Any, ...]:
        """Everything but what differs from call to call."""
        details = {name: text for name, text in self.details.items() if name != "RequestInfo"}
        return self.code, self.message, details, sorted(key for key in self.metadata)

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> Refusal:
        status = rpc_status.from_call(error)
        details = {}
        for packed in status.details if status is not None else ():
            name = packed.TypeName().rpartition(".")[2]
            details[name] = getattr(error_details_pb2, name)()
            packed.Unpack(details[name])
        metadata = {**dict(error.initial_metadata() or ()), **dict(error.trailing_metadata() or ())}
        return cls(error.code(), error.details() or "", details, metadata)


class Calls:
    """Calls methods of the services by name."""

    def __init__(self, channel: grpc.aio.Channel, keys: Mapping[str, str]) -> None:
        self.channel = channel
        self.stub = WorkloadServiceStub(channel)  # type: ignore[no-untyped-call] # generated without types
        self.admin_stub = AdminServiceStub(channel)  # type: ignore[no-untyped-call]
        self.keys = keys

    def metadata(self, key: str | None, given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        pairs = [(name.replace("_", "-"), value) for name, value in given.items()]
        if key is not None:
            pairs.append(("authorization", f"Bearer {self.keys.get(key, key)}"))
        return tuple(pairs)

    def begin(
        self, method: str, request: Any, *, key: str | None = "cust_a", timeout: float | None = 20, **metadata: str
    ) -> Any:
        """The call under way.

        Args:
            method: Its name.
            request: Its message.
            key: A name in the system's keys, or a credential itself; None for no credentials.
            timeout: Seconds to its deadline.
            **metadata: More metadata, ``_`` for ``-``.
        """
        stub = self.stub if hasattr(self.stub, method) else self.admin_stub
        return getattr(stub, method)(request, timeout=timeout, metadata=self.metadata(key, metadata))

    async def call(self, method: str, request: Any, **options: Any) -> Any:
        """The answer."""
        return await self.begin(method, request, **options)

    async def refused(self, method: str, request: Any, **options: Any) -> Refusal:
        """The refusal; fails when the call is answered."""
        call = self.begin(method, request, **options)
        if method.startswith("Stream"):
            return await self.ended(call)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        return Refusal.of(caught.value)

    async def ended(self, stream: Any) -> Refusal:
        """Why a stream ends; fails when it ends well."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rest_of(stream)
        return Refusal.of(caught.value)

    async def submit(self, input_params: Any = None, *, key: str = "cust_a", **fields: Any) -> str:
        answer = await self.call("SubmitWorkload", submission(input_params, **fields), key=key)
        return str(answer.workload_id)

    async def get(self, workload_id: str, **options: Any) -> pb.Workload:
        answer = await self.call("GetWorkload", pb.GetWorkloadRequest(workload_id=workload_id), **options)
        found: pb.Workload = answer.workload
        return found

    def stream(self, workload_id: str, **options: Any) -> Any:
        return self.begin("StreamWorkloadStatus", pb.StreamWorkloadStatusRequest(workload_id=workload_id), **options)


def submission(input_params: Mapping[str, Any] | None = None, **fields: Any) -> pb.SubmitWorkloadRequest:
    """A submission of the type ``count``."""
    made = pb.SubmitWorkloadRequest(**{"workload_type": "count", **fields})
    fill(made.input_params, input_params or {})
    return made


def fill(into: Struct, found: Mapping[str, Any]) -> None:
    """Put a JSON object into a Struct as a client's library would; large integers are rounded by that."""
    into.SetInParent()
    for key, value in found.items():
        _put(into.fields[key], value)


def struct(found: Mapping[str, Any]) -> Struct:
    made = Struct()
    fill(made, found)
    return made


def _put(into: Value, value: Any) -> None:
    if value is None:
        into.null_value = NULL_VALUE
    elif isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, int | float):
        into.number_value = float(value)
    elif isinstance(value, str):
        into.string_value = value
    elif isinstance(value, Mapping):
        fill(into.struct_value, value)
    else:
        into.list_value.SetInParent()
        for each in value:
            _put(into.list_value.values.add(), each)


async def rest_of(stream: Any) -> list[Any]:
    """What a stream still gives, up to its end."""
    found = []
    while (message := await stream.read()) is not grpc.aio.EOF:
        found.append(message)
    return found


@contextlib.asynccontextmanager
async def connected(
    coordinator: Coordinator, keys: Mapping[str, str], *options: tuple[str, int]
) -> AsyncIterator[Calls]:
    """A client of one coordinator, on a connection of its own."""
    given = [("grpc.use_local_subchannel_pool", 1), *options]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{coordinator.grpc_port}", options=given) as channel:
        yield Calls(channel, keys)


@pytest.fixture
async def calls(system: System) -> AsyncIterator[Calls]:
    """A client of the system's coordinator."""
    async with connected(system.coordinator, system.keys) as found:
        yield found
