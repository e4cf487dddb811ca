"""The proxy: what passes, what is held, and what is cut, in each direction."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from chaos.proxy import Proxy


@contextlib.asynccontextmanager
async def echoing() -> AsyncIterator[tuple[Proxy, list[bytes]]]:
    """A proxy before a server that answers each message with itself, and what the server has heard."""
    heard: list[bytes] = []
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with contextlib.suppress(OSError):
            while data := await reader.read(1000):
                heard.append(data)
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy = Proxy("test", server.sockets[0].getsockname()[1])
    await proxy.start()
    try:
        yield proxy, heard
    finally:
        await proxy.stop()
        server.close()
        await asyncio.gather(*(each for each in serving if each is not None))


async def connected(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"first")
    assert await reader.readexactly(5) == b"first"
    return reader, writer


async def until(heard: list[bytes], what: bytes) -> None:
    async with asyncio.timeout(10):
        while b"".join(heard) != what:
            await asyncio.sleep(0.01)


async def test_what_is_held_on_the_way_back_comes_when_it_heals() -> None:
    async with echoing() as (proxy, heard):
        reader, writer = await connected(proxy)
        proxy.to_client.moving.clear()
        writer.write(b"second")
        await until(heard, b"firstsecond")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(10), 0.2)
        proxy.heal()
        assert await asyncio.wait_for(reader.readexactly(6), 10) == b"second"
        writer.close()


async def test_what_is_held_on_the_way_there_arrives_when_it_heals() -> None:
    async with echoing() as (proxy, heard):
        reader, writer = await connected(proxy)
        proxy.to_server.moving.clear()
        writer.write(b"second")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(10), 0.2)
        assert heard == [b"first"]
        proxy.heal()
        assert await asyncio.wait_for(reader.readexactly(6), 10) == b"second"
        writer.close()


async def test_a_reset_breaks_links_and_a_cut_keeps_new_ones_away() -> None:
    async with echoing() as (proxy, _):
        reader, writer = await connected(proxy)
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(10), 10)
        writer.close()
        _, again = await connected(proxy)
        again.close()
        proxy.cut()
        assert not await answers(proxy)
        proxy.heal()
        _, healed = await connected(proxy)
        healed.close()


async def answers(proxy: Proxy) -> bool:
    writer = None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"first")
        return await asyncio.wait_for(reader.read(10), 10) == b"first"
    except OSError:
        return False
    finally:
        if writer is not None:
            writer.close()


async def test_a_commit_arrives_although_its_answer_never_does() -> None:
    async with echoing() as (proxy, heard):
        reader, writer = await connected(proxy)
        proxy.cut_at_commits(1)
        writer.write(b"UPDATE")
        assert await reader.readexactly(6) == b"UPDATE"
        writer.write(b"Q\0\0\0\x0bCOMMIT;\0")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(100), 10)
        await until(heard, b"firstUPDATEQ\0\0\0\x0bCOMMIT;\0")
        assert proxy.commits_cut == 1
        writer.close()
