"""The REST API: every part's operations as one ASGI application."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

from niyanta.server.coordinator.gate import Gate
from niyanta.server.rest.operations import Frame, Operation, http_error

__all__ = ["RestApi"]


class RestApi:
    """The application, and the operations that it is made of.

    Args:
        gate: Lets requests in.
        operations: Of all parts; the first that fits a path serves it.
        max_body_bytes: Larger bodies are refused.
        routes: What is no operation: WebSockets, static files.
    """

    def __init__(
        self,
        gate: Gate,
        operations: Sequence[Operation],
        max_body_bytes: int,
        routes: Sequence[BaseRoute] = (),
    ) -> None:
        frame = Frame(gate, max_body_bytes)
        self.operations = list(operations)
        self.app = Starlette(
            routes=[*(frame.route(operation) for operation in operations), *routes],
            exception_handlers={HTTPException: self._http_exception},
        )
        self.app.router.redirect_slashes = False

    async def _http_exception(self, request: Request, exc: Exception) -> Response:
        status = exc.status_code if isinstance(exc, HTTPException) else 500
        allowed: set[str] = set()
        if status == 405:
            for route in self.app.routes:
                if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
                    allowed |= route.methods or set()
        return http_error(request, status, ", ".join(sorted(allowed)))
