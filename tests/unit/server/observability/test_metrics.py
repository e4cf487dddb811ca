"""What is counted, and that nobody can make it grow without bound."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from niyanta.domain.limits import MAX_METRIC_CUSTOMERS
from niyanta.server.observability.gauges import PoolUse, Reading
from niyanta.server.observability.metrics import Metrics
from niyanta.wire.changes import WorkloadChange
from niyanta.wire.messages import AttemptRef, CheckpointSaved, Event, Started


def change(customer_id: str = "cust_a", status: str = "COMPLETED", **fields: Any) -> WorkloadChange:
    return WorkloadChange(customer_id, "wl_1", fields.pop("version", 4), status, 1, "count", **fields)


def reading(**fields: Any) -> Reading:
    return Reading(is_leader=True, broker_connected=True, watchers=3, **fields)


async def samples(metrics: Metrics, found: Reading | None = None) -> dict[str, float]:
    """Every sample by its name and labels."""
    text = (await metrics.scrape(found or reading())).decode()
    return {
        sample.name + "".join(f",{k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_workload_is_counted_as_accepted_and_by_what_became_of_it() -> None:
    metrics = Metrics()
    for status, fields in (
        ("PENDING", {"version": 1}),
        ("SCHEDULED", {"waited_seconds": 0.02}),
        ("RUNNING", {}),
        ("RUNNING", {"progress_percent": 50}),
        ("REDISTRIBUTING", {"cause": "worker_died"}),
        ("PENDING", {"version": 9}),
        ("SCHEDULED", {}),
        ("COMPLETED", {"ran_seconds": 42.0}),
    ):
        metrics.workload_changed(change(status=status, **fields))
    metrics.workload_changed(change(status="CANCELLED"))
    found = await samples(metrics)
    assert found["niyanta_workload_submissions_accepted_total,customer=cust_a"] == 1
    assert found["niyanta_workload_submissions_total,customer=cust_a,status=COMPLETED"] == 1
    assert found["niyanta_workload_submissions_total,customer=cust_a,status=CANCELLED"] == 1
    assert found["niyanta_workload_redistributions_total,reason=worker_died"] == 1
    assert found["niyanta_scheduling_latency_seconds_count"] == 1
    bucket = "niyanta_workload_duration_seconds_bucket,customer=cust_a,le={},workload_type=count"
    counts = [found[bucket.format(le)] for le in ("1.0", "5.0", "15.0", "60.0", "300.0", "900.0", "3600.0", "+Inf")]
    assert counts == [0, 0, 0, 1, 1, 1, 1, 1]
    assert not [name for name in found if "_created" in name]


async def test_labels_are_bounded() -> None:
    metrics = Metrics(MAX_METRIC_CUSTOMERS)
    for number in range(MAX_METRIC_CUSTOMERS * 3):
        metrics.workload_changed(change(f"cust_{number}", ran_seconds=1.0))
        metrics.rate_limited(f"cust_{number}")
    for number in range(MAX_METRIC_CUSTOMERS * 3):
        done = WorkloadChange("cust_0", "wl_1", 4, "COMPLETED", 1, f"type_{number}", ran_seconds=1.0)
        metrics.workload_changed(done)
    found = await samples(metrics)
    counts = {k: v for k, v in found.items() if k.startswith("niyanta_workload_submissions_total")}
    assert len(counts) == MAX_METRIC_CUSTOMERS + 1
    assert sum(counts.values()) == MAX_METRIC_CUSTOMERS * 6
    assert counts["niyanta_workload_submissions_total,customer=other,status=COMPLETED"] == MAX_METRIC_CUSTOMERS * 2
    durations = {k: v for k, v in found.items() if k.startswith("niyanta_workload_duration_seconds_count")}
    assert len(durations) <= 2 * MAX_METRIC_CUSTOMERS + 1
    assert sum(durations.values()) == MAX_METRIC_CUSTOMERS * 6


async def test_what_the_database_does_not_say_is_not_shown() -> None:
    metrics = Metrics()
    known = reading(
        database_connected=True,
        epoch=7,
        queued={"free": 2},
        running={"free": 1, "premium": 4},
        workers={"HEALTHY": 2},
        capacity=20,
    )
    found = await samples(metrics, known)
    assert found["niyanta_queue_depth,tier=free"] == 2
    assert found["niyanta_running_workloads,tier=premium"] == 4
    assert found["niyanta_workers,status=HEALTHY"] == 2
    assert found["niyanta_worker_capacity,kind=total"] == 20
    assert found["niyanta_worker_capacity,kind=used"] == 5
    assert (found["niyanta_leader"], found["niyanta_leader_epoch"], found["niyanta_watchers"]) == (1, 7, 3)
    found = await samples(metrics)
    assert found["niyanta_database_connected"] == 0
    gone = ("niyanta_queue_depth", "niyanta_running_workloads", "niyanta_workers,", "niyanta_worker_capacity")
    assert not [name for name in found if name.startswith(gone)]


async def test_what_is_counted_elsewhere_goes_on_from_scrape_to_scrape() -> None:
    metrics = Metrics()
    for failures, interruptions in ((2, 0), (2, 1), (5, 1)):
        pools = {"api": PoolUse(in_use=3, open=4, most=8)}
        now = reading(database_failures=failures, broker_interruptions=interruptions, pools=pools, lanes=7)
        found = await samples(metrics, now)
        assert found["niyanta_database_failures_total"] == failures
        assert found["niyanta_broker_interruptions_total"] == interruptions
        assert found["niyanta_database_pool_connections,kind=in_use,pool=api"] == 3
        assert found["niyanta_database_pool_connections,kind=most,pool=api"] == 8
        assert found["niyanta_scheduler_lanes,of=leader"] == 7
    assert not [name for name in await samples(metrics) if name.startswith("niyanta_scheduler_lanes")]


async def test_batches_of_events_and_their_checkpoints() -> None:
    metrics = Metrics()
    ref = AttemptRef("cust_a", "wl_1", 1)
    saved = CheckpointSaved(b"x" * 500, b"")
    stored = CheckpointSaved(b"", b"", object_key="key", size_bytes=5_000_000)
    events = [Event(ref, 1, 0, Started()), Event(ref, 2, 0, saved), Event(ref, 3, 0, stored)]
    metrics.events_committed([event.body for event in events], 0.02)
    found = await samples(metrics)
    assert found["niyanta_event_batch_size_sum"] == 3
    assert found["niyanta_event_commit_duration_seconds_count"] == 1
    assert found["niyanta_checkpoint_size_bytes_sum"] == 5_000_500
    assert found["niyanta_checkpoint_save_duration_seconds_count"] == 2


async def test_two_coordinators_in_a_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.request_answered("submitWorkload", 202, 0.004)
    first.request_answered("submitWorkload", 404, 0.004)
    name = "niyanta_http_request_duration_seconds_count,operation=submitWorkload,status={}xx"
    assert (await samples(first))[name.format(2)] == 1
    assert (await samples(first))[name.format(4)] == 1
    assert name.format(2) not in await samples(second)


def test_counting_costs_microseconds() -> None:
    metrics = Metrics()
    done = change(ran_seconds=1.0)
    best = 1.0
    for _ in range(5):
        began = time.thread_time()  # what it takes of the processor, whoever else wants it
        for _ in range(1_000):
            metrics.workload_changed(done)
            metrics.request_answered("submitWorkload", 202, 0.004)
        best = min(best, (time.thread_time() - began) / 1_000)
    assert best < 50e-6
