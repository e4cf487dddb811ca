"""The REST API: every part's operations, and the document that describes them, as one ASGI application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from niyanta.server.access.gate import Gate
from niyanta.server.observability.metrics import Metrics
from niyanta.server.observability.tracing import Tracing
from niyanta.server.rest.frame.frame import RestFrame, http_error, request_id_of, standard_headers
from niyanta.server.rest.frame.operation import Endpoint
from niyanta.server.rest.openapi.pages import DocumentPages
from niyanta.server.services.operators import OperatorRecord
from niyanta.server.services.requests import BodyLimit

__all__ = ["RestApi"]


class RestApi:
    """The application, and the operations that it is made of.

    It hands each request straight to its route: the frame around every operation does what Starlette's own middleware
    would, and knows the error envelope.

    Args:
        gate: Lets requests in.
        endpoints: Of all parts; the first that fits a path serves it.
        body_limits: Larger bodies are refused, in bytes.
        body_seconds: Slower ones too; a second more for each 64 KiB.
        metrics: Count what is answered.
        operators: Records what they do.
        routes: What is no operation: WebSockets, static files.
        tracing: Makes spans of requests.
    """

    def __init__(  # noqa: PLR0913 -- what every request goes through
        self,
        gate: Gate,
        endpoints: Sequence[Endpoint],
        body_limits: Mapping[BodyLimit, int],
        body_seconds: float,
        metrics: Metrics,
        operators: OperatorRecord,
        routes: Sequence[BaseRoute] = (),
        tracing: Tracing | None = None,
    ) -> None:
        frame = RestFrame(gate, body_limits, body_seconds, metrics, operators, tracing)
        self.operations = [endpoint.operation for endpoint in endpoints]
        pages = DocumentPages().routes()
        self._routes: list[BaseRoute] = [*(frame.route(endpoint) for endpoint in endpoints), *routes, *pages]
        self._fixed: dict[tuple[str, str], ASGIApp] = {
            (route.path, method): route.app
            for route in self._routes
            if isinstance(route, Route) and "{" not in route.path
            for method in route.methods or ()
        }
        self._methods: dict[str, set[str]] = {}
        for path, method in self._fixed:
            self._methods.setdefault(path, {"OPTIONS"}).add(method)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        if scope["type"] == "http":
            fixed = self._fixed.get((scope["path"], scope["method"]))
            if fixed is not None:
                await fixed(scope, receive, send)
                return
        # A path of its own, such as /v1/workloads/batch, is no id in another.
        allowed = self._methods.get(scope["path"], set())
        for route in self._routes if not allowed else ():
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                await route.handle(scope, receive, send)
                return
            if match is Match.PARTIAL and isinstance(route, Route):
                allowed = {*allowed, *(route.methods or ()), "OPTIONS"}
        if scope["type"] == "websocket":
            response = http_error(HTTPConnection(scope), 404, "")
            await WebSocket(scope, receive, send).send_denial_response(response)
            return
        request, allow = Request(scope), ", ".join(sorted(allowed))
        if allowed and request.method == "OPTIONS":
            response = Response(status_code=204, headers={"Allow": allow})
            standard_headers(response, request_id_of(request))
        else:
            response = http_error(request, 405 if allowed else 404, allow)
        await response(scope, receive, send)
