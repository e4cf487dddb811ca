"""A way to PostgreSQL that can be cut at a COMMIT, after which the server gets it later, or never.

A submission's statement outside of a transaction is its own COMMIT.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

__all__ = ["CommitCutter", "commit_cutter"]

_BEGIN, _COMMIT, _BIND = b"BEGIN;\0", b"COMMIT;\0", b"B"
_READY = b"Z\0\0\0\5"
_STORES = b"workload.created"
"""In what is sent with the statement that stores submissions."""


class CommitCutter:
    """Passes everything on, but what `cut_next` asks for.

    Attributes:
        url: Of the database, through here.
        cut: Set once a link was cut.
        arrive: What to set to let the held COMMIT arrive at the server.
        drop: What to set to close the server's end without it.
        answered: Set once the server has answered what it got late.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._armed = False
        self.tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.cut, self.arrive, self.drop = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.answered = asyncio.Event()

    def cut_next(self) -> None:
        """Cut the next link on which the COMMIT of a submission comes by, and hold the COMMIT."""
        self._armed = True

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass_on(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        back = asyncio.create_task(self._pass_back(server_reader, writer))
        in_transaction = has_stored = False
        try:
            while data := await reader.read(65536):
                commits = in_transaction and data.endswith(_COMMIT)
                in_transaction = data.endswith(_BEGIN) or (in_transaction and not commits)
                stores = data.startswith(_BIND) and _STORES in data
                has_stored = stores or (has_stored and (in_transaction or commits))
                if self._armed and has_stored and not in_transaction:
                    self._armed = False
                    writer.transport.abort()
                    self.cut.set()
                    back.cancel()
                    await asyncio.gather(back, return_exceptions=True)
                    await self._hold(server_reader, server_writer, data)
                    return
                server_writer.write(data)
                await server_writer.drain()
        except ConnectionError:
            pass
        finally:
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)
            writer.close()
            server_writer.close()

    async def _hold(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, commit: bytes) -> None:
        arrives, drops = asyncio.create_task(self.arrive.wait()), asyncio.create_task(self.drop.wait())
        await asyncio.wait([arrives, drops], return_when=asyncio.FIRST_COMPLETED)
        if arrives.done():
            server.write(commit)
            await server.drain()
            await reader.readuntil(_READY)
            self.answered.set()
        for task in (arrives, drops):
            task.cancel()

    async def _pass_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()


@contextlib.asynccontextmanager
async def commit_cutter(url: str) -> AsyncIterator[CommitCutter]:
    """Open on a port of its own."""
    cutter = CommitCutter(url)
    server = await asyncio.start_server(cutter.connected, "127.0.0.1", 0)
    place = urlsplit(url)
    login = place.netloc.rpartition("@")[0]
    cutter.url = urlunsplit(place._replace(netloc=f"{login}@127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    try:
        yield cutter
    finally:
        cutter.drop.set()
        server.close()
        for task in list(cutter.tasks):
            task.cancel()
        await asyncio.gather(*cutter.tasks, return_exceptions=True)
