"""Bounds on what comes before a request's body: uvicorn's parser itself takes heads of any size, at any pace.

The parser (llhttp, strict) refuses what could be read in two ways: two lengths, a length together with chunks, bad
chunk ends. What it refuses, and what is refused here, is answered once with the error envelope, and the connection is
closed.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, cast

import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from niyanta.domain.ids import make_id
from niyanta.domain.limits import MAX_HEAD_BYTES, MAX_HEAD_SECONDS, MAX_HEADERS, MAX_URL_BYTES
from niyanta.server.rest.bodies.workloads import ErrorBody, ErrorEnvelope
from niyanta.server.rest.uvicorn.ending import TOGETHER, EndingTransport
from niyanta.server.rest.uvicorn.strangers import KEEP_ALIVE_SECONDS, SEND_AWAY, WELCOME, Strangers

if TYPE_CHECKING:
    from uvicorn.server import ServerState

__all__ = ["HeadLimits", "bounded_http"]


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """What a request's head may be."""

    head_bytes: int = MAX_HEAD_BYTES
    """Request line and headers together."""
    url_bytes: int = MAX_URL_BYTES
    headers: int = MAX_HEADERS
    seconds: float = MAX_HEAD_SECONDS
    """From the first byte, or from the connection, to the end of the head."""


class _RefusedError(Exception):
    """Raised in a parser's callback; the parser turns it into one of its own errors."""


_ONCE = frozenset({b"host", b"authorization", b"content-type", b"idempotency-key"})
"""Headers of which two are read as the first by some and as the last by others."""
_BAD = (HTTPStatus.BAD_REQUEST, "The request is not well-formed HTTP", "RFC 9112")


class BoundedHttp(HttpToolsProtocol):
    """HTTP of which no more than the limits is read before it is known who asks."""

    limits: ClassVar[HeadLimits]
    strangers: ClassVar[Strangers]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._is_made = False
        self._in_head = True
        self._received_bytes = 0
        self._head_bytes = 0
        self._refusal: tuple[HTTPStatus, str, str] = _BAD
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._is_made = True
        self._ending = EndingTransport(transport, self._sends_on, self._lingers)
        self.transport = self._ending
        self._clock = self.loop.call_later(self.limits.seconds, self._too_slow)
        self._is_stranger = True
        self.timeout_keep_alive = min(self.config.timeout_keep_alive, KEEP_ALIVE_SECONDS)
        self.strangers.enter(self, self.client[0] if self.client else "")

    def welcome(self) -> None:
        """The caller's credentials are good: the connection may stay."""
        self._is_stranger = False
        self.timeout_keep_alive = self.config.timeout_keep_alive
        self.strangers.leave(self)

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way."""
        return self.cycle is not None and not self.cycle.response_complete

    def send_away(self) -> None:
        """Cut the connection."""
        self.transport.abort()

    def handle_websocket_upgrade(self) -> None:
        self.strangers.leave(self)  # the WebSocket's protocol takes over, as a stranger of its own
        self.transport = self._ending.inner
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_made:
            return  # its TLS was never agreed on
        self._stop_clock()
        self._ending.lost()
        self.strangers.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ending.is_lingering:
            self._ending.discard(data)
            return
        in_head = self._in_head
        super().data_received(data)
        if in_head and self._in_head and not self.transport.is_closing():
            # The parser hands a header over when it is whole; until then it keeps what came.
            self._received_bytes += len(data)
            if self._received_bytes > self.limits.head_bytes:
                self._refuse_head()
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope = cast(dict[str, Any], self.scope)
        if self._is_stranger:
            scope[WELCOME] = self.welcome
        scope[SEND_AWAY] = self.send_away
        scope[TOGETHER] = self._ending
        self._in_head = True
        self._received_bytes = self._head_bytes = 0
        if self._clock is None:
            self._clock = self.loop.call_later(self.limits.seconds, self._too_slow)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.limits.url_bytes:
            allowed = f"{self.limits.url_bytes} bytes"
            self._refusal = (HTTPStatus.REQUEST_URI_TOO_LONG, "The URL is too long", allowed)
            raise _RefusedError

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value)
        if len(self.headers) > self.limits.headers or self._head_bytes > self.limits.head_bytes:
            self._refuse_head()
            raise _RefusedError

    def on_headers_complete(self) -> None:
        self._stop_clock()
        self._in_head = False
        once = [name for name, _ in self.headers if name in _ONCE]
        if twice := next((name for name in once if once.count(name) > 1), None):
            self._refusal = (HTTPStatus.BAD_REQUEST, f"There are two headers {twice.decode().title()}", "one")
            raise _RefusedError
        if b"host" not in once and self.parser.get_http_version() == "1.1":
            self._refusal = (HTTPStatus.BAD_REQUEST, "There must be one Host header", "one")
            raise _RefusedError
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is refused, unless another answer is under way or due first; then close."""
        answered = self.cycle is None or self.cycle.response_complete
        own = not self._in_head and not self.pipeline and self.cycle is not None and not self.cycle.response_started
        if answered or own:
            self.transport.write(_response(*self._refusal))
        self.transport.close()

    def _sends_on(self) -> bool:
        """Whether a request has begun to come and isn't whole."""
        return self._in_head or (self.cycle is not None and self.cycle.more_body)

    def _lingers(self) -> None:
        self._stop_clock()
        self.flow.resume_reading()
        if self.is_busy:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _refuse_head(self) -> None:
        allowed = f"{self.limits.head_bytes} bytes, {self.limits.headers} headers"
        self._refusal = (
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            "The request's headers are too large",
            allowed,
        )

    def _too_slow(self) -> None:
        self._clock = None
        if self.transport.is_closing():
            return
        allowed = f"{self.limits.seconds:g} seconds"
        self._refusal = (HTTPStatus.REQUEST_TIMEOUT, "The request's head took too long", allowed)
        if self._received_bytes:
            self.send_400_response("")
        else:
            self.transport.close()

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None


def bounded_http(limits: HeadLimits, strangers: Strangers) -> type[HttpToolsProtocol]:
    """Uvicorn's protocol with bounds."""
    return type("BoundedHttp", (BoundedHttp,), {"limits": limits, "strangers": strangers})


def _response(status: HTTPStatus, message: str, allowed: str) -> bytes:
    request_id = make_id("req_", time.time_ns() // 1_000_000, random.getrandbits(80))
    details = {"field": "request", "allowed": allowed}
    body = msgspec.json.encode(ErrorEnvelope(ErrorBody("INVALID_INPUT", message, details, request_id)))
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
        f"x-request-id: {request_id}\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body
