"""Keys for less than all, tokens made of keys, keys that take the place of others: over REST, WebSocket and gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import grpc
import pytest

from niyanta import AsyncClient
from niyanta.domain.customers import SCOPES_OF, Role, Scope
from niyanta.domain.limits import MAX_TOKENS_PER_KEY
from niyanta.errors import ForbiddenError
from niyanta.server.rest.frame.operation import Access
from niyanta.wire.v1 import workload_service_pb2 as pb
from niyanta.wire.v1 import workload_service_pb2_grpc as stubs
from support.cases import cases
from support.openapi_document import operations
from support.system import System, supported

KEYS = "/admin/customers/cust_a/api-keys"


async def key_for(system: System, *scopes: str, role: str = "customer") -> tuple[str, str]:
    """A new key of ``cust_a``: its id, and itself."""
    body = {"name": "a few", "role": role, "scopes": list(scopes)}
    status, made, _ = await system.call("POST", KEYS, body, key="admin")
    assert status == 201, made
    assert made["scopes"] == [scope for scope in Scope if scope in scopes]
    return made["key_id"], made["api_key"]


async def token_for(system: System, key: str = "cust_a", **asked: Any) -> dict[str, Any]:
    status, made, _ = await system.call("POST", "/tokens", asked, key=key)
    assert status == 201, made
    return dict(made)


@contextlib.asynccontextmanager
async def connected(system: System) -> AsyncIterator[asyncpg.Connection[Any]]:
    conn = await asyncpg.connect(system.database_url)
    try:
        yield conn
    finally:
        await conn.close()


def filled(path: str) -> str:
    for name in (
        "workload_id",
        "config_id",
        "worker_id",
        "customer_id",
        "key_id",
        "token_id",
        "session_id",
        "sequence",
    ):
        path = path.replace(f"{{{name}}}", "x1")
    return path


async def test_each_operation_needs_the_scope_that_its_document_names(system: System) -> None:
    named = {found["operationId"]: found.get("x-scope") for _, _, found in operations()}
    keys = {scope: (await key_for(system, scope))[1] for scope in SCOPES_OF[Role.CUSTOMER]}
    seen = set()
    for operation in system.coordinator.operations:
        if operation.access is Access.PUBLIC:
            continue
        needs = named[operation.operation_id]
        assert needs == operation.needs
        seen.add(needs)
        for scope, key in keys.items():
            path = filled(operation.path).removeprefix("/v1")
            body: dict[str, Any] | None = {} if operation.body is not None else None
            status, answer, _ = await system.call(operation.method, path, body, key=key)
            if needs in (None, scope):
                assert status not in (401, 403), (operation.operation_id, scope, answer)
            else:
                assert (status, answer["error"]["code"]) == (403, "FORBIDDEN"), (operation.operation_id, scope)
                if needs != Scope.ADMIN:
                    assert answer["error"]["details"] == {"scope": needs, "allowed": [scope]}
    assert seen == {None, *Scope}


async def test_an_admins_key_without_the_scope_administers_nothing(system: System) -> None:
    _, key = await key_for(system, "workloads:read", role="admin")
    assert (await system.call("GET", "/workloads", key=key))[0] == 200
    status, answer, _ = await system.call("GET", "/admin/workers", key=key)
    assert (status, answer["error"]["details"]["scope"]) == (403, "admin")


@cases("scopes", [[], ["admin"], ["workloads"], ["workloads:read", "nothing"]])
async def test_scopes_that_a_role_has_not_are_refused(system: System, scopes: list[str]) -> None:
    status, answer, _ = await system.call("POST", KEYS, {"name": "x", "scopes": scopes}, key="admin")
    assert status == 400
    assert answer["error"]["details"]["field"].startswith("scopes")
    assert set(answer["error"]["details"]["allowed"]) >= SCOPES_OF[Role.CUSTOMER]


async def test_a_token_does_what_it_is_for_and_no_more(system: System) -> None:
    made = await token_for(system, scopes=["workloads:read"], expires_in_seconds=60)
    assert made["scopes"] == ["workloads:read"]
    assert (await system.call("GET", "/workloads", key=made["token"]))[0] == 200
    assert (await system.call("POST", "/workloads", {}, key=made["token"]))[0] == 403
    assert (await system.call("GET", "/admin/workers", key=made["token"]))[0] == 403
    # It makes, lists and ends no others.
    for method, path in (("POST", "/tokens"), ("GET", "/tokens"), ("DELETE", "/tokens/tok_x")):
        assert (await system.call(method, path, key=made["token"]))[0] == 403


async def test_nobody_makes_a_token_for_more_than_the_key(system: System) -> None:
    _, key = await key_for(system, "workloads:read")
    status, answer, _ = await system.call("POST", "/tokens", {"scopes": ["workloads:write"]}, key=key)
    assert (status, answer["error"]["details"]["allowed"]) == (403, ["workloads:read"])
    assert (await token_for(system, key))["scopes"] == ["workloads:read"]
    assert (await token_for(system, "admin"))["scopes"] == [*Scope]


@cases(
    ("asked", "field"),
    [
        ({"expires_in_seconds": 0}, "expires_in_seconds"),
        ({"expires_in_seconds": 86_401}, "expires_in_seconds"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["all"]}, "scopes"),
        ({"lifetime": 5}, "lifetime"),
    ],
)
async def test_what_can_not_be_asked_of_a_token_is_named(system: System, asked: dict[str, Any], field: str) -> None:
    status, answer, _ = await system.call("POST", "/tokens", asked)
    assert (status, answer["error"]["code"]) == (400, "INVALID_INPUT")
    assert field in str(answer["error"])


async def test_a_token_for_one_workload_reaches_no_other(system: System) -> None:
    await supported(system)
    mine, other = await system.submit(), await system.submit()
    made = await token_for(system, workload_id=mine)
    assert made["workload_id"] == mine
    key = made["token"]
    for path in ("", "/logs", "/audit"):
        assert (await system.call("GET", f"/workloads/{mine}{path}", key=key))[0] == 200
        status, answer, _ = await system.call("GET", f"/workloads/{other}{path}", key=key)
        assert (status, answer["error"]["details"]) == (403, {"workload_id": mine})
    for method, path, body in (
        ("GET", "/workloads", None),
        ("POST", "/workloads", {"workload_type": "count", "input_params": {}}),
        ("POST", "/workloads/batch/cancel", {"workload_ids": [other]}),
        ("GET", "/customer", None),
    ):
        assert (await system.call(method, path, body, key=key))[0] == 403, path
    async with system.http.ws_connect(
        system.url(f"/v1/ws/workloads/{mine}"), headers={"Authorization": f"Bearer {key}"}
    ) as socket:
        assert (await socket.receive_json())["workload_id"] == mine
    async with grpc.aio.insecure_channel(f"127.0.0.1:{system.coordinator.grpc_port}") as channel:
        service = stubs.WorkloadServiceStub(channel)  # type: ignore[no-untyped-call]
        sent = (("authorization", f"Bearer {key}"),)
        assert (
            await service.GetWorkload(pb.GetWorkloadRequest(workload_id=mine), metadata=sent)
        ).workload.workload_id == mine
        for refused in (
            service.GetWorkload(pb.GetWorkloadRequest(workload_id=other), metadata=sent),
            service.ListWorkloads(pb.ListWorkloadsRequest(), metadata=sent),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await refused
            assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert (await system.call("POST", f"/workloads/{mine}/cancel", {}, key=key))[0] == 200


async def test_no_token_is_made_for_another_customers_workload(system: System) -> None:
    await supported(system)
    foreign = await system.submit("cust_b")
    assert (await system.call("POST", "/tokens", {"workload_id": foreign}))[0] == 404


async def test_grpc_needs_the_same_scopes(system: System) -> None:
    _, key = await key_for(system, "workloads:read")
    sent = (("authorization", f"Bearer {key}"),)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{system.coordinator.grpc_port}") as channel:
        service = stubs.WorkloadServiceStub(channel)  # type: ignore[no-untyped-call]
        await service.ListWorkloads(pb.ListWorkloadsRequest(), metadata=sent)
        for refused in (
            service.SubmitWorkload(pb.SubmitWorkloadRequest(workload_type="demo"), metadata=sent),
            service.CancelWorkload(pb.CancelWorkloadRequest(workload_id="wl_x"), metadata=sent),
            service.PauseWorkload(pb.PauseWorkloadRequest(workload_id="wl_x"), metadata=sent),
            service.ResumeWorkload(pb.ResumeWorkloadRequest(workload_id="wl_x"), metadata=sent),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await refused
            assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def ends(system: System, key: str) -> None:
    """Wait until a credential isn't good any more; fails after twenty seconds."""
    async with asyncio.timeout(20):
        while (await system.call("GET", "/workloads", key=key))[0] != 401:
            await asyncio.sleep(0.01)


