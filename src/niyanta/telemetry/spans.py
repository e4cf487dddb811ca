"""Spans that are made when what they tell of is over, and how they leave: in batches, from a thread, or not at all.

Most of what happens to a workload has no code around it in which a span could be open: it waits in a queue, or runs
on a machine that dies meanwhile. So its spans are made of the times that are known afterwards.

Import this only where `niyanta.telemetry.settings` says that traces are wanted.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, NonRecordingSpan, Status, StatusCode

from niyanta.domain.traces import TraceContext
from niyanta.telemetry.contexts import span_context
from niyanta.telemetry.ending import ended
from niyanta.telemetry.resource import resource_of
from niyanta.telemetry.words import Attributes, SpanKind
from niyanta.version import __version__

__all__ = ["Spans"]

_SCOPE = InstrumentationScope("niyanta", __version__)


class Spans:
    """Exports spans of one process. What a collector doesn't take in time is lost, and nobody waits for it.

    Args:
        service: Name of the kind of process, where the settings give none.
        instance: Which of them it is.

    Attributes:
        provider: Makes tracers for code that records spans as it runs.
    """

    def __init__(self, service: str, instance: str) -> None:
        self._exporter = OTLPSpanExporter()
        self._processor = BatchSpanProcessor(self._exporter)
        self.provider = TracerProvider(resource=resource_of(service, instance), shutdown_on_exit=False)
        self.provider.add_span_processor(self._processor)

    def begin(self, name: str, parent: TraceContext | None, kind: SpanKind) -> TraceContext:
        """A new span's context, below a parent or in a new trace, recorded if the sampler of the settings says so."""
        ids = self.provider.id_generator
        trace_id = ids.generate_trace_id() if parent is None else int(parent.trace_id, 16)
        above = None if parent is None else trace.set_span_in_context(NonRecordingSpan(span_context(parent)))
        decided = self.provider.sampler.should_sample(above, trace_id, name, trace.SpanKind[kind])
        return TraceContext(
            f"{trace_id:032x}", f"{ids.generate_span_id():016x}", decided.decision is Decision.RECORD_AND_SAMPLE
        )

    def emit(  # noqa: PLR0913 -- what a span is
        self,
        name: str,
        context: TraceContext,
        parent: TraceContext | None,
        times: tuple[int, int],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        follows: Sequence[TraceContext] = (),
        error: str | None = None,
    ) -> None:
        """Hand on a span that is over, unless it isn't sampled. Never blocks.

        Args:
            name: One of few.
            context: Its own.
            parent: Above it; None for the first of a trace.
            times: When it began and ended, in Unix nanoseconds; of clocks that differ the end is never before.
            kind: Where it lies between processes.
            attributes: What else is known.
            follows: Spans that led to it.
            error: Why it failed; None when it didn't.
        """
        if not context.is_sampled:
            return
        began, ended = times
        self._processor.on_end(
            ReadableSpan(
                name,
                context=span_context(context),
                parent=None if parent is None else span_context(parent),
                resource=self.provider.resource,
                attributes=attributes or {},
                links=[Link(span_context(one)) for one in follows],
                kind=trace.SpanKind[kind],
                status=Status(StatusCode.UNSET) if error is None else Status(StatusCode.ERROR, error),
                start_time=began,
                end_time=max(began, ended),
                instrumentation_scope=_SCOPE,
            )
        )

    def child(self, parent: TraceContext) -> TraceContext:
        """A new span's context below one whose sampling is decided."""
        return parent._replace(span_id=f"{self.provider.id_generator.generate_span_id():016x}")

    def serve_handlers(self) -> None:
        """Export what handlers in this process record, too, unless the app has its own way."""
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            trace.set_tracer_provider(self.provider)

    def close(self, seconds: float) -> None:
        """Export what waits, but don't wait longer than this for a collector."""
        if not ended(self.provider.shutdown, seconds):
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # gives up what it tries again
