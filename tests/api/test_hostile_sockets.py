"""What a raw socket can send: smuggling, oversized and slow requests. One answer a request, then the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.system import System, running_system, supported

OK = b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def quick(database_url: str, nats_url: str, subject_prefix: str) -> AsyncIterator[System]:
    """A system that waits only briefly for requests to arrive."""
    async with running_system(database_url, nats_url, subject_prefix, request_seconds=0.5) as found:
        yield found


class Raw:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, system: System) -> Raw:
        return cls(*await asyncio.open_connection("127.0.0.1", system.coordinator.port))

    async def rest(self, seconds: float = 20) -> bytes:
        """All that comes until the server closes."""
        async with asyncio.timeout(seconds):
            try:
                return await self.reader.read(-1)
            except ConnectionError:
                return b""
            finally:
                self.writer.close()


async def exchange(system: System, sent: bytes) -> tuple[int, Any]:
    """Status and body of the one answer; fails when there are more, or the connection stays open."""
    raw = await Raw.open(system)
    raw.writer.write(sent)
    answer = await raw.rest()
    assert answer.count(b"HTTP/1.1 ") == 1, answer
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)


def post(system: System, headers: bytes, body: bytes = b"", path: bytes = b"/v1/workloads") -> bytes:
    key = system.keys["cust_a"].encode()
    return (
        b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + key + b"\r\n"
        b"Content-Type: application/json\r\n" + headers + b"\r\n" + body
    )


async def test_what_can_be_read_in_two_ways_is_refused(system: System) -> None:
    chunked = b"Transfer-Encoding: chunked\r\n"
    requests = [
        post(system, b"Content-Length: 2\r\n" + chunked, b"0\r\n\r\n" + OK),
        post(system, chunked + b"Content-Length: 2\r\n", b"0\r\n\r\n" + OK),
        post(system, b"Content-Length: 2\r\nContent-Length: 3\r\n", b"{} " + OK),
        post(system, b"Content-Length: 2, 3\r\n", b"{} " + OK),
        post(system, b"Content-Length: +2\r\n", b"{}" + OK),
        post(system, b"Content-Length: -2\r\n", b"{}" + OK),
        post(system, b"Content-Length: 99999999999999999999999\r\n", b"{}" + OK),
        post(system, b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n" + OK),
        post(system, b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + OK),
        post(system, b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n" + OK),
        post(system, chunked, b"zz\r\n{}\r\n0\r\n\r\n" + OK),
        post(system, chunked, b"2\r\n{}XX0\r\n\r\n" + OK),
        post(system, chunked, b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n" + OK),
        b"GET /v1/health HTTP/1.1\nHost: x\n\n" + OK,
        b"GET /v1/health HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n" + OK,
        b"GET /v1/health HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n" + OK,
        b"GET /v1/health HTTP/1.1\r\nHost: x\r\n folded: 1\r\n\r\n" + OK,
        b"GET /v1/health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + OK,
        b"GET /v1/health HTTP/1.1\r\n\r\n" + OK,
        post(system, b"Authorization: Bearer other\r\nContent-Length: 2\r\n", b"{}" + OK),
        post(system, b"content-TYPE: text/plain\r\nContent-Length: 2\r\n", b"{}" + OK),
        post(system, b"Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 2\r\n", b"{}" + OK),
        b"GET /v1/he alth HTTP/1.1\r\nHost: x\r\n\r\n" + OK,
        b"GET /v1/health HTTP/9.9\r\nHost: x\r\n\r\n" + OK,
        b"G\xc3\x89T /v1/health HTTP/1.1\r\nHost: x\r\n\r\n" + OK,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    for sent in requests:
        status, body = await exchange(system, sent)
        assert status == 400, sent
        assert body["error"]["code"] == "INVALID_INPUT"
        assert body["error"]["request_id"].startswith("req_")


async def test_heads_are_bounded(system: System) -> None:
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(200))
    cases = [
        (b"GET /v1/health?" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /v1/health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 64_000 + b"\r\n\r\n", 431),
        (b"GET /v1/health HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n", 431),
        (b"GET /v1/health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000, 431),
        (b"GET /" + b"a" * 40_000, 414),
    ]
    for sent, wanted in cases:
        status, body = await exchange(system, sent)
        assert (status, body["error"]["code"]) == (wanted, "INVALID_INPUT")
        assert body["error"]["details"]["allowed"]


async def test_a_body_without_end_is_cut_off(system: System) -> None:
    raw = await Raw.open(system)
    raw.writer.write(post(system, b"Transfer-Encoding: chunked\r\n"))
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    sent = 0
    try:
        while sent < 1 << 30 and not raw.reader.at_eof():
            raw.writer.write(chunk)
            await raw.writer.drain()
            sent += len(chunk)
    except ConnectionError:
        pass
    assert sent < 64 << 20
    await raw.rest()


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(system: System) -> None:
    status, body = await exchange(system, post(system, b"Content-Length: 1073741824\r\n"))
    assert (status, body["error"]["details"]["max_bytes"]) == (413, 1 << 20)


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        (b"Content-Length: 8388608\r\n", b"413"),
        (b"Content-Length: 8388608\r\nContent-Length: 3\r\n", b"400"),
        (b"X: " + b"a" * 64_000 + b"\r\nContent-Length: 8388608\r\n", b"431"),
    ],
)
async def test_a_client_that_sends_all_before_it_reads_is_told_why_it_is_refused(
    system: System, head: bytes, wanted: bytes
) -> None:
    raw = await Raw.open(system)
    raw.writer.write(post(system, head))
    for _ in range(128):
        raw.writer.write(b" " * 65_536)
        await raw.writer.drain()
    assert (await raw.rest()).startswith(b"HTTP/1.1 " + wanted)


async def test_a_refused_client_that_never_stops_sending_is_cut_off(system: System) -> None:
    raw = await Raw.open(system)
    raw.writer.write(post(system, b"Content-Length: 1073741824\r\n"))

    async def send_all() -> None:
        for _ in range(1 << 14):
            raw.writer.write(b" " * 65_536)
            await raw.writer.drain()

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(send_all(), 30)


async def test_compressed_bodies_are_not_unpacked(system: System) -> None:
    raw = await Raw.open(system)
    packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
    headers = b"Content-Encoding: gzip\r\nConnection: close\r\nContent-Length: %d\r\n" % len(packed)
    raw.writer.write(post(system, headers, packed))
    assert (await raw.rest()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (b"", None),
        (b"GET /v1/hea", b"408"),
        (b"GET /v1/health HTTP/1.1\r\nHost: x\r\nX", b"408"),
    ],
)
async def test_a_slow_head_is_cut_off(quick: System, sent: bytes, wanted: bytes | None) -> None:
    raw = await Raw.open(quick)
    if sent:
        raw.writer.write(sent)
    answer = await raw.rest(5)
    assert (answer == b"") if wanted is None else answer.startswith(b"HTTP/1.1 " + wanted)


async def test_a_slow_body_is_cut_off_and_nothing_is_done(quick: System) -> None:
    status, body = await exchange(quick, post(quick, b"Content-Length: 100\r\n", b'{"workload'))
    assert (status, body["error"]["details"]["field"]) == (408, "body")


async def test_dripping_bytes_wins_no_time(quick: System) -> None:
    raw = await Raw.open(quick)

    async def drip() -> None:
        for letter in b"GET /v1/health HTTP/1.1\r\nX-Long: " + b"a" * 1000:
            raw.writer.write(bytes([letter]))
            await raw.writer.drain()
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    answer = await raw.rest(5)
    dripping.cancel()
    await asyncio.gather(dripping, return_exceptions=True)
    assert answer.startswith(b"HTTP/1.1 408")


async def test_a_refused_request_never_answers_the_one_before(quick: System) -> None:
    """The second of two pipelined requests is malformed while the first is being served."""
    key = quick.keys["cust_a"].encode()
    await supported(quick)
    workload_id = (await quick.submit(affinity_rules={"hard_affinity": {"worker_id": "nowhere"}})).encode()
    raw = await Raw.open(quick)
    raw.writer.write(
        b"GET /v1/workloads/" + workload_id + b"?wait_seconds=2 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + key
        + b"\r\n\r\nBAD REQUEST\r\n\r\n"
    )  # fmt: skip
    assert b"HTTP/1.1 400" not in await raw.rest()


async def test_good_requests_may_follow_each_other(system: System) -> None:
    raw = await Raw.open(system)
    raw.writer.write(OK * 2 + OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert (await raw.rest()).count(b"HTTP/1.1 200") == 3
