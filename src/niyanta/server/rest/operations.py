"""What an endpoint is, and the frame around each: request id, credentials, limits, input, the error envelope.

An `Operation` declares everything about one endpoint. The routes, the checks and the OpenAPI document are all made
from it, so that none of them can say something else than the others.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from niyanta.domain.ids import make_id
from niyanta.errors import (
    ApiError,
    InternalError,
    InvalidInputError,
    NotFoundError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)
from niyanta.server.coordinator.gate import Gate
from niyanta.server.observability.metrics import Metrics
from niyanta.server.rest import parameters
from niyanta.server.rest.parameters import Parameter
from niyanta.server.rest.responses import error_response
from niyanta.server.store.customers import Identity
from niyanta.wire.strict_json import StrictDecoder

__all__ = ["Access", "Call", "Deprecation", "Frame", "Operation", "request_id_of", "standard_headers"]

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)


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
    answer: type | None = None
    """Type of a success's JSON body; None for none, or for another media type."""
    media_type: str = "application/json"
    status: int = 200
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

    def __init__(self, gate: Gate, max_body_bytes: int, metrics: Metrics) -> None:
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
        decoder: StrictDecoder[Any] | None = StrictDecoder(operation.body) if operation.body is not None else None
        allowed = frozenset(parameter.name for parameter in operation.query)
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
                    if request.scope["query_string"]:
                        parameters.only(request, allowed)
                    if decoder is not None:
                        call.body = await self._body(request, decoder, operation.body_required)
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
            if rate is not None:
                response.raw_headers += rate.headers()
            if operation.deprecation is not None:
                _announce(operation.deprecation, response)
            self._metrics.request_answered(operation.operation_id, response.status_code, time.perf_counter() - began)
            return response

        return serve

    async def _body(self, request: Request, decoder: StrictDecoder[Any], required: bool) -> Any:
        """The body, decoded; None when there is none and none is needed.

        Raises:
            PayloadTooLargeError, UnsupportedMediaTypeError, InvalidInputError: Says what is allowed.
        """
        raw = await self._read(request)
        if not required and not raw.strip():
            return None
        kind = request.headers.get("content-type", "application/json")
        if kind != "application/json" and kind.partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedMediaTypeError(
                "The body must be application/json",
                details={"field": "Content-Type", "allowed": ["application/json"]},
            )
        return decoder.decode(raw)

    async def _read(self, request: Request) -> bytes:
        limit = self._max_body_bytes
        length = request.headers.get("content-length")
        if length is not None and length.isascii() and length.isdigit() and int(length) > limit:
            raise _too_large(limit)
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
        return b"".join(parts)


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"The body is larger than {limit} bytes", details={"max_bytes": limit})


def request_id_of(request: Request) -> str:
    """The caller's ``X-Request-ID`` when it is sane, else a new one; the same for the whole request."""
    found: str | None = getattr(request.state, "request_id", None)
    if found is None:
        given = request.headers.get("x-request-id", "")
        if given and _REQUEST_ID.fullmatch(given):
            found = given
        else:
            found = make_id("req_", time.time_ns() // 1_000_000, random.getrandbits(80))
        request.state.request_id = found
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


def http_error(request: Request, status: int, allow: str) -> Response:
    """The envelope for what no operation answers: an unknown path, or a method that the path doesn't take."""
    if status == 405:
        error: ApiError = InvalidInputError(
            f"This path doesn't take {request.method[:20]}; it takes {allow}",
            details={"field": "method", "allowed": allow.split(", ")},
        )
    else:
        error = NotFoundError("There is nothing at this path")
    request_id = request_id_of(request)
    response = error_response(error, request_id, {"Allow": allow} if allow else None)
    response.status_code = status
    standard_headers(response, request_id)
    return response
