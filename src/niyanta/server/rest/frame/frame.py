"""The frame around each endpoint: request id, credentials, limits, input, the error envelope."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from niyanta.domain.customers import Role
from niyanta.domain.operator_actions import Doing, Protocol, plain_target
from niyanta.errors import (
    ApiError,
    InternalError,
    InvalidInputError,
    NotFoundError,
    PayloadTooLargeError,
    RequestTimeoutError,
    UnsupportedMediaTypeError,
)
from niyanta.server.access.gate import Gate, check_workload, request_id
from niyanta.server.access.proxies import Proxies
from niyanta.server.observability.logs import name_request
from niyanta.server.observability.metrics import Metrics
from niyanta.server.observability.tracing import Tracing
from niyanta.server.rest.frame import parameters
from niyanta.server.rest.frame.credentials import authorization_of
from niyanta.server.rest.frame.negotiation import best_media_type
from niyanta.server.rest.frame.operation import Access, Call, Deprecation, Endpoint, Operation
from niyanta.server.rest.frame.responses import error_response
from niyanta.server.rest.frame.traced import traced
from niyanta.server.rest.uvicorn.ending import TOGETHER
from niyanta.server.rest.uvicorn.strangers import WELCOME
from niyanta.server.services.operators import OperatorRecord
from niyanta.server.services.requests import BodyLimit
from niyanta.server.store.customers import Identity
from niyanta.wire.strict_json import StrictDecoder

__all__ = ["RestFrame", "WholeAnswers", "http_error", "request_id_of", "source_of", "standard_headers"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_REQUEST_ID = "niyanta.request_id"
"""Where a request's scope keeps its id."""

_BODY_BYTES_PER_SECOND = 64 * 1024
"""A body may take a second more for so many bytes."""


class WholeAnswers:
    """An ASGI application; Starlette wraps plain functions in error handling that the frame has already.

    An answer that is whole goes out in one piece.
    """

    def __init__(self, serve: Callable[[Request], Awaitable[Response]]) -> None:
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._serve(Request(scope, receive, send))
        together = scope.get(TOGETHER) if type(response) is Response else None
        if together is None:  # its parts go out as they come
            await response(scope, receive, send)
            return
        with together:
            await response(scope, receive, send)


class RestFrame:
    """Turns endpoints into routes.

    Args:
        gate: Lets requests in.
        body_limits: Larger bodies are refused, in bytes.
        body_seconds: Slower ones too; a second more for each 64 KiB.
        metrics: Count what is answered.
        operators: Records what they do.
        tracing: Makes spans of requests; None where nobody wants them.
    """

    def __init__(
        self,
        gate: Gate,
        body_limits: Mapping[BodyLimit, int],
        body_seconds: float,
        metrics: Metrics,
        operators: OperatorRecord,
        tracing: Tracing | None = None,
    ) -> None:
        self._operators = operators
        self._tracing = tracing
        self._body_seconds = body_seconds
        self._gate = gate
        self._metrics = metrics
        self._body_limits = body_limits
        self._nobody = Identity("", "", Role.CUSTOMER)

    def route(self, endpoint: Endpoint) -> Route:
        """The route that serves an endpoint."""
        operation = endpoint.operation
        return Route(
            operation.path,
            WholeAnswers(traced(self._server_of(endpoint), operation, self._tracing)),
            methods=[operation.method],
            name=operation.operation_id,
        )

    def _server_of(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:  # noqa: C901 -- what every request goes through, in its order
        operation = endpoint.operation
        decoder: StrictDecoder[Any] | None = None
        if operation.body is not None:
            decoder = StrictDecoder(operation.body, operation.max_values)
        limit = self._body_limits[operation.body_limit]
        allowed = frozenset(parameter.name for parameter in operation.query)
        repeatable = frozenset(parameter.name for parameter in operation.query if parameter.repeats)
        offered = (operation.media_type, *operation.other_media_types)
        public, scope = operation.access is Access.PUBLIC, operation.needs
        recorded = operation.access is Access.ADMIN and operation.recorded

        async def attend(call: Call) -> Response:
            request = call.request
            try:
                if operation.answer is not None:
                    call.media_type = best_media_type(request.headers.get("accept"), offered)
                if request.scope["query_string"]:
                    parameters.only(request, allowed, repeatable)
                if decoder is not None:
                    call.body = await self._body(request, decoder, operation.body_required, limit)
                return await endpoint.handler(call)
            except InvalidInputError:
                if endpoint.exists is not None:
                    await endpoint.exists(call)
                raise

        async def serve(request: Request) -> Response:
            began = time.perf_counter()
            request_id = request_id_of(request)
            name_request(request_id)
            rate = None
            try:
                identity = self._nobody
                if not public:
                    source = source_of(request, self._gate.proxies)
                    entry = await self._gate.enter(authorization_of(request), scope, source=source)
                    identity, rate = entry.identity, entry.rate
                    if (welcome := request.scope.pop(WELCOME, None)) is not None:
                        welcome()
                    if entry.refusal is not None:
                        raise entry.refusal
                    check_workload(identity, request.path_params.get("workload_id"))
                call = Call(request, identity)
                if recorded:
                    doing = _doing(operation, call, request_id, source_of(request, self._gate.proxies))
                    response = await self._operators.over(doing, partial(attend, call), call.noted)
                else:
                    response = await attend(call)
            except ApiError as error:
                self._metrics.refused(error.code)
                response = error_response(error, request_id)
            except ClientDisconnect:
                response = Response(status_code=400)
            except Exception:
                log.exception("rest.request_failed", extra={"request_id": request_id})
                response = error_response(InternalError("An unexpected error; it has been logged"), request_id)
            standard_headers(response, request_id)
            # Rather than read on for nothing; a stranger's is cut soon, and its next request could be lost with it.
            if response.status_code in (408, 413) or (not public and WELCOME in request.scope):
                response.raw_headers.append((b"connection", b"close"))
            if rate is not None:
                response.raw_headers += rate.headers()
            if operation.deprecation is not None:
                _announce(operation.deprecation, response)
            self._metrics.request_answered(operation.operation_id, response.status_code, time.perf_counter() - began)
            return response

        return serve

    async def _body(self, request: Request, decoder: StrictDecoder[T], required: bool, limit: int) -> T | None:
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


def _doing(operation: Operation, call: Call, request_id: str, source: str) -> Doing:
    """What an operator is about to do."""
    return Doing(
        action=operation.operation_id,
        actor_id=call.identity.key_id or call.identity.actor_id,
        protocol=Protocol.REST,
        source=source,
        request_id=request_id,
        target=plain_target(call.request.path_params),
        changes=operation.method != "GET",
    )


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


def source_of(request: HTTPConnection, proxies: Proxies) -> str:
    """The address of the client, by the connection and, where it is a named proxy's, by what that says."""
    peer = request.client.host if request.client else ""
    if peer not in proxies:
        return peer
    return proxies.source(peer, ",".join(request.headers.getlist("x-forwarded-for")))


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
