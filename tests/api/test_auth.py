"""Who may call: keys, tokens, roles, and what never leaves the service."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from niyanta.domain.api_keys import customer_of, spell_key
from niyanta.server.rest.frame.operation import Access, Operation
from support.pace import pace
from support.system import System, running_system

SECRET = "0123456789abcdef0123456789abcdef-canary"

PUBLIC = {
    "/health",
    "/ready",
    "/v1/health",
    "/v1/ready",
    "/docs",
    "/v1/docs",
    "/v1/openapi.json",
    "/v1/openapi.yaml",
}
"""Every path that anybody may read. A new one is public only after somebody has written it here."""


def filled(path: str) -> str:
    """A path with an id in each place, below ``/v1`` where it is."""
    for name, value in {
        "workload_id": "wl_01h455vb4pex5vsknk084sn02q",
        "config_id": "wlcfg_01h455vb4pex5vsknk084sn02q",
        "customer_id": "cust_a",
        "key_id": "key_0",
        "token_id": "tok_0",
        "session_id": "jwt_0",
        "sequence": "1",
        "worker_id": "w1",
    }.items():
        path = path.replace("{" + name + "}", value)
    assert "{" not in path
    return path


async def answer(system: System, operation: Operation, key: str | None) -> tuple[int, Any, Any]:
    """(status, body, headers) of an operation called with an empty body."""
    headers = {} if key is None else {"Authorization": f"Bearer {system.keys.get(key, key)}"}
    if operation.body is not None:
        headers["Content-Type"] = "application/json"
    async with system.http.request(
        operation.method,
        system.url(filled(operation.path)),
        headers=headers,
        data=b"{}" if operation.body is not None else None,
    ) as response:
        if response.content_type == "text/event-stream":
            return response.status, None, response.headers  # it has no end
        raw = await response.read()
        is_json = raw and response.content_type == "application/json"
        return response.status, json.loads(raw) if is_json else raw, response.headers


async def test_every_operation_but_the_public_ones_needs_credentials(system: System) -> None:
    assert len(system.coordinator.operations) > 20
    for operation in system.coordinator.operations:
        if operation.path in PUBLIC:
            continue
        for key in (None, "nonsense", "nyt_cust_a_" + "0" * 32, spell_key("cust_a", "0" * 26)):
            status, body, headers = await answer(system, operation, key)
            assert (status, body["error"]["code"]) == (401, "UNAUTHORIZED"), operation.operation_id
            assert "X-RateLimit-Limit" not in headers
        assert operation.access is not Access.PUBLIC, operation.path


async def test_roles(system: System) -> None:
    await system.customers.create_customer("cust_s", "cust_s", "enterprise")
    for name, role in (("suspended", "customer"), ("suspended admin", "admin")):
        system.keys[name] = (await system.customers.create_key("cust_s", name, role))[1]
    await system.customers.update_customer("cust_s", status="suspended")
    for operation in system.coordinator.operations:
        if operation.access is Access.PUBLIC:
            continue
        for key in ("suspended", "suspended admin"):
            status, body, _ = await answer(system, operation, key)
            assert (status, body["error"]["code"]) == (403, "FORBIDDEN"), operation.operation_id
        status, body, headers = await answer(system, operation, "cust_b")
        if operation.access is Access.ADMIN:
            assert (status, body["error"]["code"]) == (403, "FORBIDDEN"), operation.operation_id
        else:
            assert status not in (401, 403), operation.operation_id
        assert all(f"X-RateLimit-{what}" in headers for what in ("Limit", "Remaining", "Reset"))
    await system.worker("w1")
    await system.call("POST", "/admin/workers/w1/drain", key="admin")  # so that there is one to tell of
    for operation in system.coordinator.operations:
        if operation.access is Access.ADMIN and operation.method == "GET":
            status, _, headers = await answer(system, operation, "admin")
            assert status == 200, operation.operation_id
            assert "X-RateLimit-Limit" not in headers


async def test_an_admin_path_answers_a_customer_the_same_whatever_the_id(system: System) -> None:
    await system.worker("w1")
    for method, path in (
        ("DELETE", "/admin/workers/{}"),
        ("POST", "/admin/workers/{}/drain"),
        ("POST", "/admin/workers/{}/undrain"),
        ("GET", "/admin/customers/{}"),
        ("GET", "/admin/customers/{}/api-keys"),
    ):
        answers = []
        for name in ("w1", "cust_a", "cust_nobody", "no%20id", "a" * 300):
            status, body, _ = await system.call(method, path.format(name))
            body["error"].pop("request_id")
            answers.append((status, body))
        assert answers == [answers[0]] * 5
        assert answers[0][0] == 403


async def gone(system: System, key: str, via: Any, status: int, seconds: float) -> None:
    """Wait until a key's calls answer with the status; fails when the time is up."""
    async with asyncio.timeout(seconds):
        while (await system.call("GET", "/workloads", key=key, via=via))[0] != status:
            await asyncio.sleep(0.01)


