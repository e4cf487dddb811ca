"""The listening socket is shut for a while to a source that floods, and to nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from time import monotonic

import pytest

from niyanta.server.grpc.door import Door
from support.pace import pace

FLOODS, OTHER = "127.0.0.3", "127.0.0.2"
TRY_SECONDS = 0.5
"""The kernel sends a SYN that was dropped again after a second, so one try is one SYN."""

Try = Callable[[str], bool]


@pytest.fixture(params=["0.0.0.0", "::", "::1"])
async def port_and_try(request: pytest.FixtureRequest) -> AsyncIterator[tuple[int, Try]]:
    """A port that listens, and whether a source gets in there."""
    host = request.param
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
        if host == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((host, 0))
        listener.listen(100)
        port = listener.getsockname()[1]

        def is_let_in(source: str) -> bool:
            with socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET) as end:
                end.settimeout(TRY_SECONDS)
                end.bind((source, 0))
                try:
                    end.connect(("::1" if ":" in source else "127.0.0.1", port))
                except TimeoutError:
                    return False
                return True

        yield port, is_let_in


async def until_let_in(is_let_in: Try, source: str) -> None:
    async with asyncio.timeout(10 * pace()):
        while not is_let_in(source):
            await asyncio.sleep(0.05)


async def test_a_source_is_kept_out_for_a_while_and_others_are_not(port_and_try: tuple[int, Try]) -> None:
    port, is_let_in = port_and_try
    source, known_as, other = ("::1", "::", None) if is_only_6(is_let_in) else (FLOODS, FLOODS, OTHER)
    door = Door(port)
    assert is_let_in(source)
    assert door.shut("2001:db8::")
    assert door.shut("192.0.2.1")
    assert is_let_in(source)
    assert door.shut(known_as)
    assert not door.shut(known_as)
    assert not is_let_in(source)
    assert other is None or is_let_in(other)
    began = monotonic()
    await until_let_in(is_let_in, source)
    assert monotonic() - began > 1
    assert not door.shut(known_as), "it isn't shut again at once"
    async with asyncio.timeout(10 * pace()):
        while not door.shut(known_as):
            await asyncio.sleep(0.05)
    assert not is_let_in(source)
    door.close()


def is_only_6(is_let_in: Try) -> bool:
    try:
        return not is_let_in(OTHER)
    except ConnectionRefusedError:
        return True


async def test_connections_that_are_there_go_on() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        place = listener.getsockname()
        other = stack.enter_context(socket.create_connection(place, 10, source_address=(FLOODS, 0)))
        own = stack.enter_context(listener.accept()[0])
        own.settimeout(10)
        door = Door(place[1])
        assert door.shut(FLOODS)
        other.sendall(b"still here")
        assert own.recv(100) == b"still here"
        door.close()


async def test_without_its_socket_nothing_is_shut() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        door = Door(listener.getsockname()[1])
    assert not door.shut(FLOODS)
    door.close()


async def test_it_is_shut_to_so_many_at_most() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        door = Door(listener.getsockname()[1])
        shut = [door.shut(f"192.0.2.{number}") for number in range(100)]
        assert shut == [number < 64 for number in range(100)]
        door.close()
