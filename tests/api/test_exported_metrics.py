"""Metrics by OTLP: what Prometheus reads, as a collector gets it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from niyanta.wire.messages import Completed, Started
from support.collector import Collector, running_collector
from support.pace import pace
from support.system import System, running_system


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    async with running_collector() as found:
        environment = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
        for name, value in found.environment(**environment).items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
async def system(
    collector: Collector, database_url: str, nats_url: str, subject_prefix: str
) -> AsyncIterator[System]:
    async with running_system(database_url, nats_url, subject_prefix) as found:
        yield found


async def test_counters_gauges_and_histograms_arrive(system: System, collector: Collector) -> None:
    worker = await system.worker(capacity=7)
    for _ in range(3):
        await system.submit()
        assignment = await worker.next_assignment()
        await worker.report(assignment.ref, Started())
        await worker.report(assignment.ref, Completed(b"{}"))
    labels = {"customer": "cust_a", "status": "COMPLETED"}

    def completed() -> bool:
        return (labels, 3.0) in collector.metrics.get("niyanta_workload_submissions", [])

    await collector.until(completed, "three that are completed")
    assert collector.metrics["niyanta_leader"] == [({}, 1.0)]
    assert ({"kind": "total"}, 7.0) in collector.metrics["niyanta_worker_capacity"]
    assert collector.metrics["niyanta_scheduling_latency_seconds"] == [({}, 3.0)]
    assert collector.spans == []
    assert collector.lines == []

    async with system.http.get(
        system.url("/metrics"), headers={"Authorization": f"Bearer {system.keys['admin']}"}
    ) as answer:
        lines = (await answer.text()).splitlines()
    names = {line.split()[2].removesuffix("_total") for line in lines if line.startswith("# TYPE")}
    shown = {name for name in names if any(line.startswith((f"{name} ", f"{name}{{", f"{name}_")) for line in lines)}
    assert set(collector.metrics) <= shown


async def test_buckets_hold_what_is_theirs_alone(system: System, collector: Collector) -> None:
    for _ in range(5):
        await system.call("GET", "/customer")
    name = "niyanta_http_request_duration_seconds"
    await collector.until(lambda: sum(value for _, value in collector.metrics.get(name, ())) >= 5, "five answers")
    counts = [sum(buckets) for buckets in collector.buckets[name]]
    assert counts == [value for _, value in collector.metrics[name]]


async def test_a_collector_that_does_not_answer_holds_nothing_up(system: System, collector: Collector) -> None:
    collector.held_up = asyncio.Event()
    await collector.until(lambda: collector.requests, "an export that isn't answered")
    await system.worker()
    await system.submit()
    began = time.monotonic()
    await system.coordinator.stop()
    assert time.monotonic() - began < 5 * pace()
