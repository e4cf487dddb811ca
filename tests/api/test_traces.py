"""Traces of a coordinator: from the request to the end of the attempt, as a collector gets them."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable

import pytest

from niyanta import AsyncClient
from niyanta.wire.messages import Completed, Failed, Started
from niyanta.wire.v1 import workload_service_pb2 as pb
from support.collector import Collector, ReceivedSpan, running_collector
from support.grpc_calls import Calls, connected, submission
from support.pace import pace
from support.system import System, beating, running_system

_TRACE, _SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
_HEADER = f"00-{_TRACE}-{_SPAN}-01"


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    async with running_collector() as found:
        for name, value in found.environment(OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none").items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
async def system(
    collector: Collector, database_url: str, nats_url: str, subject_prefix: str
) -> AsyncIterator[System]:
    async with running_system(database_url, nats_url, subject_prefix) as found:
        yield found


@pytest.fixture
async def calls(system: System) -> AsyncIterator[Calls]:
    async with connected(system.coordinator, system.keys) as found:
        yield found


def _of(collector: Collector, workload_id: str) -> Callable[[], list[ReceivedSpan]]:
    """The attempts of a workload that have come."""
    return lambda: [s for s in collector.named("attempt") if s.attributes["niyanta.workload_id"] == workload_id]


def _overlap(first: ReceivedSpan, second: ReceivedSpan) -> bool:
    return first.began_at <= second.began_at and first.ended_at >= second.ended_at


async def test_a_workload_is_one_trace_from_its_submission_to_its_result(
    system: System, collector: Collector
) -> None:
    worker = await system.worker()
    _, body, _ = await system.call(
        "POST", "/workloads", {"workload_type": "count", "input_params": {}}, traceparent=_HEADER
    )
    assignment = await worker.next_assignment()
    await worker.report(assignment.ref, Started())
    await worker.report(assignment.ref, Completed(b"{}"))
    (attempt,) = await collector.until(_of(collector, body["workload_id"]), "its attempt")

    (request,) = await collector.until(lambda: collector.named("POST /v1/workloads", _TRACE), "its submission")
    assert request.parent_id == _SPAN
    assert request.service == "niyanta-coordinator"
    assert request.attributes["http.response.status_code"] == 202
    await collector.until(lambda: collector.named("commit") and collector.named("queue"), "commit and queue")
    for name, above in {"commit": request, "queue": request, "assignment": attempt}.items():
        (span,) = collector.named(name, _TRACE)
        assert span.parent_id == above.span_id, name
        assert span.ended_at >= span.began_at
    assert attempt.parent_id == request.span_id
    assert attempt.error is None
    assert attempt.links == ()
    assert (
        attempt.attributes
        | {
            "niyanta.attempt": 1,
            "niyanta.worker_id": "w1",
            "niyanta.workload_type": "count",
            "niyanta.outcome": "completed",
        }
        == attempt.attributes
    )
    assert assignment.traceparent == f"00-{_TRACE}-{attempt.span_id}-01"


async def test_attempts_are_siblings_and_the_second_points_to_the_first(system: System, collector: Collector) -> None:
    worker = await system.worker()
    workload_id = await system.submit()
    first = await worker.next_assignment()
    await worker.report(first.ref, Started())
    await worker.report(first.ref, Failed("no luck"))
    second = await worker.next_assignment()
    await worker.report(second.ref, Started())
    await worker.report(second.ref, Completed(b"{}"))
    attempts = await collector.until(
        lambda: found if len(found := _of(collector, workload_id)()) == 2 else None, "both attempts"
    )

    one, two = sorted(attempts, key=lambda span: span.began_at)
    assert (one.trace_id, one.parent_id) == (two.trace_id, two.parent_id)
    assert two.links == (one.span_id,)
    assert (one.error, one.attributes["niyanta.outcome"]) == ("no luck", "attempt_failed")
    assert (two.error, two.attributes["niyanta.outcome"]) == (None, "completed")
    waits = await collector.until(
        lambda: found if len(found := collector.named("queue", one.trace_id)) == 2 else None, "both waits"
    )
    assert [wait.attributes["niyanta.attempt"] for wait in waits] == [1, 2]
    assert waits[1].began_at == pytest.approx(one.ended_at, abs=0.001)  # read from the history
    assert waits[1].ended_at == pytest.approx(two.began_at, abs=0.001)


async def test_the_client_and_the_command_line_hand_it_on(system: System, collector: Collector) -> None:
    worker = await system.worker()
    url, key = system.url(""), system.keys["cust_a"]
    async with AsyncClient(key, url) as client:
        await client.workloads.submit("count", {}, traceparent=_HEADER)
        (first,) = await collector.until(lambda: collector.named("POST /v1/workloads", _TRACE), "the first")
        await client.workloads.submit_batch([{"workload_type": "count", "input_params": {}}], traceparent=_HEADER)
        (batch,) = await collector.until(lambda: collector.named("POST /v1/workloads/batch", _TRACE), "the batch")
    assert first.parent_id == batch.parent_id == _SPAN
    environment = {**os.environ, "NIYANTA_URL": url, "NIYANTA_API_KEY": key, "TRACEPARENT": _HEADER}
    command = [sys.executable, "-m", "niyanta.cli.main", "submit", "count"]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    await collector.until(lambda: len(collector.named("POST /v1/workloads", _TRACE)) == 2, "the command's")
    for _ in range(3):
        assert (await worker.next_assignment()).traceparent is not None


@pytest.mark.parametrize("header", ["nonsense", f"ff-{_TRACE}-{_SPAN}-01", f"00-{'0' * 32}-{_SPAN}-01", ""])
async def test_a_bad_header_is_ignored(system: System, collector: Collector, header: str) -> None:
    worker = await system.worker()
    status, _, _ = await system.call(
        "POST", "/workloads", {"workload_type": "count", "input_params": {}}, traceparent=header
    )
    assert status == 202
    await worker.next_assignment()
    (request,) = await collector.until(lambda: collector.named("POST /v1/workloads"), "a trace of its own")
    assert request.parent_id == ""
    assert request.trace_id != _TRACE


async def test_what_the_caller_does_not_record_is_carried_and_not_recorded(
    system: System, collector: Collector
) -> None:
    worker = await system.worker()
    unsampled = f"00-{_TRACE}-{_SPAN}-00"
    await system.call("POST", "/workloads", {"workload_type": "count", "input_params": {}}, traceparent=unsampled)
    assignment = await worker.next_assignment()
    assert assignment.traceparent is not None
    assert assignment.traceparent.startswith(f"00-{_TRACE}-")
    assert assignment.traceparent.endswith("-00")
    await worker.report(assignment.ref, Started())
    await worker.report(assignment.ref, Completed(b"{}"))

    recorded = await system.submit()
    other = await worker.next_assignment()
    await worker.report(other.ref, Started())
    await worker.report(other.ref, Completed(b"{}"))
    await collector.until(_of(collector, recorded), "one that is recorded")
    assert [span for span in collector.spans if span.trace_id == _TRACE] == []


async def test_other_requests_have_spans_only_in_traces_that_they_come_with(
    system: System, collector: Collector
) -> None:
    await system.call("GET", "/customer")
    status, _, _ = await system.call("GET", "/workloads/wl_nothing", traceparent=_HEADER)
    assert status == 404
    name = "GET /v1/workloads/{workload_id}"
    (span,) = await collector.until(lambda: collector.named(name), "the request")
    assert (span.parent_id, span.error, span.attributes["http.response.status_code"]) == (_SPAN, None, 404)
    assert [span.name for span in collector.spans] == [name]


async def test_a_call_of_grpc_is_traced_too(system: System, calls: Calls, collector: Collector) -> None:
    worker = await system.worker()
    await calls.call("SubmitWorkload", submission(), traceparent=_HEADER)
    assignment = await worker.next_assignment()
    name = "niyanta.v1.WorkloadService/SubmitWorkload"
    (request,) = await collector.until(lambda: collector.named(name, _TRACE), "the call")
    assert (request.parent_id, request.error) == (_SPAN, None)
    assert request.attributes["rpc.response.status_code"] == "OK"
    assert assignment.traceparent is not None

    await calls.refused("GetWorkload", pb.GetWorkloadRequest(workload_id="wl_nothing"), traceparent=_HEADER)
    name = "niyanta.v1.WorkloadService/GetWorkload"
    (request,) = await collector.until(lambda: collector.named(name, _TRACE), "the call that was refused")
    assert (request.error, request.attributes["rpc.response.status_code"]) == (None, "NOT_FOUND")


async def test_a_sampler_of_the_settings_is_heeded(
    monkeypatch: pytest.MonkeyPatch, collector: Collector, database_url: str, nats_url: str, subject_prefix: str
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    async with running_system(database_url, nats_url, subject_prefix) as system:
        worker = await system.worker()
        await system.submit()
        assignment = await worker.next_assignment()
        assert assignment.traceparent is not None
        assert assignment.traceparent.endswith("-00")
        await system.call("POST", "/workloads", {"workload_type": "count", "input_params": {}}, traceparent=_HEADER)
        await collector.until(lambda: collector.named("POST /v1/workloads"), "what its caller records")
    assert {span.trace_id for span in collector.spans} == {_TRACE}


async def test_without_settings_nothing_is_carried(
    monkeypatch: pytest.MonkeyPatch, collector: Collector, database_url: str, nats_url: str, subject_prefix: str
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    async with running_system(database_url, nats_url, subject_prefix) as system:
        worker = await system.worker()
        await system.call("POST", "/workloads", {"workload_type": "count", "input_params": {}}, traceparent=_HEADER)
        assignment = await worker.next_assignment()
        assert assignment.traceparent is None
    assert collector.requests == 0


async def test_a_collector_that_does_not_answer_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch, collector: Collector, database_url: str, nats_url: str, subject_prefix: str
) -> None:
    collector.held_up = asyncio.Event()
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    async with running_system(database_url, nats_url, subject_prefix) as system:
        worker = await system.worker()
        async with beating(worker):
            for _ in range(20):
                await system.submit()
                assignment = await worker.next_assignment()
                await worker.report(assignment.ref, Started())
                await worker.report(assignment.ref, Completed(b"{}"))
        await collector.until(lambda: collector.requests, "an export that isn't answered")
        began = time.monotonic()
        await system.coordinator.stop()
        assert time.monotonic() - began < 5 * pace()
    assert collector.spans == []
