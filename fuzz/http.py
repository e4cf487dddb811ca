"""Requests as bytes on a connection."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from fuzz.material import damaged, several
from fuzz.target import Target
from niyanta.server.rest.uvicorn.heads import HeadLimits, bounded_http
from niyanta.server.rest.uvicorn.strangers import Strangers

__all__ = ["TARGETS"]

_LIMITS = HeadLimits(head_bytes=4096, url_bytes=1024, headers=20)


async def _app(scope: Any, receive: Any, send: Any) -> None:  # Any: ASGI's own
    """Takes the body, answers with nothing."""
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class _Wire(asyncio.Transport):
    """A connection of which nothing but what was written is kept."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed, "something was written after the end"
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def _speak(pieces: list[bytes]) -> None:
    kind = bounded_http(_LIMITS, Strangers(10, 10))
    state = ServerState()
    protocol = kind(Config(_app, http=kind, ws="none", lifespan="off", log_config=None, access_log=False), state, {})
    wire = _Wire()
    protocol.connection_made(wire)
    for piece in pieces:
        if not wire.closed:
            protocol.data_received(piece)
        for _ in range(3):
            await asyncio.sleep(0)
    protocol.connection_lost(None)
    await asyncio.gather(*state.tasks)
    answers = wire.written.split(b"HTTP/1.1 ")
    assert answers[0] == b"", "something that is no answer was written"
    assert all(answer[:3] in (b"100", b"204", b"400", b"408", b"414", b"431") for answer in answers[1:])


_runner = asyncio.Runner()


def _requests(pieces: list[bytes]) -> None:
    _runner.run(_speak(pieces))


_SEEDS = [
    b"GET /v1/workloads?limit=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nTransfer-Encoding : chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
]

TARGETS = (
    Target(
        "requests",
        "whatever comes on a connection is answered by HTTP's own words, or not at all",
        several(damaged(*_SEEDS)),
        _requests,
    ),
)