async def test_tokens_end_with_their_key_by_themselves_and_by_order(system: System) -> None:
    key_id, key = await key_for(system, *SCOPES_OF[Role.CUSTOMER])
    made = [await token_for(system, key) for _ in range(3)]
    short = await token_for(system, key, expires_in_seconds=1)
    status, listed, _ = await system.call("GET", "/tokens", key=key)
    assert status == 200
    assert {row["token_id"] for row in listed["tokens"]} == {t["token_id"] for t in (*made, short)}
    assert {row["key_id"] for row in listed["tokens"]} == {key_id}
    assert not any("token" in row for row in listed["tokens"])
    await ends(system, short["token"])
    # One ends another of the same key, a token itself, an operator any.
    assert (await system.call("DELETE", f"/tokens/{made[0]['token_id']}", key=key))[0] == 204
    await ends(system, made[0]["token"])
    assert (await system.call("DELETE", f"/tokens/{made[1]['token_id']}", key=made[1]["token"]))[0] == 204
    await ends(system, made[1]["token"])
    status, all_tokens, _ = await system.call("GET", "/admin/customers/cust_a/tokens", key="admin")
    assert made[2]["token_id"] in {row["token_id"] for row in all_tokens["tokens"]}
    assert (await system.call("GET", "/workloads", key=made[2]["token"]))[0] == 200
    assert (await system.call("DELETE", f"{KEYS}/{key_id}", key="admin"))[0] == 204
    await ends(system, made[2]["token"])
    assert (await system.call("DELETE", "/tokens/tok_never"))[0] == 404


