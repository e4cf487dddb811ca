"""What belongs to another customer answers like what doesn't exist: every route and every gRPC method, by itself.

A new one joins by being in the OpenAPI document, or in the proto. One with an id of a new kind fails here until
`owned` knows how a customer comes to such an object.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from niyanta.wire import messages
from niyanta.wire.v1 import admin_service_pb2, workload_service_pb2
from support.openapi_document import DOCUMENT, answer_schema, operations, resolve
from support.scripted_worker import ScriptedWorker
from support.system import System, beating

Answer = tuple[int, str, dict[str, str]]

CHANGES_BY_ITSELF = {"Date", "X-Request-ID", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
"""Headers whose value depends on when a request came; that they are there is compared all the same."""

BY_CUSTOMER = [(path, method) for path, method, found in operations() if {"ApiKey": []} in found["security"]]
BY_ADMIN = [(path, method) for path, method, found in operations() if found["security"] == [{"AdminApiKey": []}]]
PUBLIC = [(path, method) for path, method, found in operations() if found["security"] == []]
WITH_IDS = [(path, method) for path, method in BY_CUSTOMER if "{" in path]


def never_issued(real: str) -> str:
    """An id of the same form and length that nobody was ever given."""
    end = "zz0zz0"
    assert not real.endswith(end)
    return real[: -len(end)] + end


def body_of(path: str, method: str) -> Any:
    """A body that the operation takes: the example of the document."""
    request = DOCUMENT["paths"][path][method].get("requestBody")
    return None if request is None else request["content"]["application/json"].get("example", {})


CHECKPOINT = """
INSERT INTO checkpoints (customer_id, workload_id, sequence, generation, encoding, object_key, size_bytes, sha256,
                         progress_percent)