async def test_revocation_reaches_every_replica_within_a_second(system: System) -> None:
    async with system.another_coordinator() as other:
        for number, by_api in enumerate((True, False)):
            made, key = await system.customers.create_key("cust_b", f"short-lived {number}")
            for via in (system.coordinator, other):
                assert (await system.call("GET", "/workloads", key=key, via=via))[0] == 200
            if by_api:
                path = f"/admin/customers/cust_b/api-keys/{made.key_id}"
                assert (await system.call("DELETE", path, key="admin"))[0] == 204
                assert (await system.call("GET", "/workloads", key=key))[0] == 401
            else:  # as from the command line: nobody tells the replicas
                await system.customers.revoke_key(made.key_id)
            for via in (system.coordinator, other):
                await gone(system, key, via, 401, 1.0)


async def test_a_suspension_reaches_every_replica_and_ends(system: System) -> None:
    async with system.another_coordinator() as other:
        for status, code in (("suspended", 403), ("active", 200)):
            _, body, _ = await system.call("PATCH", "/admin/customers/cust_b", {"status": status}, key="admin")
            assert body["status"] == status
            assert (await system.call("GET", "/workloads", key="cust_b"))[0] == code
            await gone(system, "cust_b", other, code, 1.0)


async def test_a_key_ends_with_its_time(system: System) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=1.2)
    status, made, _ = await system.call(
        "POST",
        "/admin/customers/cust_b/api-keys",
        {"name": "short", "expires_at": expires_at.isoformat()},
        key="admin",
    )
    assert status == 201, made
    assert (await system.call("GET", "/workloads", key=made["api_key"]))[0] == 200
    await gone(system, made["api_key"], None, 401, 3.0)
    assert datetime.now(UTC) >= expires_at
    _, listed, _ = await system.call("GET", "/admin/customers/cust_b/api-keys", key="admin")
    assert [key["status"] for key in listed["api_keys"]] == ["active", "expired"]


async def test_two_keys_of_a_customer_are_good_together_and_their_use_is_noted(system: System) -> None:
    _, second = await system.customers.create_key("cust_b", "second")
    workload = (await system.worker(), await system.submit("cust_b"))[1]
    assert (await system.call("GET", f"/workloads/{workload}", key=second))[0] == 200
    async with asyncio.timeout(10):
        while True:
            _, listed, _ = await system.call("GET", "/admin/customers/cust_b/api-keys", key="admin")
            if all(key["last_used_at"] for key in listed["api_keys"]):
                break
            await asyncio.sleep(0.05)


async def test_a_key_row_with_another_customer_than_the_key_says_is_refused(system: System) -> None:
    key = system.keys["cust_b"]
    connection = await asyncpg.connect(system.database_url)
    await connection.execute("UPDATE api_keys SET customer_id = 'cust_a' WHERE customer_id = 'cust_b'")
    await connection.close()
    assert customer_of(key) == "cust_b"
    assert (await system.call("GET", "/workloads", key=key))[0] == 401


async def test_bad_keys_are_refused_without_the_database(system: System) -> None:
    assert (await system.call("GET", "/workloads"))[0] == 200
    outcomes = set()
    retry_after = 0
    for number in range(120):
        status, _, headers = await system.call("GET", "/workloads", key=spell_key("cust_a", f"{number:026d}"))
        outcomes.add(status)
        retry_after = max(retry_after, int(headers.get("Retry-After", 0)))
    assert outcomes == {401, 429}
    assert retry_after >= 1
    assert (await system.call("GET", "/workloads"))[0] == 200


