"""Traces, logs and metrics of whole systems: real coordinators and workers, and a collector that decodes them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from niyanta import AsyncClient
from support.cluster import AWAY, Cluster, eventually, running_cluster
from support.collector import Collector, running_collector
from support.pace import pace
from support.processes import APPS

_APP = f"{APPS / 'traced.py'}:worker"
_QUICK = {"NIYANTA_HEARTBEAT_INTERVAL_SECONDS": "0.3", "NIYANTA_WORKER_LEASE_SECONDS": "2"}
_SECONDS = 60.0


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with running_collector() as found:
        yield found


@asynccontextmanager
async def _cluster(folder: Path, workers: int, **settings: Any) -> AsyncIterator[Cluster]:
    async with running_cluster(folder, workers=0, **settings | _QUICK) as cluster:
        for _ in range(workers):
            await cluster.add_worker(_APP, NIYANTA_BOX="on").start()
        await cluster.until_ready(20 * pace())
        yield cluster


def _client(cluster: Cluster) -> AsyncClient:
    return AsyncClient(cluster.keys["cust_a"], cluster.addresses[0])


async def _result(client: AsyncClient, kind: str, **options: Any) -> Any:
    workload = await client.workloads.submit(kind, {}, **options)
    return (await client.workloads.wait_for_completion(workload.id, timeout=_SECONDS)).result_data


async def test_a_workload_that_moves_is_one_trace(tmp_path: Path, collector: Collector) -> None:
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{collector.url}/v1/traces")))
    async with _cluster(tmp_path, 2, **collector.environment()) as cluster, _client(cluster) as client:
        with provider.get_tracer("shop").start_as_current_span("order"):
            workload = await client.workloads.submit("moves", {})
        await asyncio.to_thread(provider.shutdown)
        running = await cluster.until(workload.id, lambda found: found["checkpoint_sequence"] == 1, _SECONDS)
        (checkpoint,) = await collector.until(lambda: collector.named("checkpoint"), "the checkpoint")
        await collector.until(lambda: "half way" in {line.body for line in collector.lines}, "what was said after it")
        first = next(part for part in cluster.workers if part.name == running["worker_id"])
        first.restart_seconds = AWAY
        assert first.signal(signal.SIGKILL)
        done = await client.workloads.wait_for_completion(workload.id, timeout=_SECONDS)
        assert done.worker_id != first.name
        lines = {line.message: line.details for line in (await client.workloads.logs(workload.id)).logs}

        (order,) = await collector.until(lambda: collector.named("order"), "the submitter's span")
        attempts = await collector.until(
            lambda: found if len(found := collector.named("attempt")) == 2 else [], "both attempts"
        )
        (work,) = await collector.until(lambda: collector.named("work"), "the handler's own span")
        (result,) = await collector.until(lambda: collector.named("result"), "the result's way back")
        (submission,) = await collector.until(lambda: collector.named("POST /v1/workloads"), "the submission")
        await collector.until(lambda: len(collector.named("queue")) == 2, "both waits")
        await collector.until(lambda: len(collector.named("prepare")) == 2, "both preparations")
        said = {"half way", "in its own span", "in a thread", "after it"}
        await collector.until(lambda: said <= {line.body for line in collector.lines}, "what the attempts said")
        exported = {line.body: line for line in collector.lines if line.service == "niyanta-worker"}

    assert order.parent_id == ""
    of_trace = {span.span_id: span for span in collector.spans if span.trace_id == order.trace_id}
    assert [span for span in of_trace.values() if span is not order and span.parent_id not in of_trace] == []
    assert submission.parent_id == order.span_id
    assert [attempt.parent_id for attempt in attempts] == [submission.span_id] * 2
    assert [attempt.attributes["niyanta.outcome"] for attempt in attempts] == ["worker_died", "completed"]
    assert [attempt.attributes["niyanta.worker_id"] for attempt in attempts] == [first.name, done.worker_id]
    assert attempts[0].error is not None
    assert attempts[1].links == (attempts[0].span_id,)
    assert checkpoint.parent_id == attempts[0].span_id
    assert result.parent_id == work.parent_id == attempts[1].span_id
    assert {span.service for span in of_trace.values()} == {"shop", "niyanta-coordinator", "niyanta-worker"}
    assert done.result_data == {
        "span_id": work.span_id,
        "traceparent": f"00-{order.trace_id}-{attempts[1].span_id}-01",
    }

    places = {"half way": attempts[0], "in its own span": work, "in a thread": work, "after it": attempts[1]}
    for message, span in places.items():
        assert lines[message] == {"trace_id": order.trace_id, "span_id": span.span_id}, message
        found = exported[message]
        assert (found.trace_id, found.span_id) == (order.trace_id, span.span_id), message
        assert found.attributes["niyanta.workload_id"] == workload.id


async def test_inline_handlers_and_processes_that_serve_several_attempts(
    tmp_path: Path, collector: Collector
) -> None:
    async with _cluster(tmp_path, 1, **collector.environment()) as cluster, _client(cluster) as client:
        await _result(client, "records")
        pids = {(await _result(client, "records_again"))["pid"] for _ in range(3)}
        assert len(pids) == 1  # an exporter's thread would have kept it from being used again
        await collector.until(lambda: len(collector.named("sync work")) == 3, "what the process recorded")
        (inline,) = await collector.until(lambda: collector.named("inline work"), "what the agent's process recorded")
        attempts = await collector.until(
            lambda: found if len(found := collector.named("attempt")) == 4 else [], "all attempts"
        )
    ids = {attempt.span_id: attempt for attempt in attempts}
    assert ids[inline.parent_id].attributes["niyanta.workload_type"] == "records"
    assert {span.parent_id for span in collector.named("sync work")} < set(ids)
    assert len({span.trace_id for span in attempts}) == 4


async def test_off_is_off(tmp_path: Path) -> None:
    """Without settings no process imports anything of OpenTelemetry, and nothing is carried."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import atexit, os, sys\n"
        "def say():\n"
        "    with open(os.environ['MODULES_FILE'], 'w') as file:\n"
        "        file.write('\\n'.join(sys.modules))\n"
        "if 'MODULES_FILE' in os.environ:\n"
        "    atexit.register(say)\n"
    )
    header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert not any(name.startswith("OTEL_") for name in os.environ)
    modules = tmp_path / "modules"
    environment = {"PYTHONPATH": str(tmp_path / "site"), "MODULES_FILE": str(modules)}
    async with _cluster(tmp_path / "cluster", 1, **environment) as cluster, _client(cluster) as client:
        for kind in ("loaded", "loaded_inline"):
            assert await _result(client, kind, traceparent=header) == {"modules": [], "traceparent": None}
        (coordinator,) = cluster.coordinators
        coordinator.restart_seconds = AWAY
        coordinator.signal(signal.SIGTERM)

        async def said() -> bool:
            return modules.exists() and "niyanta.server.wiring" in modules.read_text().split()

        await eventually(said, 20 * pace(), "the coordinator has ended")
    assert [name for name in modules.read_text().split() if name.startswith("opentelemetry")] == []


async def test_a_collector_that_is_away_holds_no_attempt_up(tmp_path: Path, collector: Collector) -> None:
    environment = collector.environment(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")  # nobody listens there
    async with _cluster(tmp_path, 1, **environment) as cluster, _client(cluster) as client:
        began = asyncio.get_running_loop().time()
        for _ in range(5):
            await _result(client, "records")
            await _result(client, "records_again")
        assert asyncio.get_running_loop().time() - began < 10 * pace()
