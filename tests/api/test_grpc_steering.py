"""Of two servers on one port the second takes the connections of sources that flood, and nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from niyanta.errors import ConfigurationError
from niyanta.server.grpc.server import GrpcServer
from niyanta.server.grpc.steering import Steering
from niyanta.server.settings import CoordinatorSettings
from support.pace import pace

FLOODS, OTHER = "127.0.0.3", "127.0.0.2"

Taker = Callable[[str], int]


@contextlib.contextmanager
def two_servers(host: str, *, others: int = 0, aside_seconds: float = 60.0) -> Iterator[tuple[Steering, Taker]]:
    """Two sockets that listen on one port, and which of them takes a connection from an address.

    Args:
        host: Where they listen.
        others: How many sockets join them that aren't theirs.
        aside_seconds: How long a source is set aside.
    """
    with contextlib.ExitStack() as stack:
        listeners = [listener(stack, host, 0)]
        port = listeners[0].getsockname()[1]
        steering = Steering(port, aside_seconds)
        assert steering.share()
        listeners.append(listener(stack, host, port))
        steering.begin()
        for _ in range(others):
            listener(stack, host, port)

        def taker(source: str) -> int:
            with socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET) as end:
                end.settimeout(10)
                end.bind((source, 0))
                end.connect(("::1" if ":" in source else "127.0.0.1", port))
                return taken_by(listeners, end.getsockname()[1])

        yield steering, taker
        steering.close()


def listener(stack: contextlib.ExitStack, host: str, port: int) -> socket.socket:
    made = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
    if host == "::":
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    if port:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((host, port))
    made.listen(100)
    made.setblocking(False)
    return made


def taken_by(listeners: list[socket.socket], number: int) -> int:
    """A connection is there for the listener before its connect has returned."""
    for place, each in enumerate(listeners):
        with contextlib.suppress(BlockingIOError):
            accepted, address = each.accept()
            accepted.close()
            if address[1] == number:
                return place
    raise AssertionError


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_a_source_is_set_aside_and_others_are_not(host: str) -> None:
    with two_servers(host) as (steering, taker):
        assert [taker(source) for source in (FLOODS, OTHER) * 10] == [0] * 20
        assert steering.send_aside("192.0.2.1")
        assert steering.send_aside("2001:db8::")
        assert taker(FLOODS) == 0
        assert steering.send_aside(FLOODS)
        assert not steering.send_aside(FLOODS), "it is already"
        assert [taker(source) for source in (FLOODS, OTHER) * 10] == [1, 0] * 10


async def test_so_is_a_network_of_ipv6() -> None:
    with two_servers("::") as (steering, taker):
        assert taker("::1") == 0
        assert steering.send_aside("2001:db8::")
        assert taker("::1") == 0
        assert steering.send_aside("::")
        assert [taker("::1") for _ in range(10)] == [1] * 10
        assert taker(OTHER) == 0


async def test_so_many_are_set_aside_at_most() -> None:
    with two_servers("::") as (steering, taker):
        aside = [steering.send_aside(f"2001:db8:0:{number:x}::") for number in range(300)]
        assert aside == [number < 256 for number in range(300)]
        assert not steering.send_aside(FLOODS)
        assert taker(FLOODS) == 0


async def test_without_a_second_server_nothing_is_done() -> None:
    with socket.create_server(("127.0.0.1", 0)) as alone:
        port = alone.getsockname()[1]
    steering = Steering(port)
    assert not steering.share()
    assert not steering.send_aside(FLOODS)
    steering.close()
    steering.close()


async def test_a_port_is_one_programs_all_the_same() -> None:
    first = GrpcServer(CoordinatorSettings(database_url="", nats_url="", grpc_port=0))
    try:
        with pytest.raises(ConfigurationError, match="Is another program on that port"):
            GrpcServer(CoordinatorSettings(database_url="", nats_url="", grpc_port=first.port))
        with pytest.raises(OSError, match="in use"), socket.socket() as plain:
            plain.bind(("127.0.0.1", first.port))
    finally:
        await first.stop()


async def test_who_joins_the_port_besides_is_given_no_connection() -> None:
    with two_servers("127.0.0.1", others=3) as (steering, taker):
        assert [taker(OTHER) for _ in range(20)] == [0] * 20
        assert steering.send_aside(OTHER)
        assert [taker(OTHER) for _ in range(20)] == [1] * 20


async def test_a_source_comes_back_a_while_after_it_was_last_told_of() -> None:
    with two_servers("127.0.0.1", aside_seconds=1.0) as (steering, taker):
        assert steering.send_aside(FLOODS)
        async with asyncio.timeout(20 * pace()):
            while taker(FLOODS) == 1:
                await asyncio.sleep(0.05)
        assert steering.send_aside(FLOODS), "it was forgotten, not only let back"
        assert taker(OTHER) == 0
