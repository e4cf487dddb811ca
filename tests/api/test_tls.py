"""TLS on the coordinator's listeners: what is served, refused and bounded, and how certificates are replaced."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from niyanta import AsyncClient, Client, ConfigurationError, ConnectionFailedError
from niyanta.wire.v1 import workload_service_pb2 as pb
from niyanta.wire.v1.workload_service_pb2_grpc import WorkloadServiceStub
from support.certificates import Authority, Issued
from support.system import System, running_system

HEALTH = b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n"

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Start = Callable[..., Any]


@dataclass
class Secured:
    """A system that speaks TLS.

    Attributes:
        authority: Signed its certificate.
        shown: The certificate, as the settings name it.
    """

    system: System
    authority: Authority
    shown: Issued

    @property
    def url(self) -> str:
        return f"https://localhost:{self.system.coordinator.port}"

    async def connect(self, context: ssl.SSLContext | None = None) -> Pair:
        """Over TLS; plain when no context is given."""
        return await asyncio.open_connection("localhost", self.system.coordinator.port, ssl=context)

    async def shakes(self, context: ssl.SSLContext) -> bytes:
        """The status line of an answer over a new connection."""
        pair = await self.connect(context)
        try:
            return await ask(pair)
        finally:
            pair[1].close()

    async def serial(self) -> int:
        """Of the certificate that a new connection is shown over REST."""
        _, writer = await self.connect(self.authority.trusting())
        shown = writer.get_extra_info("peercert")
        writer.close()
        return int(shown["serialNumber"], 16)

    async def calls(self, authority: str, own: Issued | None = None) -> None:
        """A call over a new gRPC channel."""
        own_pair = (read(own.key), read(own.cert)) if own is not None else (None, None)
        credentials = grpc.ssl_channel_credentials(read(authority), *own_pair)
        async with grpc.aio.secure_channel(f"localhost:{self.system.coordinator.grpc_port}", credentials) as channel:
            await listed(channel, self.system)


def read(path: str) -> bytes:
    return Path(path).read_bytes()


async def listed(channel: grpc.aio.Channel, system: System) -> None:
    stub = WorkloadServiceStub(channel)  # type: ignore[no-untyped-call] # generated without types
    metadata = (("authorization", f"Bearer {system.keys['cust_a']}"),)
    await stub.ListWorkloads(pb.ListWorkloadsRequest(), metadata=metadata, timeout=10)


async def ask(pair: Pair) -> bytes:
    pair[1].write(HEALTH)
    head = await pair[0].readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await pair[0].readexactly(int(length.split(b":")[1]))
    return head.split(b"\r\n")[0]


async def ends(pair: Pair, seconds: float = 20) -> bytes:
    """What comes until the server has ended a connection."""
    async with asyncio.timeout(seconds):
        with contextlib.suppress(ConnectionResetError):
            found = await pair[0].read()
            pair[1].close()
            return found
    return b""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def start(authority: Authority, database_url: str, nats_url: str, subject_prefix: str) -> AsyncIterator[Start]:
    """Starts a secured system with settings."""
    async with contextlib.AsyncExitStack() as stack:

        async def started(shown: Issued | None = None, **settings: Any) -> Secured:
            shown = shown or authority.issue("server")
            given = {"tls_cert": shown.cert, "tls_key": shown.key, **settings}
            system = await stack.enter_async_context(running_system(database_url, nats_url, subject_prefix, **given))
            return Secured(system, authority, shown)

        yield started


async def test_all_three_protocols_are_served_to_the_clients(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    secured = await start()
    worker = await secured.system.worker()
    monkeypatch.setenv("SSL_CERT_FILE", secured.authority.ca)
    async with AsyncClient(secured.system.keys["cust_a"], secured.url) as client:
        workload = await client.workloads.submit(workload_type="count", input_params={})
        assert (await worker.next_assignment()).ref.workload_id == workload.id
        async for update in client.workloads.watch(workload.id):  # over a WebSocket
            assert update.status == "SCHEDULED"
            break
    with Client(secured.system.keys["cust_a"], secured.url) as blocking:
        found = await asyncio.to_thread(blocking.workloads.get, workload.id)
        assert found.id == workload.id
    await secured.calls(secured.authority.ca)


async def test_other_authorities_are_not_trusted_by_the_clients(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secured = await start()
    other = Authority(tmp_path, "other")
    monkeypatch.setenv("SSL_CERT_FILE", other.ca)
    async with AsyncClient(secured.system.keys["cust_a"], secured.url) as client:
        with pytest.raises(ConnectionFailedError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.workloads.list()
    with (
        Client(secured.system.keys["cust_a"], secured.url) as blocking,
        pytest.raises(ConnectionFailedError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        await asyncio.to_thread(blocking.workloads.list)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await secured.calls(other.ca)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_that_is_over_is_told_of_and_trusted_by_nobody(
    start: Start, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    secured = await start(authority.issue("over", days=-1))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        await secured.connect(authority.trusting())
    with pytest.raises(grpc.aio.AioRpcError):
        await secured.calls(authority.ca)
    assert "tls.certificate_ends" in caplog.messages


@pytest.mark.parametrize("port", ["port", "grpc_port"])
@pytest.mark.parametrize(
    ("version", "ciphers"),
    [
        (ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_2, "AES128-SHA:AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0"),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_versions_and_weak_ciphers_are_refused(
    start: Start, port: str, version: ssl.TLSVersion, ciphers: str
) -> None:
    secured = await start()
    context = secured.authority.trusting()
    context.minimum_version = context.maximum_version = version
    context.set_ciphers(ciphers)
    with pytest.raises((ssl.SSLError, ConnectionError)) as refused:
        await asyncio.open_connection("localhost", getattr(secured.system.coordinator, port), ssl=context)
    assert "NO_CIPHERS_AVAILABLE" not in str(refused.value), "the client itself couldn't"


async def test_tls_1_2_is_spoken_with_forward_secrecy(start: Start) -> None:
    secured = await start()
    context = secured.authority.trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    pair = await secured.connect(context)
    assert await ask(pair) == b"HTTP/1.1 200 OK"
    assert pair[1].get_extra_info("cipher")[0].startswith("ECDHE-")
    pair[1].close()


async def test_plain_http_is_ended_at_once_and_told_of_once(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    secured = await start()
    await secured.shakes(secured.authority.trusting())
    ports = (secured.system.coordinator.port, secured.system.coordinator.grpc_port)
    for port in ports:
        for _ in range(20):
            pair = await asyncio.open_connection("127.0.0.1", port)
            pair[1].write(HEALTH)
            assert await ends(pair, 5) == b""
    told = [record for record in caplog.records if record.message.startswith("tls.plain_http")]
    assert 1 <= len(told) < 20
    assert told[0].levelno == logging.WARNING
    assert "https://" in told[0].message
    async with asyncio.timeout(10):
        while any(c.laddr.port in ports and c.raddr for c in psutil.Process().net_connections("tcp")):
            await asyncio.sleep(0.01)


async def test_client_certificates_can_be_required(start: Start, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    known, unknown = (found.issue("client", is_client=True) for found in (authority, other))
    over = authority.issue("over", days=-1, is_client=True)
    secured = await start(tls_client_ca=authority.ca)
    assert await secured.shakes(authority.trusting(known)) == b"HTTP/1.1 200 OK"
    await secured.calls(authority.ca, known)
    for bad in (None, unknown, over):
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await secured.shakes(authority.trusting(bad))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await secured.calls(authority.ca, bad)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_the_clients_show_a_certificate_of_their_own(
    start: Start, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    secured = await start(tls_client_ca=authority.ca)
    key = secured.system.keys["cust_a"]
    monkeypatch.setenv("SSL_CERT_FILE", authority.ca)
    with Client(key, secured.url, max_retries=0) as without, pytest.raises(ConnectionFailedError):
        await asyncio.to_thread(without.customer.get)
    own = authority.issue("client", is_client=True)
    monkeypatch.setenv("NIYANTA_CLIENT_CERT", own.cert)
    monkeypatch.setenv("NIYANTA_CLIENT_KEY", own.key)
    async with AsyncClient(key, secured.url) as client:
        assert (await client.customer.get()).customer_id == "cust_a"
    with Client(key, secured.url) as blocking:
        assert (await asyncio.to_thread(blocking.customer.get)).customer_id == "cust_a"
    monkeypatch.setenv("NIYANTA_CLIENT_CERT", "/nowhere.crt")
    with pytest.raises(ConfigurationError, match=r"nowhere\.crt.* can't be read"):
        Client(key, secured.url)


async def test_client_certificates_can_be_optional(start: Start, authority: Authority, tmp_path: Path) -> None:
    known = authority.issue("client", is_client=True)
    unknown = Authority(tmp_path, "other").issue("client", is_client=True)
    secured = await start(tls_client_ca=authority.ca, tls_client_certs="optional")
    for good in (known, None):
        assert await secured.shakes(authority.trusting(good)) == b"HTTP/1.1 200 OK"
        await secured.calls(authority.ca, good)
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await secured.shakes(authority.trusting(unknown))


async def test_handshakes_that_go_nowhere_make_room_and_end(start: Start) -> None:
    most = 8
    secured = await start(max_strangers=100, max_strangers_per_source=most, request_seconds=3)
    known = await secured.connect(secured.authority.trusting())
    bearer = f"Authorization: Bearer {secured.system.keys['cust_a']}"
    known[1].write(f"GET /v1/workloads HTTP/1.1\r\nHost: x\r\n{bearer}\r\n\r\n".encode())
    assert (await known[0].readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
    idle = [await secured.connect() for _ in range(3 * most)]
    async with asyncio.timeout(2.5):  # less than a handshake may take
        for pair in idle[:-most]:
            assert await pair[0].read() == b""
    assert await secured.shakes(secured.authority.trusting()) == b"HTTP/1.1 200 OK"
    idle[-1][1].write(b"\x16\x03\x01")  # one that dribbles gains nothing by it
    for pair in idle:
        assert await ends(pair, 10) == b""
    known[1].close()


async def test_a_handshake_over_grpc_is_bounded_in_time(start: Start) -> None:
    secured = await start(request_seconds=1)
    pair = await asyncio.open_connection("127.0.0.1", secured.system.coordinator.grpc_port)
    assert await ends(pair, 10) == b""


async def test_it_stops_while_handshakes_are_under_way(start: Start) -> None:
    secured = await start(request_seconds=60)
    pair = await secured.connect()
    other = await secured.connect(secured.authority.trusting())
    assert await ask(other) == b"HTTP/1.1 200 OK"
    async with asyncio.timeout(10):
        await secured.system.coordinator.stop()
    assert await ends(pair) == b""
    other[1].close()


async def replaced(secured: Secured, before: int) -> int:
    """The serial number of the certificate that is shown, once it is another."""
    async with asyncio.timeout(20):
        while (serial := await secured.serial()) == before:
            await asyncio.sleep(0.05)
    return serial


@pytest.mark.parametrize("is_asked", [False, True], ids=["files changed", "asked"])
async def test_new_connections_get_a_new_certificate_and_old_ones_live_on(start: Start, is_asked: bool) -> None:
    secured = await start()
    first = await secured.serial()
    old = await secured.connect(secured.authority.trusting())
    assert await ask(old) == b"HTTP/1.1 200 OK"
    credentials = grpc.ssl_channel_credentials(read(secured.authority.ca))
    place = f"localhost:{secured.system.coordinator.grpc_port}"
    async with grpc.aio.secure_channel(place, credentials) as channel:
        await listed(channel, secured.system)
        other = Authority(Path(secured.authority.ca).parent, "next")
        secured.shown.replaced_by(other.issue("server"))
        if is_asked:
            secured.system.coordinator.reload_certificates()
        secured.authority = other  # from here on, who trusts the new one only gets in
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(ssl.SSLError):
                    assert await secured.serial() != first
                    break
                await asyncio.sleep(0.05)
        await secured.calls(other.ca)
        await listed(channel, secured.system)
    assert await ask(old) == b"HTTP/1.1 200 OK"
    old[1].close()


async def test_what_can_not_be_used_changes_nothing(
    start: Start, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    secured = await start()
    first = await secured.serial()
    other = authority.issue("other")
    secured.shown.copy_in_place(cert=other)  # its key isn't there yet
    async with asyncio.timeout(20):
        while "tls.not_reloaded" not in caplog.messages:
            await asyncio.sleep(0.02)
    assert "the key doesn't belong to the certificate" in str(caplog.records[-1].__dict__["error"])
    assert await secured.serial() == first
    secured.shown.copy_in_place(key=other)
    assert await replaced(secured, first) != first
    secured.shown.remove_key()
    secured.system.coordinator.reload_certificates()
    async with asyncio.timeout(20):
        while caplog.messages.count("tls.not_reloaded") < 2:
            await asyncio.sleep(0.02)
    assert "can't be read" in str(caplog.records[-1].__dict__["error"])
    await secured.shakes(authority.trusting())


async def test_the_answer_to_a_body_that_is_too_large_is_read(start: Start) -> None:
    secured = await start(max_body_bytes=100_000)
    pair = await secured.connect(secured.authority.trusting())
    head = (
        f"POST /v1/workloads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secured.system.keys['cust_a']}\r\n"
        "Content-Type: application/json\r\nContent-Length: 900000\r\n\r\n"
    )
    pair[1].write(head.encode() + b"x" * 300_000)
    async with asyncio.timeout(10):
        assert (await pair[0].readuntil(b"\r\n")).startswith(b"HTTP/1.1 413")
        for _ in range(10):  # it sends on, as one that reads late does
            pair[1].write(b"x" * 10_000)
            await asyncio.sleep(0)
        rest = await pair[0].readuntil(b"}}")
    assert b"larger than 100000 bytes" in rest
    pair[1].close()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_a_plain_listener_is_told_of_loudly(
    database_url: str, nats_url: str, subject_prefix: str, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        running_system(database_url, nats_url, subject_prefix, host=host) as system,
        system.another_coordinator(host=host, behind_proxy="10.0.0.9"),
    ):
        pass
    told = [record for record in caplog.records if record.message == "traffic.in_the_clear"]
    assert [record.__dict__["way"] for record in told] == ([] if host == "127.0.0.1" else ["listener"])
    assert all(record.levelno == logging.WARNING for record in told)


async def key_source(system: System) -> str | None:
    """From where the key of cust_a was used last, once that is noted."""
    async with asyncio.timeout(20):
        while True:
            _, body, _ = await system.call("GET", "/admin/customers/cust_a/api-keys", key="admin")
            used = next(key for key in body["api_keys"] if key["name"] == "test")
            if used.get("last_used_from"):
                return str(used["last_used_from"])
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("proxies", "source"), [("127.0.0.0/8,10.0.0.0/8", "203.0.113.7"), ("", "127.0.0.1"), ("10.0.0.9", "127.0.0.1")]
)
@pytest.mark.parametrize("protocol", ["rest", "websocket", "grpc"])
async def test_only_named_proxies_say_where_a_request_comes_from(
    database_url: str, nats_url: str, subject_prefix: str, proxies: str, source: str, protocol: str
) -> None:
    forwarded = "198.51.100.1, 203.0.113.7, 10.0.0.1"  # the first is the client's own invention
    async with running_system(database_url, nats_url, subject_prefix, behind_proxy=proxies) as system:
        if protocol == "rest":
            await system.call("GET", "/workloads", X_Forwarded_For=forwarded)
        elif protocol == "websocket":
            headers = {"Authorization": f"Bearer {system.keys['cust_a']}", "X-Forwarded-For": forwarded}
            with contextlib.suppress(Exception):
                await system.http.ws_connect(system.url("/v1/ws/workloads/wl_none"), headers=headers)
        else:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{system.coordinator.grpc_port}") as channel:
                stub = WorkloadServiceStub(channel)  # type: ignore[no-untyped-call] # generated without types
                key = ("authorization", f"Bearer {system.keys['cust_a']}")
                await stub.ListWorkloads(
                    pb.ListWorkloadsRequest(), metadata=(key, ("x-forwarded-for", forwarded)), timeout=10
                )
        assert await key_source(system) == source


async def test_a_proxys_connections_are_bounded_in_all_only(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    given = {"max_strangers": 30, "max_strangers_per_source": 2, "behind_proxy": "127.0.0.1"}
    async with running_system(database_url, nats_url, subject_prefix, **given) as system:
        pairs = [await asyncio.open_connection("127.0.0.1", system.coordinator.port) for _ in range(20)]
        for pair in pairs:
            assert await ask(pair) == b"HTTP/1.1 200 OK"
            pair[1].close()


async def test_a_stopped_listener_takes_nobody(start: Start) -> None:
    secured = await start()
    port = secured.system.coordinator.port
    await secured.system.coordinator.stop()
    with socket.socket() as asking, pytest.raises(ConnectionRefusedError):
        asking.connect(("127.0.0.1", port))
