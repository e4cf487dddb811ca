"""A link's first try: who is there and busy is asked again, who isn't there or refuses is not."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from nats.errors import Error as NatsError

from niyanta.embedded.engine import free_port
from niyanta.errors import BrokerRefusedError
from niyanta.wire.addresses import Addresses
from niyanta.wire.opening import try_first

_Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_INFO = {"server_id": "x", "version": "2.12.0", "max_payload": 1 << 20, "proto": 1, "headers": True}


async def _lets_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"PING\r\n")
    writer.write(b"PONG\r\n")
    await reader.read()


async def _resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _takes_too_long(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"PING\r\n")
    writer.write(b"-ERR 'Authentication Timeout'\r\n")


async def _refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"PING\r\n")
    writer.write(b"-ERR 'Authorization Violation'\r\n")


@contextlib.asynccontextmanager
async def _broker(*answers: _Answer) -> AsyncIterator[tuple[str, list[_Answer]]]:
    """What stands for a broker: its address, and how it has still to answer, a connection after the other."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"INFO {json.dumps(_INFO)}\r\n".encode())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await left.pop(0)(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", left


def _addresses(*servers: str) -> Addresses:
    return Addresses.parse(",".join(f"nats://{server}" for server in servers))


@pytest.mark.parametrize("hangs_up", [_resets, _takes_too_long])
async def test_a_broker_that_hangs_up_is_asked_again(hangs_up: _Answer) -> None:
    async with _broker(hangs_up, hangs_up, _lets_in) as (server, left), asyncio.timeout(20):
        await try_first(_addresses(server))
        assert left == []


@pytest.mark.parametrize("busy_first", [True, False])
async def test_that_another_is_away_says_nothing_of_one_that_hangs_up(busy_first: bool) -> None:
    async with _broker(_resets, _lets_in) as (server, left), asyncio.timeout(20):
        servers = [server, f"127.0.0.1:{free_port()}"]
        await try_first(_addresses(*servers if busy_first else reversed(servers)))
        assert left == []


async def test_a_broker_that_refuses_is_asked_once() -> None:
    async with _broker(_refuses, _lets_in) as (server, left), asyncio.timeout(20):
        with pytest.raises(BrokerRefusedError):
            await try_first(_addresses(server))
        assert left == [_lets_in]


async def test_where_nobody_listens_nobody_is_waited_for() -> None:
    async with asyncio.timeout(5):
        with pytest.raises((NatsError, OSError)):
            await try_first(_addresses(f"127.0.0.1:{free_port()}"))
