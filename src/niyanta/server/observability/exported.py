"""The same metrics that Prometheus reads, exported by OTLP: read from the same instruments, so nothing counts twice.

Import this only where `niyanta.telemetry.settings` says that metrics are wanted.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

from niyanta.server.observability.gauges import Reading
from niyanta.server.observability.metrics import Metrics
from niyanta.telemetry.resource import resource_of
from niyanta.telemetry.settings import metric_interval_seconds
from niyanta.version import __version__

__all__ = ["MetricExport"]

log = logging.getLogger(__name__)

_SCOPE = InstrumentationScope("niyanta", __version__)
_UNITS = {"_seconds": "s", "_bytes": "By"}


class MetricExport:
    """Exports metrics now and then, while `run` runs. A collector that is away or slow holds up nothing but that.

    Args:
        metrics: The instruments.
        read: Reads what gauges show, as for a scrape.
        service: Name of the kind of process, where the settings give none.
        instance: Which of them it is.
    """

    def __init__(self, metrics: Metrics, read: Callable[[], Awaitable[Reading]], service: str, instance: str) -> None:
        self._metrics = metrics
        self._read = read
        self._resource = resource_of(service, instance)
        self._exporter = OTLPMetricExporter()
        self._began_ns = time.time_ns()

    async def run(self) -> None:
        """Export until cancelled."""
        interval_seconds = metric_interval_seconds()
        try:
            while True:
                await asyncio.sleep(interval_seconds)
                self._metrics.show(await self._read())
                data = _data(self._metrics.registry, self._resource, (self._began_ns, time.time_ns()))
                await _in_thread(lambda data=data: self._exporter.export(data))  # type: ignore[misc]
        finally:
            self._exporter.shutdown()  # gives up what it tries again


async def _in_thread(work: Callable[[], object]) -> None:
    """Run what may take its time in a thread that keeps nobody from ending."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def run() -> None:
        try:
            work()
        except Exception:
            log.exception("metrics.not_exported")
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="niyanta-metrics", daemon=True).start()
    await done.wait()


def _data(registry: CollectorRegistry, resource: Resource, times: tuple[int, int]) -> MetricsData:
    """Everything in a registry, as OpenTelemetry has it. Sums are those since the process began."""
    metrics = [_metric(family, times) for family in registry.collect() if family.samples]
    scope = ScopeMetrics(_SCOPE, metrics, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _metric(family: Family, times: tuple[int, int]) -> Metric:
    unit = next((unit for ending, unit in _UNITS.items() if family.name.endswith(ending)), "")
    data: Gauge | Sum | Histogram
    if family.type == "histogram":
        data = Histogram(list(_histograms(family.samples, times)), AggregationTemporality.CUMULATIVE)
    elif family.type == "counter":
        data = Sum(_numbers(family.samples, times), AggregationTemporality.CUMULATIVE, is_monotonic=True)
    else:
        data = Gauge(_numbers(family.samples, times))
    return Metric(family.name, family.documentation, unit, data)


def _numbers(samples: Iterable[Sample], times: tuple[int, int]) -> list[NumberDataPoint]:
    began, now = times
    return [NumberDataPoint(sample.labels, began, now, sample.value) for sample in samples]


def _histograms(samples: Sequence[Sample], times: tuple[int, int]) -> Iterator[HistogramDataPoint]:
    """A point for each set of labels; Prometheus's buckets hold what is in the smaller ones, too."""
    by_labels: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for sample in samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        key = sample.labels.get("le", sample.name.rpartition("_")[2])
        by_labels.setdefault(tuple(labels.items()), {})[key] = sample.value
    began, now = times
    for labels_found, found in by_labels.items():
        count, total = found.pop("count"), found.pop("sum")
        within = [0.0, *found.values()]
        yield HistogramDataPoint(
            attributes=dict(labels_found),
            start_time_unix_nano=began,
            time_unix_nano=now,
            count=int(count),
            sum=total,
            bucket_counts=[int(upper - lower) for lower, upper in pairwise(within)],
            explicit_bounds=[float(bound) for bound in found if bound != "+Inf"],
            min=None,  # type: ignore[arg-type]  # what isn't known isn't sent
            max=None,  # type: ignore[arg-type]
        )
