"""How an answer leaves a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from niyanta.server.rest.frame.frame import WholeAnswers
from niyanta.server.rest.uvicorn.ending import EndingTransport
from niyanta.server.rest.uvicorn.heads import HeadLimits, bounded_http
from niyanta.server.rest.uvicorn.strangers import Strangers


class Connection(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[bytes | str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.told.append(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.told.append(b"".join(list_of_data))

    def close(self) -> None:
        self.told.append("closed")

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return "closed" in self.told


def test_what_is_sent_within_is_one_write() -> None:
    connection = Connection()
    transport = EndingTransport(connection, lambda: False, lambda: None)
    with transport:
        transport.write(b"head")
        transport.write(b"body")
        assert connection.told == []
    transport.write(b"next")
    with transport:
        pass
    assert connection.told == [b"headbody", b"next"]


def test_what_was_gathered_goes_before_the_end() -> None:
    connection = Connection()
    transport = EndingTransport(connection, lambda: False, lambda: None)
    with transport:
        transport.write(b"head")
        transport.close()
    assert connection.told == [b"head", "closed"]


async def test_nothing_is_written_behind_an_end_that_lingers() -> None:
    connection = Connection()
    transport = EndingTransport(connection, lambda: True, lambda: None)
    with transport:
        transport.write(b"head")
        transport.close()
        transport.write(b"more")
    transport.write(b"more")
    transport.lost()
    assert connection.told == [b"head"]


async def answered(*, streams: bool) -> list[bytes | str]:
    """What a request's connection is told, when its answer is whole or comes in parts."""

    async def serve(request: Request) -> Response:
        return StreamingResponse(iter([b"one", b"two"])) if streams else Response(b"body")

    done = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await WholeAnswers(serve)(scope, receive, send)
        done.set()

    config = Config(application, lifespan="off")
    config.load()
    protocol = bounded_http(HeadLimits(), Strangers(10, 10))(config, ServerState(), {})
    connection = Connection()
    protocol.connection_made(connection)
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    async with asyncio.timeout(10):
        await done.wait()
    told = connection.told[:]
    protocol.connection_lost(None)
    return told


async def test_a_whole_answer_is_one_write_and_parts_go_out_as_they_come() -> None:
    (whole,) = await answered(streams=False)
    assert isinstance(whole, bytes)
    assert whole.startswith(b"HTTP/1.1 200 OK\r\n")
    assert whole.endswith(b"\r\n\r\nbody")
    assert len(await answered(streams=True)) >= 3
