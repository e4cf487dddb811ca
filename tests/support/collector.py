"""A collector of OpenTelemetry of a test's own: takes OTLP over HTTP, decodes it, and keeps what came."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["Collector", "ReceivedLine", "ReceivedSpan", "running_collector"]


@dataclass(frozen=True)
class ReceivedSpan:
    """One span, with ids as hexadecimal text."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    """Empty for the first of a trace."""
    links: tuple[str, ...]
    """Span ids."""
    began_at: float
    ended_at: float
    attributes: dict[str, Any]
    error: str | None
    service: str


@dataclass(frozen=True)
class ReceivedLine:
    """One log record."""

    body: str
    severity: str
    trace_id: str
    span_id: str
    attributes: dict[str, Any]
    service: str


@dataclass
class Collector:
    """What has come so far.

    Attributes:
        url: For ``OTEL_EXPORTER_OTLP_ENDPOINT``.
        metrics: The newest data points of each metric: attributes and value, or the count of a histogram.
        requests: How many exports were begun.
    """

    url: str = ""
    spans: list[ReceivedSpan] = field(default_factory=list)
    lines: list[ReceivedLine] = field(default_factory=list)
    metrics: dict[str, list[tuple[dict[str, Any], float]]] = field(default_factory=dict)
    buckets: dict[str, list[list[int]]] = field(default_factory=dict)
    """Of each histogram, those of the same data points."""
    requests: int = 0
    held_up: asyncio.Event | None = None
    """While it isn't set, nothing is answered; None answers at once."""
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    def environment(self, **more: str) -> dict[str, str]:
        """The settings by which a process exports here, quickly."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_BLRP_SCHEDULE_DELAY": "50",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
            **more,
        }

    async def until(self, holds: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
        """Wait until something that came makes it hold; gives what it gave."""
        try:
            async with asyncio.timeout(seconds):
                while not (found := holds()):
                    self._came.clear()
                    await self._came.wait()
                return found
        except TimeoutError:
            names = sorted({f"{span.service}: {span.name}" for span in self.spans})
            raise AssertionError(f"not within {seconds:g} s: {what}; came: {names}") from None

    def named(self, name: str, trace_id: str | None = None) -> list[ReceivedSpan]:
        """Spans of that name, oldest first."""
        found = [span for span in self.spans if span.name == name and trace_id in (None, span.trace_id)]
        return sorted(found, key=lambda span: span.began_at)

    async def take(self, request: web.Request) -> web.Response:
        """Answer one export."""
        self.requests += 1
        if self.held_up is not None:
            self._came.set()
            await self.held_up.wait()
        raw = await request.read()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        {"traces": self._spans, "logs": self._logs, "metrics": self._metrics}[request.match_info["signal"]](raw)
        self._came.set()
        return web.Response(content_type="application/x-protobuf")

    def _spans(self, raw: bytes) -> None:
        for group in ExportTraceServiceRequest.FromString(raw).resource_spans:
            service = _attributes(group.resource.attributes).get("service.name", "")
            self.spans += [
                ReceivedSpan(
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    tuple(link.span_id.hex() for link in span.links),
                    span.start_time_unix_nano / 1e9,
                    span.end_time_unix_nano / 1e9,
                    _attributes(span.attributes),
                    span.status.message if span.status.code == span.status.STATUS_CODE_ERROR else None,
                    service,
                )
                for scope in group.scope_spans
                for span in scope.spans
            ]

    def _logs(self, raw: bytes) -> None:
        for group in ExportLogsServiceRequest.FromString(raw).resource_logs:
            service = _attributes(group.resource.attributes).get("service.name", "")
            self.lines += [
                ReceivedLine(
                    line.body.string_value,
                    line.severity_text,
                    line.trace_id.hex(),
                    line.span_id.hex(),
                    _attributes(line.attributes),
                    service,
                )
                for scope in group.scope_logs
                for line in scope.log_records
            ]

    def _metrics(self, raw: bytes) -> None:
        for group in ExportMetricsServiceRequest.FromString(raw).resource_metrics:
            for scope in group.scope_metrics:
                for metric in scope.metrics:
                    points = getattr(metric, metric.WhichOneof("data") or "gauge").data_points
                    self.metrics[metric.name] = [(_attributes(point.attributes), _value(point)) for point in points]
                    if metric.HasField("histogram"):
                        self.buckets[metric.name] = [list(point.bucket_counts) for point in points]


def _attributes(found: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in found}


def _value(point: Any) -> float:
    if hasattr(point, "bucket_counts"):
        return float(point.count)
    return float(getattr(point, point.WhichOneof("value")))


@contextlib.asynccontextmanager
async def running_collector() -> AsyncIterator[Collector]:
    """One that listens, and ends with the block."""
    collector = Collector()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/{signal}", collector.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield collector
    finally:
        if collector.held_up is not None:
            collector.held_up.set()
        await runner.cleanup()