VALUES ('cust_a', $1, 1, 1, 'json', 'nowhere', 0, sha256(''), 10)
"""


@pytest.fixture
async def worker(system: System) -> AsyncIterator[ScriptedWorker]:
    """A worker that lives as long as the test."""
    found = await system.worker()
    async with beating(found):
        yield found


async def owned(system: System, worker: ScriptedWorker, state: str) -> dict[str, str]:
    """Ids of objects of ``cust_a``, by the name of the path parameter."""
    waiting = {"hard_affinity": {"worker_id": "nobody"}} if state == "PENDING" else None
    workload_id = await system.submit(affinity_rules=waiting)
    if state != "PENDING":
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started(), messages.LogLine("INFO", "secret"))
        if state == "COMPLETED":
            await worker.report(ref, messages.Completed(b'{"secret": 1}'))
        await system.until(workload_id, state)
    body = body_of("/v1/workload-configs", "post") | {"workload_type": f"type_{secrets.token_hex(4)}"}
    status, config, _ = await system.call("POST", "/workload-configs", body)
    assert status == 201, config
    status, token, _ = await system.call("POST", "/tokens", {})
    assert status == 201, token
    conn = await asyncpg.connect(system.database_url)
    try:
        await conn.execute(CHECKPOINT, workload_id)
    finally:
        await conn.close()
    return {
        "workload_id": workload_id,
        "config_id": config["config_id"],
        "token_id": token["token_id"],
        "sequence": "1",
    }


async def ask(system: System, method: str, path: str, body: Any, key: str, query: str = "") -> Answer:
    """(status, body without the request id, headers without what changes by itself)."""
    sent = {"Authorization": f"Bearer {system.keys.get(key, key)}"}
    if body is not None:
        sent["Content-Type"] = "application/json"
    data = None if body is None else json.dumps(body)
    async with system.http.request(method, system.url(path) + query, data=data, headers=sent) as response:
        text = "" if response.content_type == "text/event-stream" else await response.text()
        request_id = response.headers["X-Request-ID"]
        headers = {
            name: "" if name in CHANGES_BY_ITSELF else value for name, value in sorted(response.headers.items())
        }
        return response.status, text.replace(request_id, "…"), headers


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETED"])
async def test_foreign_ids_answer_like_ids_never_issued(system: System, worker: ScriptedWorker, state: str) -> None:
    ids = await owned(system, worker, state)
    before = (await system.get(ids["workload_id"]))["version"]
    for path, method in WITH_IDS:
        for body in (body_of(path, method), {"unknown_field": 1}):
            for query in ("", "?unknown_parameter=1"):
                real = await ask(system, method, path.format(**ids), body, "cust_b", query)
                fake_ids = {name: never_issued(value) for name, value in ids.items()}
                fake = await ask(system, method, path.format(**fake_ids), body, "cust_b", query)
                assert real == fake, f"{method} {path}{query} with {body}"
                assert real[0] == 404, f"{method} {path}{query} with {body}: {real}"
    assert (await system.get(ids["workload_id"]))["version"] == before


async def test_the_owner_is_not_told_404(system: System, worker: ScriptedWorker) -> None:
    """Else the comparison above would compare nothing."""
    for path, method in WITH_IDS:
        ids = await owned(system, worker, "PENDING")
        status, _, _ = await ask(system, method, path.format(**ids), body_of(path, method), "cust_a")
        assert status != 404, f"{method} {path}"
        answer_schema(path, method, status)


LISTS = [
    (path, method)
    for path, method in BY_CUSTOMER
    if method == "get" and "cursor" in {p["name"] for p in DOCUMENT["paths"][path][method].get("parameters", [])}
]


async def test_lists_show_and_count_only_what_is_ones_own(system: System, worker: ScriptedWorker) -> None:
    paths = [path for path, _ in LISTS if "{" not in path]
    empty = {path: await ask(system, "get", path, None, "cust_b") for path in paths}
    ids = await owned(system, worker, "PENDING")
    for path in paths:
        assert await ask(system, "get", path, None, "cust_b") == empty[path]
        _, text, _ = await ask(system, "get", path, None, "cust_a")
        assert any(value in text for value in ids.values()), path


async def test_a_cursor_of_another_customer_shows_nothing_of_theirs(system: System, worker: ScriptedWorker) -> None:
    ids = await owned(system, worker, "PENDING")
    for _ in range(3):
        await system.submit()
    own = await system.submit("cust_b")
    _, page, _ = await system.call("GET", "/workloads?limit=2")
    cursor = page["pagination"]["next_cursor"]
    status, text, _ = await ask(system, "get", "/v1/workloads", None, "cust_b", f"?cursor={cursor}")
    assert ids["workload_id"] not in text
    if status == 200:
        assert {row["workload_id"] for row in json.loads(text)["workloads"]} <= {own}
    else:
        assert status == 400


BULK = [
    (path, method, name)
    for path, method in BY_CUSTOMER
    if (request := DOCUMENT["paths"][path][method].get("requestBody"))
    for name in resolve(request["content"]["application/json"]["schema"].get("$ref", "#")).get("properties", {})
    if name in ("workload_ids", "config_ids")
]


async def test_foreign_ids_in_a_body_answer_like_ids_never_issued(system: System, worker: ScriptedWorker) -> None:
    ids = await owned(system, worker, "RUNNING")
    before = (await system.get(ids["workload_id"]))["version"]
    assert BULK
    for path, method, field in BULK:
        real = ids[field.removesuffix("s")]
        fake = never_issued(real)
        foreign = await ask(system, method, path, {field: [real]}, "cust_b")
        missing = await ask(system, method, path, {field: [fake]}, "cust_b")
        assert (foreign[0], foreign[1].replace(real, fake), foreign[2]) == missing, f"{method} {path}"
        assert foreign[0] != 400, f"{method} {path}"
    assert (await system.get(ids["workload_id"]))["version"] == before


async def test_each_route_wants_credentials_unless_it_is_public(system: System) -> None:
    names = ("workload_id", "config_id", "worker_id", "customer_id", "key_id", "token_id", "session_id", "sequence")
    ids = dict.fromkeys(names, "x1")
    for path, method in BY_CUSTOMER + BY_ADMIN:
        for key in ("nonsense", "nyt_cust_a_" + "0" * 32):
            status, text, _ = await ask(system, method, path.format(**ids), body_of(path, method), key)
            assert status == 401, f"{method} {path}"
            assert json.loads(text)["error"]["code"] == "UNAUTHORIZED"
    for path, method in PUBLIC:
        status, _, _ = await ask(system, method, path.format(**ids), None, "nonsense")
        assert status in (200, 503), f"{method} {path}"


async def test_admin_routes_are_closed_to_customers_whatever_they_name(
    system: System, worker: ScriptedWorker
) -> None:
    real = {
        "worker_id": worker.worker_id,
        "customer_id": "cust_a",
        "key_id": "key_x",
        "token_id": "jt_x",
        "session_id": "jwt_x",
    }
    fake = {"worker_id": "w_never", "customer_id": "cust_never", "key_id": "key_never", "token_id": "jt_never"}
    fake["session_id"] = "jwt_never"
    for path, method in BY_ADMIN:
        for body in (body_of(path, method), {"unknown_field": 1}):
            first = await ask(system, method, path.format(**real), body, "cust_b", "?unknown=1")
            second = await ask(system, method, path.format(**fake), body, "cust_b")
            assert first == second, f"{method} {path}"
            assert first[0] == 403, f"{method} {path}"
            assert json.loads(first[1])["error"]["code"] == "FORBIDDEN"


async def test_admin_routes_are_open_to_admins(system: System) -> None:
    fake = {"worker_id": "w_never", "customer_id": "cust_never", "key_id": "key_never", "token_id": "jt_never"}
    fake["session_id"] = "jwt_never"
    for path, method in BY_ADMIN:
        status, _, headers = await ask(system, method, path.format(**fake), body_of(path, method), "admin")
        assert status not in (401, 403, 405, 429, 500), f"{method} {path}"
        assert "X-RateLimit-Limit" not in headers
        answer_schema(path, method, status)


def test_everything_under_admin_needs_the_admin_role() -> None:
    for path, method, found in operations():
        if path.startswith("/v1/admin/"):
            assert found["security"] == [{"AdminApiKey": []}], f"{method} {path}"


# --- WebSocket ------------------------------------------------------------------------------------

SOCKETS = list(DOCUMENT["x-websocket"])


async def handshake(system: System, path: str, key: str) -> Answer:
    """What a server answers that wants to become a WebSocket."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Authorization": f"Bearer {system.keys.get(key, key)}",
        "X-Request-ID": "same-for-all",
    }
    async with system.http.get(system.url(path), headers=upgrade) as response:
        text = "" if response.status == 101 else await response.text()
        headers = {
            name: "" if name in CHANGES_BY_ITSELF else value for name, value in sorted(response.headers.items())
        }
        return response.status, text, headers


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETED"])
async def test_a_handshake_for_a_foreign_id_answers_like_one_never_issued(
    system: System, worker: ScriptedWorker, state: str
) -> None:
    ids = await owned(system, worker, state)
    fake_ids = {name: never_issued(value) for name, value in ids.items()}
    for path in SOCKETS:
        foreign = await handshake(system, path.format(**ids), "cust_b")
        assert foreign == await handshake(system, path.format(**fake_ids), "cust_b"), path
        assert foreign[0] == 404, path
        assert (await handshake(system, path.format(**ids), "nonsense"))[0] == 401
        assert (await handshake(system, path.format(**ids), "cust_a"))[0] == 101


