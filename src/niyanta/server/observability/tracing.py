"""The trace that a request belongs to: read from its header, begun by its submission, or none.

A request that brings a ``traceparent`` gets a span in that trace. One without gets none, so that probes and polls
make no traces of their own; but a submission begins one, as a workload is what is traced. Without OpenTelemetry there
is no `Tracing`, and nothing of this runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING

from niyanta.domain.traces import TraceContext, read_traceparent
from niyanta.telemetry.words import Attributes, SpanKind

if TYPE_CHECKING:
    from niyanta.telemetry.spans import Spans

__all__ = ["TRACEPARENT", "RequestSpan", "Tracing", "current_context", "current_traceparent", "step"]

TRACEPARENT = "traceparent"
"""The header. Operations of REST that list it begin a trace where a request brings none."""


class RequestSpan:
    """The span of a request under way.

    Attributes:
        context: Its own.
        attributes: Told of it at its end.
        error: Why it failed; None while it didn't.
    """

    def __init__(self, spans: Spans, context: TraceContext) -> None:
        self.context = context
        self.attributes: dict[str, str | int | float | bool] = {}
        self.error: str | None = None
        self._spans = spans

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A part of the request, as a span below."""
        began = time.time_ns()
        error: str | None = "it raised"
        try:
            yield
            error = None
        finally:
            own = self._spans.child(self.context)
            self._spans.emit(name, own, self.context, (began, time.time_ns()), error=error)


_current: ContextVar[RequestSpan | None] = ContextVar("niyanta_request_span", default=None)
_NO_STEP: AbstractContextManager[None] = nullcontext()


def current_context() -> TraceContext | None:
    """The span of the request that this task serves; None where there is none."""
    span = _current.get()
    return None if span is None else span.context


def current_traceparent() -> str | None:
    """The same as a header hands it on."""
    span = _current.get()
    return None if span is None else span.context.traceparent


def step(name: str) -> AbstractContextManager[None]:
    """Around a part of serving a request: a span of its own in the request's trace, if that is recorded."""
    span = _current.get()
    return _NO_STEP if span is None or not span.context.is_sampled else span.step(name)


class Tracing:
    """Makes the spans of requests."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans

    @contextmanager
    def request(
        self, name: str, traceparents: Sequence[str], attributes: Attributes, *, begins: bool
    ) -> Iterator[RequestSpan | None]:
        """Around serving a request; gives its span, or None when it belongs to no trace.

        Args:
            name: Of the operation.
            traceparents: The headers of that name; a bad one is as good as none.
            attributes: What is known of it at once.
            begins: Whether it begins a trace where it brings none.
        """
        parent = read_traceparent(*traceparents)
        if parent is None and not begins:
            yield None
            return
        began = time.time_ns()
        span = RequestSpan(self._spans, self._spans.begin(name, parent, SpanKind.SERVER))
        span.attributes.update(attributes)
        token = _current.set(span)
        try:
            yield span
        finally:
            _current.reset(token)
            times = (began, time.time_ns())
            self._spans.emit(
                name, span.context, parent, times, kind=SpanKind.SERVER, attributes=span.attributes, error=span.error
            )