def token(**changes: Any) -> str:
    now = int(time.time())
    claims = {"sub": "user_123", "customer_id": "cust_a", "tier": "enterprise", "exp": now + 600, "iat": now}
    return jwt.encode({**claims, **changes}, SECRET, algorithm="HS256")


@pytest.fixture
async def jwt_system(database_url: str, nats_url: str, subject_prefix: str) -> AsyncIterator[System]:
    async with running_system(
        database_url, nats_url, subject_prefix, jwt_algorithm="HS256", jwt_secret=SECRET
    ) as found:
        yield found


async def test_a_token_does_what_its_customer_may_and_no_more(jwt_system: System) -> None:
    system = jwt_system
    await system.worker()
    await system.customers.update_customer("cust_a", tier="free")
    mine = await system.submit(key=token())
    _, trail, headers = await system.call("GET", f"/workloads/{mine}/audit", key=token())
    assert (trail["events"][0]["actor_type"], trail["events"][0]["actor_id"]) == ("user", "user_123")
    async with asyncio.timeout(3 * pace()):  # whatever the token's tier says
        while headers["X-RateLimit-Limit"] != "1":
            _, _, headers = await system.call("GET", f"/workloads/{mine}", key=token(tier="enterprise"))
    assert (await system.call("GET", f"/workloads/{mine}", key=token(customer_id="cust_b")))[0] == 404
    assert (await system.call("GET", "/workloads", key=token(customer_id="cust_nobody")))[0] == 401
    for claims in ({"role": "admin"}, {"admin": True, "scope": "admin", "roles": ["admin"]}):
        found = token(customer_id="cust_b", **claims)
        assert (await system.call("GET", "/admin/workers", key=found))[0] == 403
    suspended = token(customer_id="cust_b")
    await system.call("PATCH", "/admin/customers/cust_b", {"status": "suspended"}, key="admin")
    assert (await system.call("GET", "/workloads", key=suspended))[0] == 403


async def test_without_settings_no_token_is_accepted(system: System) -> None:
    assert (await system.call("GET", "/workloads", key=token()))[0] == 401


