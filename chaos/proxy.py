"""A TCP proxy between two parts of the system, through which every kind of bad link can be had.

Each direction can be slowed, throttled or stopped by itself. What is stopped is held and comes late, as TCP would
have it; a link that is cut is reset at both ends. Where PostgreSQL lies behind it, a link can be cut after a COMMIT
went by and before its answer: the outcome is then unknown to whoever sent it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field

__all__ = ["Flow", "Proxy"]

_CHUNK_BYTES = 65536
_COMMIT = b"COMMIT;\0"
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Flow:
    """One direction of all links of a proxy."""

    delay_seconds: float = 0.0
    bytes_per_second: float = 0.0
    """0: as fast as it goes."""
    moving: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.moving.set()

    async def carry(self, amount: int) -> None:
        """Take as long as so many bytes take."""
        await self.moving.wait()
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        if self.bytes_per_second:
            await asyncio.sleep(amount / self.bytes_per_second)
        await self.moving.wait()

    def heal(self) -> None:
        """Be a good link again; what was held goes on."""
        self.delay_seconds = self.bytes_per_second = 0.0
        self.moving.set()


class Proxy:
    """Listens on a port of its own for one server.

    Args:
        name: Of the link, for the report.
        target_port: The server's, on 127.0.0.1.

    Attributes:
        port: Where to connect to instead.
        to_server: What clients send.
        to_client: What the server answers.
        refusing: Whether new connections are reset at once.
        commits_cut: How many links were cut between a COMMIT and its answer.
    """

    def __init__(self, name: str, target_port: int) -> None:
        self.name = name
        self.target_port = target_port
        self.port = 0
        self.to_server, self.to_client = Flow(), Flow()
        self.refusing = False
        self.commits_cut = 0
        self._commits_to_cut = 0
        self._links: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        links = dict(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)
        for writer in (writer for writers in links.values() for writer in writers):
            writer.transport.abort()  # or it would stay until its other end has read everything
        await asyncio.sleep(0)

    def reset(self) -> None:
        """Break every link, with a reset at both ends."""
        for writers in list(self._links.values()):
            for writer in writers:
                _abort(writer)

    def cut(self) -> None:
        """Break every link and refuse new ones until it is healed."""
        self.refusing = True
        self.reset()

    def cut_at_commits(self, how_many: int) -> None:
        """Cut the next links on which a COMMIT goes by, before its answer can come."""
        self._commits_to_cut = how_many

    def heal(self) -> None:
        """Be a good link again."""
        self.refusing = False
        self._commits_to_cut = 0
        self.to_server.heal()
        self.to_client.heal()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            _abort(writer)
            return
        link = asyncio.create_task(self._serve(reader, writer))
        self._links[link] = (writer,)
        link.add_done_callback(lambda done: self._links.pop(done, None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            _abort(writer)
            return
        this = asyncio.current_task()
        if this is not None:
            self._links[this] = (writer, server_writer)
        pumps = [
            asyncio.create_task(self._pump(reader, server_writer, self.to_server, (writer, server_writer))),
            asyncio.create_task(self._pump(server_reader, writer, self.to_client, ())),
        ]
        try:
            # A side that has closed will send nothing more, and nobody here goes on after that with half a link.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            writer.close()
            server_writer.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        flow: Flow,
        cut_at_commit: tuple[asyncio.StreamWriter, ...],
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                await flow.carry(len(data))
                cutting = bool(cut_at_commit) and self._commits_to_cut > 0 and _COMMIT in data
                if cutting:
                    # Nothing that the server says from now on reaches the client.
                    self._commits_to_cut -= 1
                    self.commits_cut += 1
                    _abort(cut_at_commit[0])
                writer.write(data)
                await writer.drain()
                if cutting:
                    return


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset, so that the other end learns of it at once."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError, ValueError):  # it is closed already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