# --- gRPC -----------------------------------------------------------------------------------------

METHODS = workload_service_pb2.DESCRIPTOR.services_by_name["WorkloadService"].methods
ADMIN_METHODS = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"].methods


async def call_grpc(system: System, method: Any, fields: dict[str, Any], key: str) -> tuple[Any, ...]:
    """(code, message, details, answers, metadata's names) of one call."""
    request = GetMessageClass(method.input_type)(**fields)
    sent = (("authorization", f"Bearer {system.keys[key]}"), ("x-request-id", "same-for-all"))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{system.coordinator.grpc_port}") as channel:
        kind = channel.unary_stream if method.server_streaming else channel.unary_unary
        start = kind(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        call = start(request, metadata=sent, timeout=10)
        answers = []
        try:
            if method.server_streaming:
                async for answer in call:
                    answers.append(answer)
                    break
                else:
                    await call.code()
            else:
                answers.append(await call)
        except grpc.aio.AioRpcError as error:
            named = {name: value for name, value in error.trailing_metadata() or () if "ratelimit" not in name}
            return error.code(), error.details(), sorted(named.items()), sorted(dict(error.initial_metadata() or ()))
        return grpc.StatusCode.OK, answers


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETED"])
async def test_grpc_answers_foreign_ids_like_ids_never_issued(
    system: System, worker: ScriptedWorker, state: str
) -> None:
    ids = await owned(system, worker, state)
    del ids["sequence"]  # names nothing by itself
    before = await system.get(ids["workload_id"])
    asked = 0
    for method in METHODS:
        for name, real in ids.items():
            if name not in method.input_type.fields_by_name:
                continue
            asked += 1
            foreign = await call_grpc(system, method, {name: real}, "cust_b")
            missing = await call_grpc(system, method, {name: never_issued(real)}, "cust_b")
            assert foreign == missing, method.name
            assert foreign[0] is grpc.StatusCode.NOT_FOUND, method.name
            own = await call_grpc(system, method, {name: real}, "cust_a") if method.name.startswith("Get") else None
            assert own is None or own[0] is grpc.StatusCode.OK
    assert asked >= 5
    assert (await system.get(ids["workload_id"]))["version"] == before["version"]
    assert any("workload_ids" in method.input_type.fields_by_name for method in METHODS)
    for method in METHODS:
        for name, real in ids.items():
            if f"{name}s" in method.input_type.fields_by_name:
                foreign = await call_grpc(system, method, {f"{name}s": [real]}, "cust_b")
                missing = await call_grpc(system, method, {f"{name}s": [never_issued(real)]}, "cust_b")
                assert foreign[0] is grpc.StatusCode.OK, method.name
                assert str(foreign).replace(real, never_issued(real)) == str(missing), method.name
    assert (await system.get(ids["workload_id"]))["version"] == before["version"]


async def test_grpc_admin_methods_are_closed_to_customers_whatever_they_name(
    system: System, worker: ScriptedWorker
) -> None:
    for method in ADMIN_METHODS:
        about_one = "worker_id" in method.input_type.fields_by_name
        for name in (worker.worker_id, "w_never", "no id", ""):
            refused = await call_grpc(system, method, {"worker_id": name} if about_one else {}, "cust_b")
            assert refused[:2] == (grpc.StatusCode.PERMISSION_DENIED, "This needs a key with the admin role"), (
                method.name
            )
    assert (await worker.beat()).ok
    assert not (await worker.beat()).draining


async def test_grpc_admin_methods_are_open_to_admins(system: System, worker: ScriptedWorker) -> None:
    for method in ADMIN_METHODS:
        about_one = "worker_id" in method.input_type.fields_by_name
        found = await call_grpc(system, method, {"worker_id": "w_never"} if about_one else {}, "admin")
        assert found[0] is (grpc.StatusCode.NOT_FOUND if about_one else grpc.StatusCode.OK), method.name