async def test_keys_come_from_a_url_also_after_it_was_away(
    database_url: str, nats_url: str, subject_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("niyanta.server.access.tokens.REFETCH_SECONDS", 0.0)
    key = rsa.generate_private_key(65537, 2048)
    served: dict[str, Any] = {"status": 500, "keys": [], "asked": 0}

    async def keys(request: web.Request) -> web.Response:
        served["asked"] += 1
        return web.json_response({"keys": served["keys"]}, status=served["status"])

    application = web.Application()
    application.router.add_get("/keys", keys)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
    claims = {"sub": "user_1", "customer_id": "cust_a", "exp": int(time.time()) + 600}
    found = jwt.encode(claims, key, algorithm="RS256", headers={"kid": "one"})
    async with running_system(database_url, nats_url, subject_prefix, jwt_algorithm="RS256", jwt_jwks=url) as system:
        status, body, headers = await system.call("GET", "/workloads", key=found)
        assert (status, body["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert "Retry-After" in headers
        public = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
        served.update(status=200, keys=[{**public, "kid": "one"}])
        assert (await system.call("GET", "/workloads", key=found))[0] == 200
        asked = served["asked"]
        assert (await system.call("GET", "/workloads", key=found))[0] == 200
        assert served["asked"] == asked
    await runner.cleanup()


async def test_credentials_never_reach_a_log_the_metrics_or_the_database(
    jwt_system: System, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    system = jwt_system
    caplog.set_level(logging.DEBUG)
    await system.worker()
    _, made, _ = await system.call("POST", "/admin/customers/cust_b/api-keys", {"name": "canary"}, key="admin")
    forged = token()[:-3] + "abc"
    credentials = [*system.keys.values(), made["api_key"], token(), forged, spell_key("cust_a", "canary" + "0" * 20)]
    for key in credentials:
        for method, path, body in (
            ("GET", "/workloads", None),
            ("POST", "/workloads", {"workload_type": "count", "input_params": {}}),
            ("POST", "/workloads", {"workload_type": 1}),
            ("GET", "/workloads/none?nothing=1", None),
            ("GET", "/admin/workers", None),
            ("PUT", "/health", None),
        ):
            await system.call(method, path, body, key=key, Idempotency_Key="canary-idempotency")
    async with system.http.get(
        system.url("/v1/metrics"), headers={"Authorization": f"Bearer {system.keys['admin']}"}
    ) as response:
        shown = await response.text()
    assert "niyanta_workload" in shown
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert any(record.levelno == logging.DEBUG for record in caplog.records)
    out, err = capfd.readouterr()
    connection = await asyncpg.connect(system.database_url)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = []
    for table in tables:
        rows += await connection.fetch(f'SELECT t::text AS line FROM "{table["tablename"]}" t')
    await connection.close()
    stored = "\n".join(row["line"] for row in rows)
    assert made["key_id"] in stored
    secrets = [*(key for key in credentials), *(key[-32:] for key in credentials), SECRET, "canary-idempotency"]
    for secret in secrets:
        for place in (logged, out, err, shown):
            assert secret not in place
        if secret != "canary-idempotency":
            assert secret not in stored


async def test_no_body_assigns_what_the_service_decides(system: System) -> None:
    await system.worker()
    _, listed, _ = await system.call("GET", "/admin/customers", key="admin")
    workload = await system.get(await system.submit())
    _, key, _ = await system.call("POST", "/admin/customers/cust_b/api-keys", {"name": "x"}, key="admin")
    submitted = {"workload_type", "input_params", "priority", "affinity_rules", "timeout_seconds", "labels"}
    cases: list[tuple[str, str, dict[str, Any], dict[str, Any], set[str]]] = [
        ("POST", "/workloads", {"workload_type": "count", "input_params": {}}, workload, submitted),
        ("POST", f"/workloads/{workload['workload_id']}/cancel", {}, workload, set()),
        (
            "POST",
            "/admin/customers",
            {"name": "x"},
            listed["customers"][0],
            {"name", "customer_id", "tier", "limits"},
        ),
        ("PATCH", "/admin/customers/cust_b", {}, listed["customers"][0], {"name", "tier", "limits", "status"}),
        ("POST", "/admin/customers/cust_b/api-keys", {"name": "x"}, key, {"name", "role", "expires_at", "scopes"}),
    ]
    for method, path, body, fields, allowed in cases:
        refused = 0
        for field, value in fields.items():
            if field in allowed:
                continue
            who = "admin" if "admin" in path else "cust_a"
            status, found, _ = await system.call(method, path, {**body, field: value}, key=who)
            assert (status, found["error"]["code"]) == (400, "INVALID_INPUT"), (path, field)
            assert field in json.dumps(found["error"])
            refused += 1
        assert refused
    assert (await system.get(workload["workload_id"]))["status"] != "CANCELLED"


async def test_every_response_forbids_guessing_and_caching_and_no_origin_is_allowed(system: System) -> None:
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    paths = [(o.method, filled(o.path)) for o in system.coordinator.operations]
    paths += [("GET", "/"), ("GET", "/v1/nothing"), ("PATCH", "/v1/workloads")]
    paths += [("OPTIONS", path) for _, path in paths]
    for method, path in paths:
        for key in ("cust_b", None):
            headers = {} if key is None else {"Authorization": f"Bearer {system.keys[key]}"}
            sent = headers | origin
            async with system.http.request(method, system.url(path), headers=sent, allow_redirects=False) as response:
                if response.content_type != "text/event-stream":  # which has no end
                    await response.read()
            assert response.headers.get("X-Content-Type-Options") == "nosniff", (method, path, response)
            assert response.headers.get("Cache-Control") == "no-store", (method, path)
            assert response.headers["X-Request-ID"]
            assert not [name for name in response.headers if name.lower().startswith("access-control")]
            assert response.status < 500 or path.endswith("/ready"), (method, path)
