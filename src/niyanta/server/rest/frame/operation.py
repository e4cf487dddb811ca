"""What an endpoint is, and the frame around each: request id, credentials, limits, input, the error envelope.

An `Operation` declares everything about one endpoint. The routes, the checks and the OpenAPI document are all made
from it, so that none of them can say something else than the others.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from niyanta.errors import (
    ApiError,
    InternalError,
    InvalidInputError,
    NotFoundError,
    PayloadTooLargeError,
    RequestTimeoutError,
    UnsupportedMediaTypeError,
)
from niyanta.server.access.gate import Gate, request_id
from niyanta.server.observability.metrics import Metrics
from niyanta.server.rest.frame import parameters
from niyanta.server.rest.frame.negotiation import best_media_type
from niyanta.server.rest.frame.parameters import Parameter
from niyanta.server.rest.frame.responses import error_response
from niyanta.server.store.customers import Identity
from niyanta.wire.strict_json import MAX_VALUES, StrictDecoder

__all__ = ["Access", "Call", "Deprecation", "Frame", "Operation", "request_id_of", "standard_headers"]

log = logging.getLogger(__name__)

_REQUEST_ID = "niyanta.request_id"
"""Where a request's scope keeps its id."""

_BODY_BYTES_PER_SECOND = 64 * 1024
"""A body may take a second more for so many bytes."""


class Access(Enum):
    """Who may call an endpoint."""

    PUBLIC = "public"
    CUSTOMER = "customer"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Deprecation:
    """Announces the end of an endpoint in its responses' headers (§API Versioning of the contract)."""

    deprecated_at: datetime
    sunset_at: datetime
    successor: str
    """Address of the page that tells what to use instead."""


@dataclass(slots=True)
class Call:
    """One request on its way through: checked, decoded, and from whom."""

    request: Request
    identity: Identity
    """Who asks; only to be read where the operation isn't public."""
    body: Any = None
    """The decoded body; None when the operation takes none, or it is optional and was left out."""
    media_type: str = "application/json"
    """What the answer's body is to be, of those that the operation offers."""

    def path_id(self, name: str) -> str:
        """An id from the path; one that can't be an id is as missing as one that doesn't exist."""
        return parameters.path_id(self.request, name)


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One endpoint."""

    method: str
    path: str
    """Below the server's root, as in ``/v1/workloads/{workload_id}``."""
    operation_id: str
    summary: str
    tag: str
    handler: Handler
    access: Access = Access.CUSTOMER
    query: tuple[Parameter, ...] = ()
    """Every query parameter there is; any other is refused."""
    body: type | None = None
    """Type of the JSON body."""
    body_required: bool = True
    max_body_bytes: int | None = None
    """Larger bodies are refused; None for the limit that holds where none is declared."""
    max_values: int = MAX_VALUES
    """Values that a body may hold."""
    answer: type | None = None
    """Type of a success's JSON body; None for none, or for another media type."""
    media_type: str = "application/json"
    other_media_types: tuple[str, ...] = ()
    """What a success may also come as, as text, for callers whose ``Accept`` header asks for it."""
    status: int = 200
    other_answers: dict[int, type] = field(default_factory=dict)
    """Types of the bodies of other statuses that are no errors, by status."""
    headers: tuple[str, ...] = ()
    """Headers that a success carries besides the standard ones."""
    request_headers: tuple[str, ...] = ()
    errors: tuple[type[ApiError], ...] = ()
    """What can go wrong, besides what can go wrong everywhere."""
    description: str = ""
    examples: dict[str, Any] = field(default_factory=dict)
    """``body`` and ``answer`` as the OpenAPI document shows them."""
    exists: Handler | None = None
    """Called when the input is refused: raises `NotFoundError` when there isn't anything it could be about."""
    deprecation: Deprecation | None = None


class _Endpoint:
    """An ASGI application; Starlette wraps plain functions in error handling that the frame has already."""

    def __init__(self, serve: Callable[[Request], Awaitable[Response]]) -> None:
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._serve(Request(scope, receive, send))
        await response(scope, receive, send)


