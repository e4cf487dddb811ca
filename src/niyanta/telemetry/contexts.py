"""Trace contexts as OpenTelemetry has them."""

from __future__ import annotations

from opentelemetry.trace import SpanContext, TraceFlags

from niyanta.domain.traces import TraceContext

__all__ = ["span_context"]


def span_context(context: TraceContext) -> SpanContext:
    """As OpenTelemetry has it; it came from elsewhere."""
    flags = TraceFlags(TraceFlags.SAMPLED if context.is_sampled else TraceFlags.DEFAULT)
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), is_remote=True, trace_flags=flags)
