"""Who is in, and how operators send them out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest

from niyanta import AsyncClient
from support.pace import pace
from support.system import System, running_system

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def system(database_url: str, nats_url: str, subject_prefix: str) -> AsyncIterator[System]:
    settings = {"jwt_algorithm": "HS256", "jwt_secret": SECRET}
    async with running_system(database_url, nats_url, subject_prefix, **settings) as found:
        yield found


def a_jwt(subject: str, customer_id: str = "cust_a", issued_ago: float | None = 0.0) -> str:
    now = time.time()
    claims: dict[str, Any] = {"sub": subject, "customer_id": customer_id, "exp": int(now) + 600}
    if issued_ago is not None:
        claims["iat"] = now - issued_ago
    return jwt.encode(claims, SECRET, algorithm="HS256")


async def status_of(system: System, credential: str) -> int:
    return int((await system.call("GET", "/workloads", key=credential))[0])


async def sessions(system: System, query: str = "") -> list[dict[str, Any]]:
    status, body, _ = await system.call("GET", f"/admin/sessions{query}", key="admin")
    assert status == 200, body
    return list(body["sessions"])


async def shown(system: System, name: str) -> dict[str, Any]:
    """The session with this name, once its use has been noted."""
    async with asyncio.timeout(15):
        while True:
            for session in await sessions(system, "?limit=1000"):
                if session["name"] == name and session["last_used_at"]:
                    return session
            await asyncio.sleep(0.05)


async def test_who_came_in_is_shown_with_when_and_from_where(system: System) -> None:
    assert await status_of(system, a_jwt("ana@example.com")) == 200
    assert await status_of(system, a_jwt("ben@example.com", "cust_b")) == 200
    _, made, _ = await system.call("POST", "/tokens", {"scopes": ["workloads:read"]}, key="cust_b")
    assert await status_of(system, made["token"]) == 200
    ana, ben = await shown(system, "ana@example.com"), await shown(system, "ben@example.com")
    assert (ana["kind"], ana["customer_id"], ana["last_used_from"]) == ("json_web_token", "cust_a", "127.0.0.1")
    assert ana["session_id"] != ben["session_id"]
    found = await sessions(system, "?customer_id=cust_b&limit=1000")
    assert {session["kind"] for session in found} == {"api_key", "api_token", "json_web_token"}
    (token,) = await sessions(system, "?kind=api_token")
    assert (token["session_id"], token["customer_id"]) == (made["token_id"], "cust_b")
    assert len(await sessions(system, "?limit=1")) == 1
    assert {session["kind"] for session in await sessions(system, "?used_within_seconds=60")} >= {
        "json_web_token",
        "api_token",
    }
    everything = str(await sessions(system, "?limit=1000"))
    assert not any(secret in everything for secret in (*system.keys.values(), made["token"], SECRET))
    assert (await system.call("GET", "/admin/sessions"))[0] == 403


async def test_whoever_is_sent_out_is_out_on_every_replica_and_may_sign_in_anew(system: System) -> None:
    old, other, timeless = a_jwt("eve", issued_ago=1.0), a_jwt("ana"), a_jwt("eve", issued_ago=None)
    for token in (old, other, timeless):
        assert await status_of(system, token) == 200
    session = (await shown(system, "eve"))["session_id"]
    async with system.another_coordinator(jwt_algorithm="HS256", jwt_secret=SECRET) as replica:
        assert (await system.call("GET", "/workloads", key=old, via=replica))[0] == 200
        for _ in range(2):
            assert (await system.call("DELETE", f"/admin/sessions/{session}", key="admin"))[0] == 204
        async with asyncio.timeout(2 * pace()):
            while (await system.call("GET", "/workloads", key=old, via=replica))[0] != 401:
                await asyncio.sleep(0.02)
    assert [await status_of(system, token) for token in (old, timeless, other)] == [401, 401, 200]
    assert "eve" not in {found["name"] for found in await sessions(system, "?limit=1000")}
    await asyncio.sleep(1.1)  # seconds are what tokens count in
    again = a_jwt("eve")
    assert await status_of(system, again) == 200
    assert await status_of(system, old) == 401
    async with asyncio.timeout(15):
        while "eve" not in {found["name"] for found in await sessions(system, "?limit=1000")}:
            await asyncio.sleep(0.05)


async def test_keys_and_tokens_are_sent_out_by_the_same_way(system: System) -> None:
    _, token, _ = await system.call("POST", "/tokens", {}, key="cust_b")
    _, key, _ = await system.call("POST", "/admin/customers/cust_b/api-keys", {"name": "extra"}, key="admin")
    for session_id, credential in ((token["token_id"], token["token"]), (key["key_id"], key["api_key"])):
        assert await status_of(system, credential) == 200
        assert (await system.call("DELETE", f"/admin/sessions/{session_id}", key="admin"))[0] == 204
        assert await status_of(system, credential) == 401
    assert await status_of(system, "cust_b") == 200
    for unknown in ("jwt_00000000000000000000", "key_none", "x1"):
        assert (await system.call("DELETE", f"/admin/sessions/{unknown}", key="admin"))[0] == 404
    _, record, _ = await system.call("GET", f"/admin/audit?target={key['key_id']}", key="admin")
    assert "revokeSession" in {action["action"] for action in record["actions"]}


async def test_guesses_leave_no_trace_among_sessions(system: System) -> None:
    forged = jwt.encode(
        {"sub": "mallory", "customer_id": "cust_a", "exp": int(time.time()) + 600}, "x" * 32, algorithm="HS256"
    )
    nobody_s = a_jwt("stranger", "cust_nobody")
    for token in (forged, nobody_s):
        assert await status_of(system, token) == 401
    assert await status_of(system, a_jwt("ana")) == 200
    await shown(system, "ana")
    assert not {"mallory", "stranger"} & {found["name"] for found in await sessions(system, "?limit=1000")}


async def test_the_client_lists_and_ends_sessions(system: System) -> None:
    assert await status_of(system, a_jwt("ana")) == 200
    await shown(system, "ana")
    async with AsyncClient(system.keys["admin"], system.url("")) as client:
        (found,) = await client.admin.sessions(kind="json_web_token", customer_id="cust_a", used_within_seconds=600)
        assert found.name == "ana"
        await client.admin.revoke_session(found.session_id)
        assert await client.admin.sessions(kind="json_web_token") == []