class Frame:
    """Turns operations into routes."""

    def __init__(self, gate: Gate, max_body_bytes: int, body_seconds: float, metrics: Metrics) -> None:
        self._body_seconds = body_seconds
        self._gate = gate
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._nobody = Identity("", "", "")

    def route(self, operation: Operation) -> Route:
        """The route that serves an operation."""
        return Route(
            operation.path,
            _Endpoint(self._server_of(operation)),
            methods=[operation.method],
            name=operation.operation_id,
        )

    def _server_of(self, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
        decoder: StrictDecoder[Any] | None = None
        if operation.body is not None:
            decoder = StrictDecoder(operation.body, operation.max_values)
        limit = operation.max_body_bytes or self._max_body_bytes
        allowed = frozenset(parameter.name for parameter in operation.query)
        offered = (operation.media_type, *operation.other_media_types)
        public, admin = operation.access is Access.PUBLIC, operation.access is Access.ADMIN

        async def serve(request: Request) -> Response:
            began = time.perf_counter()
            request_id = request_id_of(request)
            rate = None
            try:
                identity = self._nobody
                if not public:
                    source = request.client.host if request.client else ""
                    entry = await self._gate.enter(request.headers.get("authorization"), admin=admin, source=source)
                    identity, rate = entry.identity, entry.rate
                    if entry.refusal is not None:
                        raise entry.refusal
                call = Call(request, identity)
                try:
                    if operation.answer is not None:
                        call.media_type = best_media_type(request.headers.get("accept"), offered)
                    if request.scope["query_string"]:
                        parameters.only(request, allowed)
                    if decoder is not None:
                        call.body = await self._body(request, decoder, operation.body_required, limit)
                    response = await operation.handler(call)
                except InvalidInputError:
                    if operation.exists is not None:
                        await operation.exists(call)
                    raise
            except ApiError as error:
                response = error_response(error, request_id)
            except ClientDisconnect:
                response = Response(status_code=400)
            except Exception:
                log.exception("rest.request_failed", extra={"request_id": request_id})
                response = error_response(InternalError("An unexpected error; it has been logged"), request_id)
            standard_headers(response, request_id)
            if response.status_code in (408, 413):
                response.raw_headers.append((b"connection", b"close"))  # rather than read on for nothing
            if rate is not None:
                response.raw_headers += rate.headers()
            if operation.deprecation is not None:
                _announce(operation.deprecation, response)
            self._metrics.request_answered(operation.operation_id, response.status_code, time.perf_counter() - began)
            return response

        return serve

    async def _body(self, request: Request, decoder: StrictDecoder[Any], required: bool, limit: int) -> Any:
        """The body, decoded; None when there is none and none is needed.

        Raises:
            PayloadTooLargeError, UnsupportedMediaTypeError, InvalidInputError: Says what is allowed.
        """
        raw = await self._read(request, limit)
        if not required and not raw.strip():
            return None
        kind = request.headers.get("content-type", "application/json")
        if kind != "application/json" and kind.partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedMediaTypeError(
                "The body must be application/json",
                details={"field": "Content-Type", "allowed": ["application/json"]},
            )
        return decoder.decode(raw)

    async def _read(self, request: Request, limit: int) -> bytes:
        length = request.headers.get("content-length")
        if length is not None and length.isascii() and length.isdigit() and int(length) > limit:
            raise _too_large(limit)
        parts: list[bytes] = []
        size = 0
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._body_seconds) as clock:
                while True:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    part = message.get("body", b"")
                    size += len(part)
                    if size > limit:
                        raise _too_large(limit)
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
                    clock.reschedule(began + self._body_seconds + size / _BODY_BYTES_PER_SECOND)
        except TimeoutError as exc:
            raise RequestTimeoutError(
                "The body took too long to arrive",
                details={"field": "body", "allowed": f"{self._body_seconds:g} s and 1 s more for each 64 KiB"},
            ) from exc


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(
        f"The body is larger than {limit} bytes", details={"field": "body", "max_bytes": limit}
    )


def request_id_of(request: HTTPConnection) -> str:
    """The caller's ``X-Request-ID`` when it is sane, else a new one; the same for the whole request."""
    found: str | None = request.scope.get(_REQUEST_ID)
    if found is None:
        found = request.scope[_REQUEST_ID] = request_id(request.headers.get("x-request-id"))
    return found


def standard_headers(response: Response, request_id: str) -> None:
    """What every response carries."""
    response.raw_headers += [
        (b"x-request-id", request_id.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
    ]


def _announce(deprecation: Deprecation, response: Response) -> None:
    form = "%a, %d %b %Y %H:%M:%S GMT"
    response.headers["Deprecation"] = deprecation.deprecated_at.strftime(form)
    response.headers["Sunset"] = deprecation.sunset_at.strftime(form)
    response.headers["Link"] = f'<{deprecation.successor}>; rel="successor-version"'


def http_error(request: HTTPConnection, status: int, allow: str) -> Response:
    """The envelope for what no operation answers: an unknown path, or a method that the path doesn't take."""
    if status == 405:
        error: ApiError = InvalidInputError(
            f"This path doesn't take {request.scope['method'][:20]}; it takes {allow}",
            details={"field": "method", "allowed": allow.split(", ")},
        )
    else:
        error = NotFoundError("There is nothing at this path")
    request_id = request_id_of(request)
    response = error_response(error, request_id, {"Allow": allow} if allow else None)
    response.status_code = status
    standard_headers(response, request_id)
    return response
