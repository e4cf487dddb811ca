"""A link that a broker refuses again and again holds one connection, and not one more with each try."""

from __future__ import annotations

import asyncio

from niyanta.embedded.engine import free_port
from niyanta.wire.broker import Broker

_INFO = b'INFO {"server_id":"s","version":"2.10.0","proto":1,"headers":true,"max_payload":1048576}\r\n'
_LET_IN = 2
"""Connections: one that looks whether anybody is there, and the link itself."""
_TRIES = 3


async def test_a_connection_on_which_the_broker_refuses_is_closed_before_the_next_try() -> None:
    opened = left_open = most_left_open = 0
    let_go, tried = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened, left_open, most_left_open
        writer.write(_INFO)
        while (line := await reader.readline()) and line != b"PING\r\n":
            pass
        opened += 1
        if opened <= _LET_IN:
            writer.write(b"PONG\r\n")
            await (reader.readline() if opened < _LET_IN else let_go.wait())
            writer.close()
            return
        writer.write(b"-ERR 'Authorization Violation'\r\n")
        left_open += 1
        most_left_open = max(most_left_open, left_open)
        if opened == _LET_IN + _TRIES:
            tried.set()
        await reader.read()  # until the client closes it
        left_open -= 1
        writer.close()

    port = free_port()
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    broker = Broker(f"nats://127.0.0.1:{port}", name="test")
    await broker.connect()
    let_go.set()
    async with asyncio.timeout(30):
        await tried.wait()
    await broker.close()
    server.close()
    assert most_left_open == 1