async def test_another_keys_token_can_not_be_ended(system: System) -> None:
    made = await token_for(system, "cust_a")
    _, key = await key_for(system, "workloads:read")
    assert (await system.call("DELETE", f"/tokens/{made['token_id']}", key=key))[0] == 404
    assert (await system.call("DELETE", f"/tokens/{made['token_id']}", key="cust_b"))[0] == 404
    assert (await system.call("GET", "/workloads", key=made["token"]))[0] == 200


async def test_a_key_has_only_so_many_tokens(system: System) -> None:
    key_id, key = await key_for(system, "workloads:read")
    async with connected(system) as conn:
        await conn.execute(
            "INSERT INTO api_keys (customer_id, key_id, key_sha256, name, role, expires_at, made_of) "
            "SELECT 'cust_a', 'tok_' || n, sha256(n::text::bytea), 'x', 'customer', now() + interval '1 hour', $1 "
            "FROM generate_series(1, $2) n",
            key_id,
            MAX_TOKENS_PER_KEY,
        )
    status, answer, headers = await system.call("POST", "/tokens", key=key)
    assert (status, answer["error"]["details"]["max_tokens"]) == (429, MAX_TOKENS_PER_KEY)
    assert int(headers["Retry-After"]) > 0


async def test_a_key_takes_the_place_of_another(system: System) -> None:
    key_id, key = await key_for(system, "workloads:read")
    token = await token_for(system, key)
    status, made, _ = await system.call("POST", f"{KEYS}/{key_id}/rotate", {"overlap_seconds": 600}, key="admin")
    assert status == 201
    assert (made["name"], made["role"], made["scopes"]) == ("a few", "customer", ["workloads:read"])
    for good in (key, token["token"], made["api_key"]):
        assert (await system.call("GET", "/workloads", key=good))[0] == 200
    # Its place has been taken; at once, this time.
    place = f"{KEYS}/{made['key_id']}/rotate"
    status, last, _ = await system.call("POST", place, {"overlap_seconds": 0}, key="admin")
    assert status == 201
    await ends(system, made["api_key"])
    assert (await system.call("GET", "/workloads", key=last["api_key"]))[0] == 200
    assert (await system.call("POST", f"{KEYS}/{made['key_id']}/rotate", key="admin"))[0] == 404
    too_long = {"overlap_seconds": 31 * 86_400}
    status, answer, _ = await system.call("POST", f"{KEYS}/{last['key_id']}/rotate", too_long, key="admin")
    assert (status, answer["error"]["details"]["field"]) == (400, "overlap_seconds")


