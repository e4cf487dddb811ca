"""What operators do is recorded: each admin operation, over REST and gRPC, and the commands."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import asyncpg
import grpc
import pytest
from click.testing import CliRunner

from niyanta import AsyncClient
from niyanta.cli.admin import command
from niyanta.server.rest.frame.operation import Access
from niyanta.wire.v1 import admin_service_pb2 as pb
from support.grpc_calls import Calls
from support.system import System

NAMES = {
    "customer_id": "cust_never",
    "key_id": "key_never",
    "session_id": "key_never",
    "token_id": "jt_never",
    "worker_id": "w_never",
}
NOT_RECORDED = {"getMetrics", "getMetricsAtRoot"}
"""Of what needs the admin role: it is read every few seconds."""


async def actions(system: System, query: str = "") -> list[dict[str, Any]]:
    status, body, _ = await system.call("GET", f"/admin/audit{query}", key="admin")
    assert status == 200, body
    found: list[dict[str, Any]] = body["actions"]
    return found


async def recorded(system: System, request_id: str) -> list[dict[str, Any]]:
    """What is recorded of one request."""
    return [each for each in await actions(system, "?limit=20") if each["request_id"] == request_id]


async def test_each_admin_operation_of_rest_writes_one_event(system: System) -> None:
    operations = [each for each in system.coordinator.operations if each.access is Access.ADMIN]
    assert {each.operation_id for each in operations if not each.recorded} <= NOT_RECORDED
    assert len(operations) > 15
    for operation in operations:
        if not operation.recorded:
            continue
        request_id = f"walk-{operation.operation_id}"
        body = "{}" if operation.body is not None else None
        sent = {"Authorization": f"Bearer {system.keys['admin']}", "X-Request-ID": request_id}
        sent |= {} if body is None else {"Content-Type": "application/json"}
        url = system.url(operation.path.format(**NAMES))
        async with system.http.request(operation.method, url, data=body, headers=sent) as response:
            succeeded = response.status < 400
        (found,) = await recorded(system, request_id)
        assert found["action"] == operation.operation_id
        assert found["outcome"] == ("succeeded" if succeeded else "refused"), found
        assert (found["error_code"] is None) == succeeded
        assert (found["protocol"], found["source"]) == ("rest", "127.0.0.1")
        assert found["actor_id"].startswith("key_")
        assert found["target"] == {name: value for name, value in NAMES.items() if f"{{{name}}}" in operation.path}


async def test_each_method_of_grpc_for_operators_writes_one_event(system: System, calls: Calls) -> None:
    methods = pb.DESCRIPTOR.services_by_name["AdminService"].methods
    assert len(methods) >= 5
    for method in methods:
        request = getattr(pb, method.input_type.name)()
        if "worker_id" in method.input_type.fields_by_name:
            request.worker_id = "w_never"
        before = {each["action_id"] for each in await actions(system)}
        try:
            if method.server_streaming:
                stream = calls.begin(method.name, request, key="admin")
                await stream.read()
                stream.cancel()
            else:
                await calls.call(method.name, request, key="admin")
            outcome = "succeeded"
        except grpc.aio.AioRpcError:
            outcome = "refused"
        name = method.name[0].lower() + method.name[1:]
        new = [each for each in await actions(system) if each["action_id"] not in before]
        found = [each for each in new if each["action"] != "listOperatorActions"]
        assert [(each["action"], each["outcome"], each["protocol"], each["source"]) for each in found] == [
            (name, outcome, "grpc", "127.0.0.1")
        ]


async def test_who_did_what_to_whom(system: System) -> None:
    status, made, _ = await system.call(
        "POST", "/admin/customers/cust_a/api-keys", {"name": "n", "role": "customer"}, key="admin"
    )
    assert status == 201
    (found,) = await actions(system, "?action=createApiKey")
    assert (found["target"], found["facts"]["key_id"]) == ({"customer_id": "cust_a"}, made["key_id"])
    assert made["api_key"] not in json.dumps(found)
    assert (await actions(system, f"?target={made['key_id']}"))[0]["action_id"] == found["action_id"]
    assert await actions(system, "?actor_id=key_somebody") == []
    assert {each["outcome"] for each in await actions(system, "?outcome=succeeded")} == {"succeeded"}
    assert await actions(system, "?until=2020-01-01") == []
    assert [each["action"] for each in await actions(system, "?kind=change")] == ["createApiKey"]
    assert {each["action"] for each in await actions(system, "?kind=read")} == {"listOperatorActions"}
    status, _, _ = await system.call("GET", "/admin/audit?outcome=perhaps", key="admin")
    assert status == 400


async def test_pages_have_no_gap(system: System) -> None:
    for _ in range(7):
        await system.call("GET", "/admin/workers", key="admin")
    query, seen = "?action=listWorkers&limit=3", []
    cursor: str | None = ""
    while cursor is not None:
        status, body, _ = await system.call(
            "GET", f"/admin/audit{query}{cursor and '&cursor=' + cursor}", key="admin"
        )
        assert status == 200
        seen += [each["action_id"] for each in body["actions"]]
        cursor = body["pagination"]["next_cursor"] if body["pagination"]["has_more"] else None
    assert len(seen) == 7
    assert seen == sorted(seen, reverse=True)
    status, _, _ = await system.call("GET", "/admin/audit", key="cust_a")
    assert status == 403


async def test_what_can_not_be_recorded_is_not_done(system: System) -> None:
    conn = await asyncpg.connect(system.database_url)
    try:
        await conn.execute(
            "ALTER TABLE audit_events ADD CONSTRAINT nobody CHECK (customer_id <> 'operators') NOT VALID"
        )
        name = f"cust_{uuid.uuid4().hex[:8]}"
        status, _, _ = await system.call("POST", "/admin/customers", {"name": "n", "customer_id": name}, key="admin")
        assert status >= 500
        assert await conn.fetchval("SELECT count(*) FROM customers WHERE customer_id = $1", name) == 0
    finally:
        await conn.close()


async def test_an_action_whose_end_is_missing_is_unknown(system: System) -> None:
    await system.call("POST", "/admin/workers/w_never/drain", key="admin")
    conn = await asyncpg.connect(system.database_url)
    try:
        async with conn.transaction():
            await conn.execute("SET LOCAL session_replication_role = replica")
            await conn.execute("DELETE FROM audit_events WHERE customer_id = 'operators' AND event_id = 2")
    finally:
        await conn.close()
    assert [each["outcome"] for each in await actions(system, "?action=drainWorker&outcome=unknown")] == ["unknown"]


async def test_the_client_and_the_command_show_it(system: System) -> None:
    argv = ["create-customer", "New", "--id", "cust_new", "--database-url", system.database_url]
    result = await asyncio.to_thread(CliRunner().invoke, command, argv)
    assert result.exit_code == 0, result.output
    async with AsyncClient(system.keys["admin"], system.url("")) as client:
        (found,) = await client.admin.audit(action="createCustomer", most=5)
        assert (found.protocol, found.outcome) == ("cli", "succeeded")
        assert "@" in found.actor_id
        assert await client.admin.audit(target="cust_never") == []
        assert await client.admin.audit(kind="read", action="createCustomer") == []
    argv = ["audit", "--action", "createCustomer", "--database-url", system.database_url]
    result = await asyncio.to_thread(CliRunner().invoke, command, argv)
    assert result.exit_code == 0, result.output
    assert "createCustomer" in result.output
    result = await asyncio.to_thread(CliRunner().invoke, command, [*argv, "--json"])
    assert json.loads(result.stdout)["actions"][0]["outcome"] == "succeeded"


@pytest.mark.parametrize("name", ["w%00x", "w" * 300, "%F0%9F%98%80", "a%22b"])
async def test_whatever_is_sent_as_an_id_is_recorded(system: System, name: str) -> None:
    status, _, _ = await system.call("POST", f"/admin/workers/{name}/drain", key="admin")
    assert status in (400, 404)
    (found,) = await actions(system, "?action=drainWorker")
    assert found["outcome"] == "refused"
    assert await actions(system, "?target=w_other") == []
