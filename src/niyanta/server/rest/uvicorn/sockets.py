"""One WebSocket connection on the server's side, made for great numbers of them.

Uvicorn's own protocol does the work. This one adds what ASGI has no words for: a frame that is made once and written
to many, an end that a client which doesn't read can't hold up, bounds on what such a client can make wait, and a
listener in place of a task that waits for messages.
"""

from __future__ import annotations

import asyncio
from asyncio.transports import BaseTransport
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from starlette.types import Message
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from niyanta.server.rest.uvicorn.strangers import Strangers

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent  # as uvicorn declares what it hands over
    from uvicorn.server import ServerState

__all__ = ["EXTENSION", "SocketProtocol", "text_frame", "websocket_among"]

EXTENSION = "niyanta.connection"
"""Key under which the scope's extensions hold the `SocketProtocol`."""

_END_SECONDS = 5.0
"""How long a peer has to take what waits for it and to answer the close frame."""


class Inbox:
    """Between uvicorn and the application, in a tenth of the memory that a queue takes."""

    __slots__ = ("_events", "_listener", "_waiter")

    def __init__(self) -> None:
        self._events: list[Message] = []
        self._waiter: asyncio.Future[None] | None = None
        self._listener: Callable[[Message], None] | None = None

    @property
    def is_listened_to(self) -> bool:
        return self._listener is not None

    def hand_to(self, listener: Callable[[Message], None]) -> None:
        self._listener = listener
        for event in self._events:
            listener(event)
        self._events.clear()

    def put_nowait(self, event: Message) -> None:
        if self._listener is not None:
            self._listener(event)
            return
        self._events.append(event)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> Message:
        while not self._events:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
            self._waiter = None
        return self._events.pop(0)

    def empty(self) -> bool:
        return not self._events


def text_frame(text: bytes) -> bytes:
    """A text message as it goes over the wire from a server: not masked, not compressed."""
    return Frame(Opcode.TEXT, text).serialize(mask=False)


class Flag:
    """An event in a fraction of the memory of asyncio's."""

    __slots__ = ("_set", "_waiters")

    def __init__(self) -> None:
        self._set = True
        self._waiters: list[asyncio.Future[None]] = []

    def is_set(self) -> bool:
        return self._set

    def clear(self) -> None:
        self._set = False

    def set(self) -> None:
        self._set = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters = []

    async def wait(self) -> None:
        if not self._set:
            self._waiters.append(asyncio.get_running_loop().create_future())
            await self._waiters[-1]


class SocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket connection."""

    strangers: ClassVar[Strangers]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._inbox = Inbox()
        self.queue = self._inbox  # type: ignore[assignment]  # has all that uvicorn uses of a queue
        self.writable = Flag()  # type: ignore[assignment]  # and this of an event

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.strangers.enter(self, self.client[0] if self.client else "")

    def connection_lost(self, exc: Exception | None) -> None:
        self.strangers.leave(self)
        super().connection_lost(exc)

    def welcome(self) -> None:
        """The caller's credentials are good: the connection may stay."""
        self.strangers.leave(self)

    @property
    def is_busy(self) -> bool:
        """Whether the handshake is under way."""
        return not self.handshake_complete

    def send_away(self) -> None:
        """Cut the connection."""
        self.transport.abort()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        scope = cast(dict[str, dict[str, object]] | None, getattr(self, "scope", None))
        if scope is not None:
            scope["extensions"][EXTENSION] = self

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            # Otherwise uvicorn complains of every refusal that no handshake was completed.
            self.handshake_complete = True

    def listen(self, listener: Callable[[Message], None]) -> None:
        """From here on have every ASGI event handed to a function, those first that wait already.

        The handshake is over: what it needed, which is most of a connection's memory, is forgotten.
        """
        self._inbox.hand_to(listener)
        self._read_on()
        self.request.headers.clear()
        self.response.headers.clear()
        cast(dict[str, Any], self.scope).clear()

    def send_receive_event_to_app(self) -> None:
        super().send_receive_event_to_app()
        if self._inbox.is_listened_to:
            self._read_on()

    def _read_on(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def write(self, frame: bytes) -> None:
        """Send a frame, at once. Wait for `writable` before."""
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(frame)

    def end(self, code: int, reason: str) -> None:
        """Close, whether the client reads or not: what it hasn't taken soon is thrown away."""
        if self.close_sent or self.transport.is_closing():
            return
        self.stop_keepalive()
        try:
            self.conn.send_close(code, reason)
        except InvalidState:
            self.transport.abort()
            return
        self.close_sent = True
        self.transport.write(b"".join(self.conn.data_to_send()))
        self._read_on()
        self.close_timer = self.loop.call_later(_END_SECONDS, self.transport.abort)

    def handle_ping(self) -> None:
        # Whoever asks for pongs without taking them would fill the memory.
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        self.pong_timer = None
        self.end(1011, "no answer to a ping")


def websocket_among(strangers: Strangers) -> type[SocketProtocol]:
    """The protocol for a server with these strangers."""
    return type("WebSocket", (SocketProtocol,), {"strangers": strangers})
