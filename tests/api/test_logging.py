"""What the service logs: a request's id wherever the request is served, and no alarm when nothing is wrong."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from niyanta.server.observability.logs import request_id
from niyanta.server.services.workloads import WorkloadService
from niyanta.wire.v1 import workload_service_pb2 as pb
from support.grpc_calls import connected
from support.system import System, beating, running_system


async def test_the_request_id_is_in_the_lines_of_a_request(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    get = WorkloadService.get

    async def looked_at(*arguments: Any) -> Any:
        seen.append(request_id())
        return await get(*arguments)

    monkeypatch.setattr(WorkloadService, "get", looked_at)
    await system.call("GET", "/workloads/wl_none", X_Request_ID="mine-1")
    async with connected(system.coordinator, system.keys) as calls:
        request = pb.GetWorkloadRequest(workload_id="wl_none")
        metadata = (*calls.metadata("cust_a", {}), ("x-request-id", "mine-2"))
        await calls.channel.unary_unary("/niyanta.v1.WorkloadService/GetWorkload")(
            request.SerializeToString(), metadata=metadata
        ).code()
    assert seen == ["mine-1", "mine-2"]


async def test_what_operators_do_is_logged_with_who(system: System, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "niyanta.server.rest.endpoints.admin")
    customers = "/admin/customers"
    await system.call("POST", customers, {"name": "Acme", "customer_id": "cust_new"}, key="admin")
    await system.call("PATCH", f"{customers}/cust_new", {"status": "suspended"}, key="admin")
    _, key, _ = await system.call("POST", f"{customers}/cust_new/api-keys", {"name": "k"}, key="admin")
    await system.call("DELETE", f"{customers}/cust_new/api-keys/{key['key_id']}", key="admin")
    said = {record.message: record for record in caplog.records if record.message.startswith("admin.")}
    assert set(said) == {"admin.customer_created", "admin.customer_changed", "admin.key_created", "admin.key_revoked"}
    for record in said.values():
        assert record.__dict__["actor_id"].startswith("key_")
        assert record.__dict__["customer_id"] == "cust_new"
    assert said["admin.customer_changed"].__dict__["fields"] == ["status"]
    assert key["api_key"] not in str([record.__dict__ for record in caplog.records])


async def test_a_normal_start_and_stop_raises_no_alarm(
    database_url: str, nats_url: str, subject_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_system(database_url, nats_url, subject_prefix) as system:
        worker = await system.worker()
        async with beating(worker):
            await system.submit()
            await worker.next_assignment()
        await worker.beat(leaving=True)
    alarms = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    # The tests' own broker is open; and beside other tests the database may be slow to answer, which is told of.
    told = {"broker.open", "attendance.left", "attendance.joined"}
    assert set(alarms) <= told, alarms
