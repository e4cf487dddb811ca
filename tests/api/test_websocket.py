"""The WebSocket API over real sockets: who gets in and how, what is told, and how each connection ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from niyanta.server.rest.endpoints import websocket
from niyanta.server.rest.endpoints.websocket import WorkloadSockets
from niyanta.wire import messages
from niyanta.wire.messages import AttemptRef
from support.scripted_worker import ScriptedWorker
from support.system import System, beating, running_system

NOWHERE = {"hard_affinity": {"worker_id": "nobody"}}
MISSING = "wl_00000000000000000000000000"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "X-Request-ID": "same",
}


def path(workload_id: str, query: str = "") -> str:
    return f"/v1/ws/workloads/{workload_id}{query}"


@contextlib.asynccontextmanager
async def connected(
    system: System,
    workload_id: str,
    *,
    key: str | None = "cust_a",
    query: str = "",
    via: Any = None,
    autoping: bool = True,
    **headers: str,
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        sent["Authorization"] = f"Bearer {system.keys.get(key, key)}"
    url = system.url(path(workload_id, query), via)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        http.ws_connect(url, headers=sent, compress=15, max_msg_size=0, autoclose=False, autoping=autoping) as ws,
    ):
        yield ws


async def message(ws: aiohttp.ClientWebSocketResponse, seconds: float = 20.0) -> dict[str, Any]:
    return dict(await ws.receive_json(timeout=seconds))


async def until_closed(
    ws: aiohttp.ClientWebSocketResponse, seconds: float = 20.0
) -> tuple[list[dict[str, Any]], int]:
    """All messages that still come, and the close code."""
    found = []
    async with asyncio.timeout(seconds):
        while (received := await ws.receive()).type is aiohttp.WSMsgType.TEXT:
            found.append(json.loads(received.data))
    assert received.type is aiohttp.WSMsgType.CLOSE, received
    return found, received.data


async def refused(
    system: System, address: str, *, key: str | None = None, **headers: str
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, body and headers of a handshake that is refused."""
    sent = HANDSHAKE | {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        sent["Authorization"] = f"Bearer {system.keys.get(key, key)}"
    async with system.http.get(system.url(address), headers=sent) as response:
        kept = {name.lower(): value for name, value in response.headers.items()}
        kept = {name: value for name, value in kept.items() if name != "date" and not name.startswith("x-ratelimit")}
        return response.status, await response.json(), kept


async def running(system: System, worker: ScriptedWorker, **fields: Any) -> AttemptRef:
    """A workload that has just been started; an assignment that nobody answers would soon be taken back."""
    await system.submit(**fields)
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, messages.Started())
    return ref


async def test_a_workload_is_told_from_its_snapshot_to_its_result(system: System) -> None:
    worker = await system.worker()
    ref = await running(system, worker)
    async with connected(system, ref.workload_id) as ws, beating(worker):
        snapshot = await message(ws)
        assert MOMENT.fullmatch(snapshot.pop("timestamp"))
        assert snapshot == {
            "type": "status_update",
            "workload_id": ref.workload_id,
            "status": "RUNNING",
            "progress_percent": 0,
            "message": None,
            "version": 3,
        }
        await worker.report(ref, messages.Progressed(65, "Processing frame 6500/10000"))
        told = sorted([await message(ws), await message(ws)], key=lambda m: str(m["type"]))
        line, progress = told
        assert (progress["progress_percent"], progress["message"]) == (65, "Processing frame 6500/10000")
        assert line["message"] == progress["message"]
        await worker.report(ref, messages.LogLine("WARN", "disk is full", {"free": 0}))
        line = await message(ws)
        assert MOMENT.fullmatch(line.pop("timestamp"))
        assert line == {
            "type": "log_line",
            "workload_id": ref.workload_id,
            "level": "WARN",
            "message": "disk is full",
            "details": {"free": 0},
            "version": 4,
        }
        await worker.report(ref, messages.Completed(b'{"sum": 6}'))
        (last,), code = await until_closed(ws)
        assert MOMENT.fullmatch(last.pop("timestamp"))
        assert last == {
            "type": "completed",
            "workload_id": ref.workload_id,
            "status": "COMPLETED",
            "progress_percent": 100,
            "result_data": {"sum": 6},
            "version": 5,
        }
        assert code == 1000
    async with connected(system, ref.workload_id) as ws:
        (again,), code = await until_closed(ws)
        assert (again["type"], again["version"], code) == ("completed", 5, 1000)


