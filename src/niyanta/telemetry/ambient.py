"""The span in which code runs, where that code uses OpenTelemetry; nothing of it is imported for that."""

from __future__ import annotations

import sys

from niyanta.domain.traces import TraceContext, read_traceparent

__all__ = ["context_here", "enter"]

_TRACE = "opentelemetry.trace"


def context_here() -> TraceContext | None:
    """The current span of this task or thread; None where there is none, or nobody has imported OpenTelemetry."""
    trace = sys.modules.get(_TRACE)
    if trace is None:
        return None
    found = trace.get_current_span().get_span_context()
    if not found.is_valid:
        return None
    return TraceContext(f"{found.trace_id:032x}", f"{found.span_id:016x}", bool(found.trace_flags.sampled))


def enter(traceparent: str | None) -> None:
    """Have what this task does from now on, and what it starts, be below a span.

    Nothing where there is none, or where nobody could ask for it, as OpenTelemetry isn't imported.
    """
    if traceparent is None or _TRACE not in sys.modules:
        return
    above = read_traceparent(traceparent)
    if above is None:
        return
    from opentelemetry import context, trace

    from niyanta.telemetry.contexts import span_context

    context.attach(trace.set_span_in_context(trace.NonRecordingSpan(span_context(above))))
