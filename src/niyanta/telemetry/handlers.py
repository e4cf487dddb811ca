"""Spans that handlers' own code records, exported from the process in which it runs.

Import this only where `niyanta.telemetry.settings` says that traces are wanted.
"""

from __future__ import annotations

import logging
import threading

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from niyanta.telemetry.ending import ended
from niyanta.telemetry.resource import resource_of

__all__ = ["HandlerSpans"]

_EXPORT_SECONDS = 0.75
"""For an export. Less than what the exporter rests before it tries again: at the end of an attempt it doesn't."""
_FINISH_SECONDS = 1.0


class HandlerSpans(SpanProcessor):
    """Exports spans in batches.

    It has no thread and no connection before the first span has ended. So a process that has it can be forked, and
    one whose handler records nothing pays nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exporting: BatchSpanProcessor | None = None

    @classmethod
    def install(cls, service: str) -> HandlerSpans | None:
        """Have what is recorded in this process exported; None where the app has its own way."""
        if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            return None
        OTLPSpanExporter().shutdown()  # type: ignore[no-untyped-call]  # imports now what each fork would import
        made = cls()
        provider = TracerProvider(resource=resource_of(service, ""), shutdown_on_exit=False)
        provider.add_span_processor(made)
        trace.set_tracer_provider(provider)
        # What it has to say of a collector that is away belongs in no workload's log.
        logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
        logging.getLogger("opentelemetry").propagate = False
        return made

    def on_end(self, span: ReadableSpan) -> None:
        """Take in one that has ended."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        with self._lock:
            if self._exporting is None:
                self._exporting = BatchSpanProcessor(OTLPSpanExporter(timeout=_EXPORT_SECONDS))
            exporting = self._exporting
        exporting.on_end(span)

    def finish(self) -> None:
        """Export what waits, within a bound, and let go of thread and connection."""
        with self._lock:
            exporting, self._exporting = self._exporting, None
        if exporting is not None:
            ended(exporting.shutdown, _FINISH_SECONDS)