async def test_failing_and_cancelling_end_the_story_too(system: System) -> None:
    worker = await system.worker()
    ref = await running(system, worker)
    async with connected(system, ref.workload_id) as ws:
        await worker.report(ref, messages.Failed("no such codec", permanent=True))
        told, code = await until_closed(ws)
        assert [(m["type"], m["status"]) for m in told] == [("status_update", "RUNNING"), ("failed", "FAILED")]
        assert told[-1]["error_message"] == "no such codec"
        assert code == 1000
    workload_id = await system.submit(affinity_rules=NOWHERE)
    async with connected(system, workload_id) as ws:
        await message(ws)
        await system.call("POST", f"/workloads/{workload_id}/cancel", {"reason": "not needed"})
        (last,), code = await until_closed(ws)
        assert (last["type"], last["status"], last["message"]) == ("status_update", "CANCELLED", "not needed")
        assert code == 1000


async def test_three_ways_to_show_credentials(system: System) -> None:
    await system.worker()
    workload_id = await system.submit(affinity_rules=NOWHERE)
    async with connected(system, workload_id) as ws:
        assert (await message(ws))["status"] == "PENDING"
    async with connected(system, workload_id, key=None, query=f"?token={system.keys['cust_a']}") as ws:
        assert (await message(ws))["status"] == "PENDING"
    async with connected(system, workload_id, key=None) as ws:
        await ws.send_json({"type": "auth", "token": system.keys["cust_a"]})
        assert (await message(ws))["status"] == "PENDING"


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ({"type": "auth", "token": "nyt_cust_a_00000000000000000000000000000000"}, 4401),
        ({"type": "auth"}, 4401),
        ({"type": "hello", "token": "x"}, 4401),
        ("not JSON", 4401),
        ('{"type": "auth", "x": ' + "[" * 30_000, 4401),
        (b"\x00\x01", 4401),
        (None, 4401),
        ({"type": "auth", "token": "cust_b"}, 4404),
    ],
)
async def test_a_first_message_that_lets_nobody_in(
    system: System, monkeypatch: pytest.MonkeyPatch, first: Any, code: int
) -> None:
    monkeypatch.setattr(websocket, "MAX_AUTH_SECONDS", 2.0 if first is not None else 0.1)
    await system.worker()
    workload_id = await system.submit(affinity_rules=NOWHERE)
    async with connected(system, workload_id, key=None) as ws:
        if isinstance(first, dict):
            await ws.send_json({**first, "token": system.keys.get(first.get("token", ""), first.get("token"))})
        elif isinstance(first, bytes):
            await ws.send_bytes(first)
        elif first is not None:
            await ws.send_str(first)
        closed = await ws.receive(timeout=5)
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, code)
        assert closed.extra


async def test_refusals_before_the_handshake_ends_are_http_with_the_envelope(system: System) -> None:
    await system.worker()
    workload_id = await system.submit(affinity_rules=NOWHERE)
    wrong = "nyt_cust_a_00000000000000000000000000000000"
    for status, code, answer in [
        (401, "UNAUTHORIZED", await refused(system, path(workload_id), key=wrong)),
        (401, "UNAUTHORIZED", await refused(system, path(workload_id, f"?token={wrong}"))),
        (404, "NOT_FOUND", await refused(system, path(MISSING), key="cust_a")),
        (404, "NOT_FOUND", await refused(system, path("no~id"), key="cust_a")),
        (404, "NOT_FOUND", await refused(system, "/v1/ws/nothing?token=x")),
        (400, "INVALID_INPUT", await refused(system, path(workload_id, "?verbose=1"), key="cust_a")),
        (404, "NOT_FOUND", await refused(system, path(MISSING, "?verbose=1"), key="cust_a")),
        (403, "FORBIDDEN", await refused(system, path(workload_id), key="cust_a", Origin="https://evil.example")),
        (403, "FORBIDDEN", await refused(system, path(workload_id), Origin="null")),
    ]:
        assert answer[0] == status, answer
        assert answer[1]["error"]["code"] == code
        assert answer[1]["error"]["request_id"] == answer[2]["x-request-id"] == "same"
        assert answer[2]["cache-control"] == "no-store"
    assert await refused(system, path(workload_id), key="cust_b") == await refused(
        system, path(MISSING), key="cust_b"
    )


async def test_pages_of_the_same_host_may_connect(system: System) -> None:
    await system.worker()
    workload_id = await system.submit(affinity_rules=NOWHERE)
    async with connected(system, workload_id, Origin=system.url("")) as ws:
        assert (await message(ws))["status"] == "PENDING"


