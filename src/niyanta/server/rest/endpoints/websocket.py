"""The WebSocket API: a workload's updates as JSON messages, until it has ended."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from niyanta.domain import customers
from niyanta.domain.limits import MAX_AUTH_SECONDS
from niyanta.domain.workload import Status
from niyanta.errors import (
    ApiError,
    ForbiddenError,
    InvalidInputError,
    RateLimitedError,
    UnauthorizedError,
)
from niyanta.server.access.gate import Gate, check_workload
from niyanta.server.observability.logs import name_request
from niyanta.server.rest.frame.frame import request_id_of, source_of, standard_headers
from niyanta.server.rest.frame.parameters import only, path_id
from niyanta.server.rest.frame.responses import error_response, timestamp
from niyanta.server.rest.uvicorn.sockets import EXTENSION, SocketProtocol, text_frame
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.watching.service import Update, Watch, WatcherTooSlowError, WatchService
from niyanta.server.watching.watched import UpdateKind
from niyanta.wire.decoding import UNREADABLE

__all__ = ["WorkloadSockets"]

log = logging.getLogger(__name__)

_STALLED_SECONDS = 10.0
"""How long a client may take nothing at all while something waits for it."""
_SPARE_MESSAGES = 20
"""Messages that a client may send on top of one a second. They are ignored; some clients send pings of their own."""
_MOST_REASON_BYTES = 123
_OTHER_WAYS = 'send the header Authorization, or {"type": "auth", "token": …} as the first message'
_WRONG_KIND, _POLICY, _INTERNAL, _TRY_AGAIN = 1003, 1008, 1011, 1013

_Headers: TypeAlias = list[tuple[bytes, bytes]]


class _StatusUpdate(msgspec.Struct, tag_field="type", tag="status_update"):
    workload_id: str
    status: str
    progress_percent: int
    timestamp: str
    message: str | None
    version: int


class _Completed(msgspec.Struct, tag_field="type", tag="completed"):
    workload_id: str
    status: str
    progress_percent: int
    timestamp: str
    result_data: msgspec.Raw
    version: int


class _Failed(msgspec.Struct, tag_field="type", tag="failed"):
    workload_id: str
    status: str
    progress_percent: int
    timestamp: str
    error_message: str
    version: int


class _LogLine(msgspec.Struct, tag_field="type", tag="log_line"):
    workload_id: str
    timestamp: str
    level: str
    message: str
    details: msgspec.Raw
    version: int


class _Auth(msgspec.Struct, tag_field="type", tag="auth"):
    token: str


_encode = msgspec.json.Encoder().encode
_decode_auth = msgspec.json.Decoder(_Auth).decode


class _ClosedError(Exception):
    """The client has gone, or is sent away with a close code."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class WorkloadSockets:
    """Serves ``/v1/ws/workloads/{workload_id}`` as an ASGI application."""

    def __init__(self, gate: Gate, watches: WatchService, settings: CoordinatorSettings) -> None:
        self._gate = gate
        self.watches = watches
        self._most_per_customer = settings.max_websockets_per_customer
        self._query_tokens = settings.websocket_query_tokens
        self._origins = {origin.strip().lower() for origin in settings.allowed_origins.split(",") if origin.strip()}
        self._open: dict[str, int] = {}
        self._newest: tuple[Update, bytes] | None = None

    @property
    def count(self) -> int:
        """Open sockets that watch."""
        return sum(self._open.values())

    def routes(self) -> list[BaseRoute]:
        """This endpoint."""
        return [WebSocketRoute("/v1/ws/workloads/{workload_id}", self, name="watchWorkload")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        name_request(request_id_of(HTTPConnection(scope)))
        watch = await self._enter(WebSocket(scope, receive, send))
        if watch is not None:
            try:
                await self._tell(_connection(scope), watch)
            finally:
                self._leave(watch)

    async def _enter(self, socket: WebSocket) -> Watch | None:
        """Shake hands and open the watch, in the order that the credentials ask for; None when it was refused."""
        authorization = _credentials(socket)
        headers: _Headers = []
        watch: Watch | None = None
        try:
            self._check_origin(socket)
            if self._query_tokens == "off" and "token" in socket.query_params:
                raise UnauthorizedError(f"?token= is switched off here; {_OTHER_WAYS}", details={"field": "token"})
            if authorization is not None:
                watch = await self._open_watch(socket, authorization, headers)
        except ApiError as error:
            await _refuse(socket, error, headers)
            return None
        try:
            await socket.accept(headers=[*headers, (b"x-request-id", request_id_of(socket).encode())])
        except BaseException:
            if watch is not None:
                self._leave(watch)
            raise
        return watch if watch is not None else await self._enter_late(socket)

    async def _enter_late(self, socket: WebSocket) -> Watch | None:
        """Open the watch once the client has sent its credentials; None when it was closed."""
        try:
            return await self._open_watch(socket, f"Bearer {await _first_message(socket)}", [])
        except ApiError as error:
            _connection(socket.scope).end(_close_code(error), _short(error.message))
        except _ClosedError as closed:
            _connection(socket.scope).end(closed.code, closed.reason)
        return None

    def _check_origin(self, socket: WebSocket) -> None:
        """Refuse browsers that show another site's page; other clients send no origin."""
        origin = socket.headers.get("origin", "").lower()
        same = urlsplit(origin).netloc == socket.headers.get("host", "").lower()
        if origin and not same and origin not in self._origins and "*" not in self._origins:
            raise ForbiddenError("Pages of this origin may not connect", details={"field": "Origin"})

    async def _open_watch(self, socket: WebSocket, authorization: str, headers: _Headers) -> Watch:
        """Pass the gate and find the workload; ``headers`` get what is to be answered in either case."""
        source = source_of(socket, self._gate.proxies)
        entry = await self._gate.enter(authorization, customers.Scope.WORKLOADS_READ, source=source)
        _connection(socket.scope).welcome()
        if entry.rate is not None:
            headers += entry.rate.headers()
        if entry.refusal is not None:
            raise entry.refusal
        in_address = "token" in socket.query_params and "authorization" not in socket.headers
        if self._query_tokens == "short_lived" and in_address and not entry.identity.is_token:
            raise UnauthorizedError(
                f"?token= takes nothing but a token from POST /v1/tokens here; {_OTHER_WAYS}",
                details={"field": "token"},
            )
        check_workload(entry.identity, socket.path_params.get("workload_id"))
        customer_id = entry.identity.customer_id
        if self._open.get(customer_id, 0) >= self._most_per_customer:
            raise RateLimitedError(
                f"{self._most_per_customer} connections are open already; close one first",
                details={"max_websockets_per_customer": self._most_per_customer},
                retry_after_seconds=5,
            )
        self._count(customer_id, 1)
        try:
            watch = await self.watches.open(
                entry.identity, path_id(socket, "workload_id"), logs=True, authorization=authorization
            )
        except BaseException:
            self._count(customer_id, -1)
            raise
        try:
            only(socket, {"token"})
        except InvalidInputError:
            self._leave(watch)
            raise
        return watch

    def _leave(self, watch: Watch) -> None:
        self.watches.leave(watch)
        self._count(watch.watched.customer_id, -1)

    def _count(self, customer_id: str, difference: int) -> None:
        count = self._open.get(customer_id, 0) + difference
        if count:
            self._open[customer_id] = count
        else:
            self._open.pop(customer_id, None)

    async def _tell(self, connection: SocketProtocol, watch: Watch) -> None:
        """Send updates until the workload has ended, or something comes between."""
        connection.listen(_Listener(watch))
        code, reason = 1000, ""
        try:
            async for update in watch:
                if not connection.writable.is_set():
                    await _until_writable(connection, watch)
                connection.write(self._frame(update))
        except WatcherTooSlowError:
            code, reason = _TRY_AGAIN, "too slow: more waits for you than is kept"
        except _ClosedError as closed:
            code, reason = closed.code, closed.reason
        except ApiError as error:
            code, reason = _close_code(error), _short(error.message)
        except Exception:
            log.exception("websocket.failed", extra={"workload_id": watch.watched.workload_id})
            code, reason = _INTERNAL, "an unexpected error; it has been logged"
        connection.end(code, reason)

    def _frame(self, update: Update) -> bytes:
        """An update as it goes over the wire; made once for watchers of the same workload."""
        newest = self._newest
        if newest is None or newest[0] is not update:
            newest = self._newest = (update, text_frame(_encode(_message(update))))
        return newest[1]


def _connection(scope: Scope) -> SocketProtocol:
    found: SocketProtocol = scope["extensions"][EXTENSION]
    return found


def _credentials(socket: WebSocket) -> str | None:
    """The ``Authorization`` header, or what it would be for the token in the query; None when there is neither."""
    token = socket.query_params.get("token")
    header = socket.headers.get("authorization")
    if header is None and token is not None:
        header = f"Bearer {token}"
    return header


async def _refuse(socket: WebSocket, error: ApiError, headers: _Headers) -> None:
    request_id = request_id_of(socket)
    response = error_response(error, request_id)
    standard_headers(response, request_id)
    response.raw_headers += headers
    await socket.send_denial_response(response)


async def _first_message(socket: WebSocket) -> str:
    """The token in the first message.

    Raises:
        UnauthorizedError: It didn't come, or says something else.
    """
    try:
        async with asyncio.timeout(MAX_AUTH_SECONDS):
            event = await socket.receive()
    except TimeoutError:
        raise UnauthorizedError(f"No credentials came within {MAX_AUTH_SECONDS:g} s") from None
    if event["type"] == "websocket.disconnect":
        raise _ClosedError(1000)
    try:
        return _decode_auth(event.get("text") or b"").token
    except UNREADABLE:
        raise UnauthorizedError('The first message must be {"type": "auth", "token": …}') from None


class _Listener:
    """Notices that the client leaves. What it says is ignored, but not without end."""

    __slots__ = ("_began", "_heard", "_watch")

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._began = time.monotonic()
        self._heard = 0

    def __call__(self, event: Message) -> None:
        self._heard += 1
        if event["type"] == "websocket.disconnect":
            self._watch.interrupt(_ClosedError(1000))
        elif event.get("bytes") is not None:
            self._watch.interrupt(_ClosedError(_WRONG_KIND, "binary messages mean nothing here"))
        elif self._heard > _SPARE_MESSAGES + time.monotonic() - self._began:
            self._watch.interrupt(_ClosedError(_POLICY, "too many messages; none is needed"))


async def _until_writable(connection: SocketProtocol, watch: Watch) -> None:
    """Wait for a client that is slow to take what was sent.

    Raises:
        WatcherTooSlow: It took nothing for a long time. Also all that `Watch.interruption` raises.
    """
    waits = [asyncio.create_task(connection.writable.wait()), asyncio.create_task(watch.interruption())]
    try:
        done, _ = await asyncio.wait(waits, timeout=_STALLED_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise WatcherTooSlowError("nothing was taken for a long time")
        for wait in done:
            wait.result()
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def _message(update: Update) -> msgspec.Struct:
    at, status = timestamp(update.timestamp), update.status.value
    if update.kind is UpdateKind.LOG:
        details = msgspec.Raw(update.details_json.encode())
        return _LogLine(update.workload_id, at, update.level, update.message or "", details, update.version)
    known = (update.workload_id, status, update.progress_percent, at)
    if update.status is Status.COMPLETED:
        return _Completed(*known, msgspec.Raw((update.result_json or "{}").encode()), update.version)
    if update.status is Status.FAILED:
        return _Failed(*known, update.error_message or "", update.version)
    return _StatusUpdate(*known, update.message, update.version)


def _close_code(error: ApiError) -> int:
    """4000 and the HTTP status for what the client did, else "try again later"."""
    return 4000 + error.http_status if error.http_status < 500 else _TRY_AGAIN


def _short(text: str) -> str:
    """What fits into a close frame."""
    return text.encode()[:_MOST_REASON_BYTES].decode(errors="ignore")