async def test_where_a_key_was_used_last_is_shown(system: System) -> None:
    key_id, key = await key_for(system, "workloads:read")
    assert (await system.call("GET", "/workloads", key=key))[0] == 200

    async def shown() -> str | None:
        _, found, _ = await system.call("GET", KEYS, key="admin")
        used_from: str | None = next(row["last_used_from"] for row in found["api_keys"] if row["key_id"] == key_id)
        return used_from

    async with asyncio.timeout(20):
        while await shown() is None:
            await asyncio.sleep(0.05)
    assert await shown() == "127.0.0.1"


async def test_the_client_makes_and_uses_tokens(system: System) -> None:
    base = system.url("")
    async with AsyncClient(system.keys["cust_a"], base) as client:
        made = await client.tokens.create(scopes=["workloads:read"], expires_in_seconds=60)
        assert made.token is not None
        assert made.token not in repr(made)
        assert [token.token_id for token in await client.tokens.list()] == [made.token_id]
        async with AsyncClient(made.token, base) as bounded:
            await bounded.workloads.list()
            with pytest.raises(ForbiddenError):
                await bounded.workloads.submit("demo", {})
            await bounded.tokens.revoke(made.token_id)
        assert await client.tokens.list() == []
    async with AsyncClient(system.keys["admin"], base) as operator:
        first = await operator.admin.create_key("cust_a", "scoped", scopes=["workloads:read"])
        assert list(first.scopes) == ["workloads:read"]
        second = await operator.admin.rotate_key("cust_a", first.key_id, overlap_seconds=0)
        assert (second.name, list(second.scopes)) == ("scoped", ["workloads:read"])
        assert await operator.admin.tokens("cust_a") == []


async def test_tokens_that_ended_long_ago_are_forgotten(system: System) -> None:
    made = await token_for(system)
    async with connected(system) as conn:
        aged = "UPDATE api_keys SET expires_at = now() - interval '31 days' WHERE key_id = $1"
        await conn.execute(aged, made["token_id"])
        before = await conn.fetchval("SELECT count(*) FROM api_keys WHERE made_of IS NULL")
    await system.customers.forget_tokens(10)  # unless the leader did, who looks now and then
    async with connected(system) as conn:
        assert not await conn.fetchval("SELECT count(*) FROM api_keys WHERE key_id = $1", made["token_id"])
        assert await conn.fetchval("SELECT count(*) FROM api_keys WHERE made_of IS NULL") == before


async def test_the_command_line_makes_keys_and_tokens_for_less(system: System) -> None:
    made = json.loads(
        await run_command(
            system, "admin", "create-key", "--customer", "cust_a", "--scope", "workloads:read", "--json"
        )
    )
    token = json.loads(await run_command(system, "token", "--expires-in", "10m", "--json", key=made["api_key"]))
    assert token["scopes"] == ["workloads:read"]
    assert (await system.call("GET", "/workloads", key=token["token"]))[0] == 200
    assert (await system.call("POST", "/workloads", {}, key=token["token"]))[0] == 403
    rotated = json.loads(
        await run_command(
            system, "admin", "rotate-key", made["key_id"], "--customer", "cust_a", "--overlap", "0s", "--json"
        )
    )
    assert (await system.call("GET", "/workloads", key=rotated["api_key"]))[0] == 200
    await ends(system, made["api_key"])
    listed = json.loads(await run_command(system, "admin", "list-keys", "--customer", "cust_a", "--json"))
    assert rotated["key_id"] in {key["key_id"] for key in listed["api_keys"]}


async def run_command(system: System, *arguments: str, key: str = "") -> str:
    """What ``niyanta`` prints; fails when it fails."""
    environment = {**os.environ, "NIYANTA_DATABASE_URL": system.database_url, "NIYANTA_URL": system.url("")}
    if key:
        environment["NIYANTA_API_KEY"] = key
    command = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "niyanta.cli.main",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    printed, said = await command.communicate()
    assert command.returncode == 0, said.decode()
    return printed.decode()