async def test_limits_refuse_before_and_after_the_handshake(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    async with running_system(
        database_url,
        nats_url,
        subject_prefix,
        max_websockets_per_customer=2,
        allowed_origins="https://console.example, https://other.example",
    ) as system:
        await system.worker()
        workload_id = await system.submit(affinity_rules=NOWHERE)
        async with connected(system, workload_id) as one, connected(system, workload_id) as two:
            await message(one)
            await message(two)
            status, body, headers = await refused(system, path(workload_id), key="cust_a")
            assert (status, body["error"]["code"]) == (429, "RATE_LIMITED")
            assert body["error"]["details"] == {"max_websockets_per_customer": 2}
            assert headers["retry-after"]
        async with connected(system, workload_id, Origin="https://console.example") as ws:
            await message(ws)
            async with connected(system, workload_id, Origin="https://other.example") as other:
                await message(other)
        await system.customers.update_customer("cust_b", rate_limit_per_sec=0.01, burst=1)
        await system.customers.update_customer("cust_a", status="suspended")
        async with asyncio.timeout(20):
            while (await refused(system, path(MISSING), key="cust_b"))[0] != 429:
                pass
        assert (await refused(system, path(workload_id), key="cust_a"))[0] == 403
        for key, code in (("cust_b", 4429), ("cust_a", 4403)):
            async with connected(system, workload_id, key=None) as ws:
                await ws.send_json({"type": "auth", "token": system.keys[key]})
                assert (await until_closed(ws))[1] == code


async def test_a_revoked_key_and_a_suspended_customer_are_sent_away(system: System) -> None:
    await system.worker()
    workload_id = await system.submit(affinity_rules=NOWHERE)
    made, key = await system.customers.create_key("cust_a", "to be revoked")
    async with connected(system, workload_id, key=key) as revoked, connected(system, workload_id) as suspended:
        assert [(await message(ws))["status"] for ws in (revoked, suspended)] == ["PENDING", "PENDING"]
        await system.customers.revoke_key(made.key_id)
        assert await until_closed(revoked, 3.0) == ([], 4401)
        await system.customers.update_customer("cust_a", status="suspended")
        assert await until_closed(suspended, 3.0) == ([], 4403)


async def test_tokens_reach_no_log(system: System, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await system.worker()
    workload_id = await system.submit(affinity_rules=NOWHERE)
    key = system.keys["cust_a"]
    async with connected(system, workload_id, key=None, query=f"?token={key}") as ws:
        await message(ws)
    async with connected(system, workload_id, key=None) as ws:
        await ws.send_json({"type": "auth", "token": key})
        await message(ws)
        await ws.send_str("x" * 70_000)
        assert (await until_closed(ws))[1] == 1009
    await refused(system, path(MISSING, f"?token={key}"))
    await refused(system, f"/v1/elsewhere?token={key}")
    url = system.url(path(workload_id, f"?token={key}"))
    async with system.http.get(url, headers=HANDSHAKE | {"Sec-WebSocket-Version": "99"}) as response:
        assert response.status == 400
    shown = [record for record in caplog.records if key in logging.Formatter().format(record)]
    assert shown == []


@pytest.mark.parametrize(("allowed", "key_may", "token_may"), [("short_lived", False, True), ("off", False, False)])
async def test_what_may_stand_in_an_address_is_for_the_operator_to_say(
    database_url: str, nats_url: str, subject_prefix: str, allowed: str, key_may: bool, token_may: bool
) -> None:
    async with running_system(database_url, nats_url, subject_prefix, websocket_query_tokens=allowed) as system:
        await system.worker()
        workload_id = await system.submit(affinity_rules=NOWHERE)
        key = system.keys["cust_a"]
        _, made, _ = await system.call("POST", "/tokens", {"workload_id": workload_id, "expires_in_seconds": 30})
        for credential, may in ((key, key_may), (made["token"], token_may)):
            if may:
                async with connected(system, workload_id, key=None, query=f"?token={credential}") as ws:
                    assert (await message(ws))["status"] == "PENDING"
            else:
                status, body, _ = await refused(system, path(workload_id, f"?token={credential}"))
                assert status == 401
                assert "Authorization" in body["error"]["message"]
                assert credential not in str(body)
            async with connected(system, workload_id, key=credential) as ws:
                assert (await message(ws))["status"] == "PENDING"
            async with connected(system, workload_id, key=None) as ws:
                await ws.send_json({"type": "auth", "token": credential})
                assert (await message(ws))["status"] == "PENDING"


async def test_what_clients_say_is_ignored_but_not_without_end(system: System) -> None:
    await system.worker()
    workload_id = await system.submit(affinity_rules=NOWHERE)
    async with connected(system, workload_id) as ws:
        await message(ws)
        for _ in range(10):
            await ws.send_json({"type": "ping"})
        await system.call("POST", f"/workloads/{workload_id}/cancel")
        assert (await message(ws))["status"] == "CANCELLED"
    workload_id = await system.submit(affinity_rules=NOWHERE)
    for said, times, code in (("x", 60, 1008), (b"x", 1, 1003), ("x" * 70_000, 1, 1009)):
        async with connected(system, workload_id) as ws:
            await message(ws)
            with contextlib.suppress(ConnectionError):
                for _ in range(times):
                    await (ws.send_bytes(said) if isinstance(said, bytes) else ws.send_str(said))
            assert await until_closed(ws) == ([], code)


async def test_messages_are_not_compressed_and_pings_answered(system: System) -> None:
    await system.worker()
    workload_id = await system.submit(affinity_rules=NOWHERE)
    async with connected(system, workload_id, autoping=False) as ws:
        assert ws.compress == 0
        assert (await message(ws))["status"] == "PENDING"
        await ws.ping(b"there?")
        assert (await ws.receive(timeout=5)).type is aiohttp.WSMsgType.PONG


async def test_both_replicas_tell_the_same(system: System) -> None:
    worker = await system.worker()
    async with system.another_coordinator() as second, beating(worker):
        ref = await running(system, worker)
        async with (
            connected(system, ref.workload_id) as here,
            connected(system, ref.workload_id, via=second) as there,
        ):
            first = [await message(here), await message(there)]
            assert [m["version"] for m in first] == [3, 3]
            for number in range(5):
                await worker.report(ref, messages.LogLine("INFO", str(number)))
            await worker.report(ref, messages.Completed(b"{}"))
            told = [await until_closed(ws, 5.0) for ws in (here, there)]
            assert told[0] == told[1]
            assert [m["message"] for m in told[0][0] if m["type"] == "log_line"] == list("01234")


async def test_two_hundred_watchers_and_nothing_is_left_of_them(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[WorkloadSockets] = []
    serve = WorkloadSockets.__call__

    async def noted(sockets: WorkloadSockets, *args: Any) -> None:
        held[:] = [sockets]
        await serve(sockets, *args)

    monkeypatch.setattr(WorkloadSockets, "__call__", noted)
    worker = await system.worker()
    ref = await running(system, worker)
    ready = asyncio.Semaphore(0)

    async def watch(number: int) -> list[tuple[str, int]]:
        async with connected(system, ref.workload_id) as ws:
            told = [await message(ws)]
            ready.release()
            if number % 10 == 0:
                return []  # some leave early
            rest, code = await until_closed(ws)
            assert code == 1000
            return [(m["status"], m["version"]) for m in told + rest]

    async with beating(worker), asyncio.TaskGroup() as group:
        watchers = [group.create_task(watch(number)) for number in range(200)]
        for _ in watchers:
            await ready.acquire()
        await worker.report(ref, messages.Released("handed back"))
        again = (await worker.next_assignment()).ref
        await worker.report(again, messages.Started())
        await worker.report(again, messages.Completed(b"{}"))
    passed = ["RUNNING", "REDISTRIBUTING", "SCHEDULED", "RUNNING", "COMPLETED"]
    expected = list(zip(passed, range(3, 8), strict=True))
    assert [watcher.result() for watcher in watchers] == [[] if n % 10 == 0 else expected for n in range(200)]
    async with asyncio.timeout(20):
        while held[0].count or held[0].watches.workloads:
            await asyncio.sleep(0.01)


async def test_a_client_that_does_not_read_is_dropped_while_others_go_on(system: System) -> None:
    worker = await system.worker()
    ref = await running(system, worker)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(slow, ("127.0.0.1", system.coordinator.port))
    head = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    head += f"Host: x\r\nAuthorization: Bearer {system.keys['cust_a']}\r\n"
    await loop.sock_sendall(slow, f"GET {path(ref.workload_id)} HTTP/1.1\r\n{head}\r\n".encode())
    assert b"101" in await loop.sock_recv(slow, 20)
    try:
        async with connected(system, ref.workload_id) as quick, beating(worker):
            told = asyncio.create_task(until_closed(quick, 30))
            for number in range(24):
                lines = [messages.LogLine("INFO", f"{number}.{n}" + "x" * 40_000) for n in range(10)]
                await worker.report(ref, *lines)
            await worker.report(ref, messages.Completed(b"{}"))
            found, code = await told
            assert code == 1000
            assert len([m for m in found if m["type"] == "log_line"]) == 240
        received = bytearray()
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionError):
                while data := await loop.sock_recv(slow, 1 << 20):
                    received += data
        assert b'"completed"' not in received
        # The close frame: opcode 8, code 1013, a reason.
        assert re.search(rb"\x88.\x03\xf5too slow", received[-200:])
    finally:
        slow.close()


async def test_a_coordinator_that_stops_says_so(system: System) -> None:
    await system.worker()
    async with system.another_coordinator() as second:
        workload_id = await system.submit(affinity_rules=NOWHERE)
        async with connected(system, workload_id, via=second) as ws:
            await message(ws)
            await second.stop()
            assert await until_closed(ws) == ([], 1012)
