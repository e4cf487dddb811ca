"""One WebSocket connection on the server's side, with the ends that ASGI leaves open.

Uvicorn's own protocol does the work. This one adds what watchers in great numbers need: a frame that is made once
and written to many, an end that a client which doesn't read can't hold up, and bounds on what it can make wait.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

__all__ = ["EXTENSION", "Connection", "text_frame"]

EXTENSION = "niyanta.connection"
"""Key under which the scope's extensions hold the `Connection`."""

_END_SECONDS = 5.0
"""How long a peer has to take what waits for it and to answer the close frame."""


def text_frame(text: bytes) -> bytes:
    """A text message as it goes over the wire from a server: not masked, not compressed."""
    return Frame(Opcode.TEXT, text).serialize(mask=False)


class Connection(WebSocketsSansIOProtocol):
    """A WebSocket connection."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][EXTENSION] = self

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
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
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
