"""Calls as spans of the trace that they come with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc

from niyanta.server.grpc.methods import Method
from niyanta.server.observability.tracing import TRACEPARENT, Tracing

__all__ = ["traced"]

Answer = TypeVar("Answer")
_Serve = Callable[[AsyncIterator[bytes], grpc.aio.ServicerContext], Awaitable[Answer]]

_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""Codes that are the service's fault, not the caller's."""
_BEGINNING = frozenset({"SubmitWorkload", "SubmitWorkloadBatch"})
"""Methods that begin a trace where a call brings none."""


# Any: methods of whatever messages
def traced(serve: _Serve[Answer], method: Method[Any, Any], tracing: Tracing | None) -> _Serve[Answer]:
    """Serve with a span around; without tracing, what was given."""
    if tracing is None:
        return serve
    name = f"{method.service}/{method.name}"
    attributes = {"rpc.system.name": "grpc", "rpc.method": name}

    async def serve_traced(sent: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> Answer:
        found = [value for key, value in context.invocation_metadata() or () if key == TRACEPARENT]
        with tracing.request(name, found, attributes, begins=method.name in _BEGINNING) as span:
            ended = grpc.StatusCode.CANCELLED
            try:
                answer = await serve(sent, context)
                ended = grpc.StatusCode.OK
                return answer
            finally:
                if span is not None:
                    code = context.code() or ended
                    span.attributes["rpc.response.status_code"] = code.name
                    span.error = code.name if code in _FAULTS else None

    return serve_traced
