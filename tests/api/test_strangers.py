"""Connections that show no credentials: few are kept, none for long, and nobody who asks is turned away for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from support.system import System, running_system, supported

HEALTH = b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n"
MOST = 8

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def strict(database_url: str, nats_url: str, subject_prefix: str) -> AsyncIterator[System]:
    async with running_system(
        database_url, nats_url, subject_prefix, max_strangers=100, max_strangers_per_source=MOST
    ) as found:
        yield found


async def connect(system: System) -> Pair:
    return await asyncio.open_connection("127.0.0.1", system.coordinator.port)


def listing(system: System, key: str) -> bytes:
    return f"GET /v1/workloads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()


async def ask(pair: Pair, sent: bytes) -> bytes:
    """The status line of the answer; the body is read too."""
    pair[1].write(sent)
    head = await pair[0].readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await pair[0].readexactly(int(length.split(b":")[1]))
    return head.split(b"\r\n")[0]


async def cut(pair: Pair) -> None:
    """Wait until the server has cut a connection."""
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionResetError):
            assert await pair[0].read() == b""
    pair[1].close()


async def test_idle_strangers_make_room_for_the_newest(strict: System) -> None:
    known = await connect(strict)
    assert await ask(known, listing(strict, strict.keys["cust_a"])) == b"HTTP/1.1 200 OK"
    idle = [await connect(strict) for _ in range(5 * MOST)]
    for pair in idle[:-MOST]:
        await cut(pair)
    assert await ask(idle[-1], HEALTH) == b"HTTP/1.1 200 OK"
    newest = await connect(strict)
    assert await ask(newest, listing(strict, strict.keys["cust_b"])) == b"HTTP/1.1 200 OK"
    idle += [await connect(strict) for _ in range(MOST)]
    for pair in (known, newest):
        assert await ask(pair, listing(strict, strict.keys["cust_a"])) == b"HTTP/1.1 200 OK"
    for _, writer in (known, newest, *idle):
        writer.close()


async def test_bad_credentials_leave_one_a_stranger(strict: System) -> None:
    guessing = await connect(strict)
    assert (await ask(guessing, listing(strict, "nyt_cust_a_guess"))).startswith(b"HTTP/1.1 401")
    idle = [await connect(strict) for _ in range(MOST)]
    await cut(guessing)
    for _, writer in idle:
        writer.close()


async def test_a_refused_stranger_is_told_to_come_anew(strict: System) -> None:
    """Were its connection kept and cut moments later, its next request could be lost with it."""
    system, bad = strict, {"Authorization": "Bearer nyt_cust_a_guess"}
    async with system.http.get(system.url("/v1/workloads"), headers=bad) as answer:
        assert (answer.status, answer.headers.get("Connection")) == (401, "close")
    good = {"Authorization": f"Bearer {system.keys['cust_a']}"}
    for headers, status in ((good, 200), (bad, 401), (good, 200)):
        async with system.http.get(system.url("/v1/workloads"), headers=headers) as answer:
            assert (answer.status, answer.headers.get("Connection")) == (status, None)


async def test_a_stranger_is_not_kept_alive_for_long(strict: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("niyanta.server.rest.uvicorn.heads.KEEP_ALIVE_SECONDS", 1)
    known, stranger = await connect(strict), await connect(strict)
    assert await ask(known, listing(strict, strict.keys["cust_a"])) == b"HTTP/1.1 200 OK"
    assert await ask(stranger, HEALTH) == b"HTTP/1.1 200 OK"
    await cut(stranger)
    assert await ask(known, listing(strict, strict.keys["cust_a"])) == b"HTTP/1.1 200 OK"
    known[1].close()


async def test_a_websocket_is_a_stranger_until_its_token_has_come(strict: System) -> None:
    await supported(strict)
    workload_id = await strict.submit("cust_a")
    address = strict.url(f"/v1/ws/workloads/{workload_id}")
    known = await strict.http.ws_connect(address)
    await known.send_json({"type": "auth", "token": strict.keys["cust_a"]})
    assert (await known.receive_json())["status"] == "PENDING"
    silent = await strict.http.ws_connect(address)
    idle = [await connect(strict) for _ in range(MOST)]
    async with asyncio.timeout(4):  # the server itself would wait for a token for five seconds
        assert (await silent.receive()).type.name in ("CLOSED", "CLOSE", "ERROR", "CLOSING")
    await strict.call("POST", f"/workloads/{workload_id}/cancel")
    assert (await known.receive_json())["status"] == "CANCELLED"
    for _, writer in idle:
        writer.close()
    await known.close()
