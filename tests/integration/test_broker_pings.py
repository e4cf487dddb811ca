"""A broker that looks too rarely after its clients is told from one that doesn't."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from niyanta.embedded import nats_server
from niyanta.embedded.engine import free_port
from niyanta.wire.addresses import Addresses
from niyanta.wire.pings import warn_of_rare_pings

Start = Callable[[str], Coroutine[Any, Any, str]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    servers: list[asyncio.subprocess.Process] = []

    async def start(ping_interval: str) -> str:
        port = free_port()
        config = tmp_path / f"{port}.conf"
        config.write_text(f'listen: "127.0.0.1:{port}"\nping_interval: {ping_interval}\n')
        quiet = asyncio.subprocess.DEVNULL
        servers.append(await asyncio.create_subprocess_exec(nats_server.program(), "-c", str(config), stderr=quiet))
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return f"nats://127.0.0.1:{port}"

    yield start
    for server in servers:
        server.terminate()
        await server.wait()


async def test_a_server_that_pings_rarely_is_named_and_no_other(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    often, rarely = await start("1s"), await start("2m")
    with caplog.at_level(logging.WARNING):
        await warn_of_rare_pings(Addresses.parse(f"{often},{rarely}"), seconds=2.0)
    named = [getattr(record, "server", "") for record in caplog.records if record.message == "broker.pings_rarely"]
    assert named == [rarely]


async def test_nothing_is_said_of_a_server_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await warn_of_rare_pings(Addresses.parse(f"nats://127.0.0.1:{free_port()}"), seconds=0.1)
    assert caplog.records == []
