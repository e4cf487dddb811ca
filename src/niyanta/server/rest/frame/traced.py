"""Requests as spans of the trace that they come with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from niyanta.server.observability.tracing import TRACEPARENT, Tracing
from niyanta.server.rest.frame.operation import Operation

__all__ = ["traced"]

_Serve = Callable[[Request], Awaitable[Response]]


def traced(serve: _Serve, operation: Operation, tracing: Tracing | None) -> _Serve:
    """Serve with a span around; without tracing, what was given."""
    if tracing is None:
        return serve
    name = f"{operation.method} {operation.path}"
    begins = TRACEPARENT in operation.request_headers
    attributes = {"http.request.method": operation.method, "http.route": operation.path}

    async def serve_traced(request: Request) -> Response:
        with tracing.request(name, request.headers.getlist(TRACEPARENT), attributes, begins=begins) as span:
            response = await serve(request)
            if span is not None:
                status = response.status_code
                span.attributes["http.response.status_code"] = status
                span.error = str(status) if status >= 500 else None
            return response

    return serve_traced
