"""Connections to the gRPC port that open streams only to reset them (CVE-2023-44487): cut, and nobody waits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from niyanta.domain.limits import TIERS, Tier
from niyanta.embedded.engine import free_port
from niyanta.server.grpc.peers import cut_off
from niyanta.wire.v1 import workload_service_pb2 as pb
from support.certificates import Authority
from support.grpc_calls import Calls, connected
from support.http2_flood import Flood, RawConnection
from support.pace import pace
from support.system import System, own_process, running_system, supported

GET = "/niyanta.v1.WorkloadService/GetWorkload"
SERVING = health_pb2.HealthCheckResponse.SERVING
HEALTH = "/grpc.health.v1.Health/Check"
REQUEST = pb.GetWorkloadRequest(workload_id="wl_none").SerializeToString()
SECONDS = 10.0
"""Within which others' calls are answered, on an idle machine."""
CALLS = 4
PAUSE_SECONDS = 4 / TIERS[Tier.ENTERPRISE].rate_limit_per_sec
"""Between two calls and the next two: half of what their customer may make."""
RESETS = 40_000
FLOODS = "127.0.0.3"
"""The address that a flood comes from."""
OWN = [("grpc.use_local_subchannel_pool", 1)]
"""A connection that no other channel shares."""


@contextlib.asynccontextmanager
async def flooding(flood: Flood) -> AsyncIterator[None]:
    task = asyncio.create_task(flood.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def cut_by(connection: RawConnection) -> int:
    """How many streams it takes until the server ends the connection, give or take a hundred."""
    opened = 0
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(60):
            while True:
                await connection.reset_at_once(100)
                opened += 100
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await connection.ended()
    await connection.close()
    return opened


async def cuts(system: System) -> float:
    async with system.http.get(system.url("/metrics")) as response:
        lines = (await response.text()).splitlines()
    name = "niyanta_grpc_connections_cut_total "
    return float(next(line for line in lines if line.startswith(name)).split()[1])


@pytest.mark.parametrize(
    ("method", "key", "with_request"),
    [
        (GET, "cust_a", False),
        (GET, "cust_a", True),
        (GET, "a guess", False),
        (HEALTH, "none", False),
        ("/a/b", "", False),
    ],
    ids=["good_credentials", "whole_requests", "bad_credentials", "health", "no_method"],
)
async def test_streams_that_are_reset_at_once_hold_nobody_up(
    system: System, method: str, key: str, with_request: bool
) -> None:
    port, key = free_port(), system.keys.get(key, key)
    # The flood shares the server's cores: a busy machine bears half of it.
    connections = 4 if pace() < 1.5 else 2
    flood = Flood(port, method, key, REQUEST, connections, with_request=with_request, source=FLOODS)
    async with own_process(system, port) as (_, url), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        others = Calls(channel, system.keys)
        headers = {"Authorization": f"Bearer {system.keys['cust_b']}"}
        await others.call("ListWorkloads", pb.ListWorkloadsRequest(), key="cust_b")
        limit, made = SECONDS * pace(), 0
        async with flooding(flood), asyncio.timeout(12 * limit):
            while not flood.cuts or flood.resets < RESETS or made < CALLS:
                await others.call("ListWorkloads", pb.ListWorkloadsRequest(), key="cust_b", timeout=limit)
                async with (
                    asyncio.timeout(limit),
                    system.http.get(f"{url}/v1/workloads", headers=headers) as response,
                ):
                    assert response.status == 200
                made += 1
                await asyncio.sleep(PAUSE_SECONDS)


async def test_whoever_is_at_the_address_of_a_flood_gets_in(system: System) -> None:
    port, limit = free_port(), SECONDS * pace()
    flood = Flood(port, GET, system.keys["cust_a"], REQUEST, connections=2)
    async with own_process(system, port), flooding(flood), asyncio.timeout(12 * limit):
        while not flood.cuts:
            await asyncio.sleep(0.05)
        for _ in range(CALLS):
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", OWN) as channel:
                await Calls(channel, system.keys).call(
                    "ListWorkloads", pb.ListWorkloadsRequest(), key="cust_b", timeout=limit
                )


async def test_who_resets_too_often_is_cut_and_it_is_told(
    database_url: str, nats_url: str, subject_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with running_system(database_url, nats_url, subject_prefix, metrics_access="public") as system:
        first = RawConnection(GET, system.keys["cust_a"])
        await first.open(system.coordinator.grpc_port)
        assert 100 <= await cut_by(first) < 5_000
        assert await cuts(system) == 1
        line = next(record for record in caplog.records if record.msg == "grpc.connection_cut")
        assert line.__dict__["source"] == "127.0.0.1"
        assert "grpc.request_failed" not in {record.msg for record in caplog.records}


async def test_a_source_that_goes_on_is_cut_no_more_and_its_other_calls_are_answered(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    """Whoever is cut comes back with another thousand calls. One that isn't has none to spare for seconds."""
    async with running_system(database_url, nats_url, subject_prefix, metrics_access="public") as system:
        first = RawConnection(GET, system.keys["cust_a"])
        await first.open(system.coordinator.grpc_port)
        await cut_by(first)
        later = RawConnection(GET, system.keys["cust_a"])
        await later.open(system.coordinator.grpc_port)
        for _ in range(10):
            await later.reset_at_once(500)
            async with connected(system.coordinator, system.keys) as calls:
                await calls.call("ListWorkloads", pb.ListWorkloadsRequest(), timeout=SECONDS * pace())
        assert later.is_open
        await later.close()
        assert await cuts(system) == 1


@pytest.mark.parametrize("key", ["a guess", "cust_a"])
async def test_who_goes_on_with_calls_that_are_refused_waits_in_the_other_queue(
    database_url: str, nats_url: str, subject_prefix: str, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    async with running_system(database_url, nats_url, subject_prefix, metrics_access="public") as system:
        caller = RawConnection(GET, system.keys.get(key, key), REQUEST)
        await caller.open(system.coordinator.grpc_port)
        await caller.call(800)
        async with connected(system.coordinator, system.keys) as calls:
            await calls.call("ListWorkloads", pb.ListWorkloadsRequest(), key="cust_b", timeout=SECONDS * pace())
        assert await cuts(system) == 0
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(60 * pace()):
                while caller.is_open:
                    await caller.call(100)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.1):
                            await caller.ended()
        await caller.close()
        assert await cuts(system) == 1
        assert "grpc.source_set_aside" in {record.msg for record in caplog.records}
        again = RawConnection(GET, system.keys.get(key, key), REQUEST)
        await again.open(system.coordinator.grpc_port)
        await again.call(900)
        async with connected(system.coordinator, system.keys) as calls:
            await calls.call("ListWorkloads", pb.ListWorkloadsRequest(), key="cust_b", timeout=SECONDS * pace())
        assert again.is_open
        await again.close()
        assert await cuts(system) == 1


async def test_the_same_over_tls(
    database_url: str, nats_url: str, subject_prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    shown, context = authority.issue("server"), authority.trusting()
    context.set_alpn_protocols(["h2"])
    own = {"tls_cert": shown.cert, "tls_key": shown.key}
    async with running_system(database_url, nats_url, subject_prefix, **own) as system:
        connection = RawConnection(GET, system.keys["cust_a"])
        await connection.open(system.coordinator.grpc_port, context)
        assert 100 <= await cut_by(connection) < 5_000
    assert "grpc.connection_cut" in {record.msg for record in caplog.records}


async def test_calls_that_are_given_up_now_and_then_cut_nobody(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    """Eighty at once; and ten times as many watchers that leave once they have been told."""
    async with running_system(database_url, nats_url, subject_prefix, metrics_access="public") as system:
        await supported(system)
        async with connected(system.coordinator, system.keys) as calls:
            given_up = RawConnection(GET, system.keys["cust_a"])
            await given_up.open(system.coordinator.grpc_port)
            await given_up.reset_at_once(80)
            workload_id = await calls.submit()
            for _ in range(800):
                stream = calls.stream(workload_id)
                assert (await stream.read()).status == pb.WORKLOAD_STATUS_PENDING
                stream.cancel()
            assert (await calls.get(workload_id)).workload_id == workload_id
            assert given_up.is_open
            await given_up.close()
        assert await cuts(system) == 0


async def test_a_proxys_connections_are_its_own_to_bound(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    named = {"behind_proxy": "127.0.0.1", "metrics_access": "public"}
    async with running_system(database_url, nats_url, subject_prefix, **named) as system:
        proxy = RawConnection(GET, system.keys["cust_a"])
        await proxy.open(system.coordinator.grpc_port)
        for _ in range(5):
            await proxy.reset_at_once(100)
            async with connected(system.coordinator, system.keys) as calls:
                await calls.call("ListWorkloads", pb.ListWorkloadsRequest())
        assert proxy.is_open
        await proxy.close()
        assert await cuts(system) == 0


async def test_health_and_unknown_methods_answer_as_ever(calls: Calls) -> None:
    check = calls.channel.unary_unary(HEALTH)
    async with asyncio.timeout(20 * pace()):  # it is asked while the coordinator starts
        while health_pb2.HealthCheckResponse.FromString(await check(b"")).status != SERVING:
            await asyncio.sleep(0.05)
    empty = calls.channel.stream_unary(HEALTH)()
    await empty.done_writing()
    for call, code in (
        (empty, grpc.StatusCode.INVALID_ARGUMENT),
        (calls.channel.unary_unary("/a/b")(b""), grpc.StatusCode.UNIMPLEMENTED),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is code


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_a_connection_is_cut_by_the_name_of_its_peer(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family))
        listener.bind((host, 0))
        listener.listen()
        place = listener.getsockname()[:2]
        ends = []
        for _ in range(2):
            other = stack.enter_context(socket.create_connection(place, timeout=10))
            own = stack.enter_context(listener.accept()[0])
            own.settimeout(10)
            ends.append((other, own))
        number = ends[0][0].getsockname()[1]
        peer = f"ipv4:127.0.0.1:{number}" if "127" in host else f"ipv6:%5B{host}%5D:{number}"
        assert not cut_off(peer, place[1] + 1)
        assert cut_off(peer, place[1])
        assert [end.recv(1) for end in ends[0]] == [b"", b""]
        ends[1][0].sendall(b"still here")
        assert ends[1][1].recv(100) == b"still here"
