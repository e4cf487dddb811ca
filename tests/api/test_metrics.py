"""What Prometheus reads, after real events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from niyanta.server.coordinator import Coordinator
from niyanta.wire import messages
from support.system import System, beating, running_system, settings_for


@pytest.fixture
async def open_system(
    request: pytest.FixtureRequest, database_url: str, nats_url: str, subject_prefix: str
) -> AsyncIterator[System]:
    settings = settings_for(request) | {"metrics_access": "public"}
    async with running_system(database_url, nats_url, subject_prefix, **settings) as found:
        yield found


async def scrape(system: System, via: Coordinator | None = None) -> dict[str, float]:
    """Every sample by its name and labels."""
    async with system.http.get(system.url("/metrics", via)) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = await response.text()
    assert "# HELP niyanta_workload_submissions_total" in text
    assert "# TYPE niyanta_workload_submissions_total counter" in text
    assert "# TYPE niyanta_workload_duration_seconds histogram" in text
    return {
        sample.name + "".join(f",{k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_numbers_are_right(open_system: System) -> None:
    system = open_system
    worker = await system.worker(capacity=3)
    async with beating(worker):
        ids = [await system.submit() for _ in range(4)]
        refs = [(await worker.next_assignment()).ref for _ in range(3)]
        for ref in refs:
            await worker.report(ref, messages.Started())
        await worker.checkpoint(refs[0], b'{"n": 1}')
        found = await scrape(system)
        assert found["niyanta_workload_submissions_accepted_total,customer=cust_a"] == 4
        assert found["niyanta_queue_depth,tier=enterprise"] == 1
        assert found["niyanta_running_workloads,tier=enterprise"] == 3
        assert found["niyanta_worker_capacity,kind=total"] == 3
        assert found["niyanta_worker_capacity,kind=used"] == 3
        assert found["niyanta_workers,status=HEALTHY"] == 1
        assert found["niyanta_scheduling_latency_seconds_count"] == 3
        assert 0 <= found["niyanta_scheduling_latency_seconds_sum"] < 30
        assert found["niyanta_checkpoint_size_bytes_sum"] == 8
        assert found["niyanta_checkpoint_save_duration_seconds_count"] == 1
        assert found["niyanta_event_batch_size_sum"] == 4
        assert found["niyanta_leader"] == 1
        assert found["niyanta_leader_epoch"] == 1
        assert found["niyanta_broker_connected"] == found["niyanta_database_connected"] == 1
        await system.call("POST", f"/workloads/{ids[3]}/cancel")
        await worker.report(refs[0], messages.Completed(b"{}"))
        await worker.report(refs[1], messages.Failed("broken", permanent=True))
        await worker.report(refs[2], messages.Failed("the disk was full"))
        again = (await worker.next_assignment(10)).ref
        await worker.report(again, messages.Started(), messages.Completed(b"{}"))
        for workload_id, status in zip(ids, ("COMPLETED", "FAILED", "COMPLETED", "CANCELLED"), strict=False):
            await system.until(workload_id, status)
        found = await scrape(system)
    total = "niyanta_workload_submissions_total,customer=cust_a,status={}"
    assert [found[total.format(status)] for status in ("COMPLETED", "FAILED", "CANCELLED")] == [2, 1, 1]
    duration = "niyanta_workload_duration_seconds_count,customer=cust_a,workload_type=count"
    assert found[duration] == 3
    assert found["niyanta_workload_redistributions_total,reason=attempt_failed"] == 1
    assert found["niyanta_http_request_duration_seconds_count,operation=submitWorkload,status=2xx"] == 4
    assert found["niyanta_queue_depth,tier=enterprise"] == found["niyanta_running_workloads,tier=enterprise"] == 0


@pytest.mark.hasty
async def test_a_lost_and_a_removed_worker_are_told_apart(open_system: System) -> None:
    system = open_system
    lost = await system.worker("lost")
    await system.submit()
    await lost.report((await lost.next_assignment()).ref, messages.Started())
    removed = await system.worker("removed")
    async with beating(removed):
        await removed.report((await removed.next_assignment(10)).ref, messages.Started())
    await system.call("DELETE", "/admin/workers/removed", key="admin")
    found = await scrape(system)
    assert found["niyanta_workload_redistributions_total,reason=worker_died"] == 1
    assert found["niyanta_workload_redistributions_total,reason=worker_removed"] == 1
    assert found["niyanta_workers,status=DEAD"] == 2


async def test_what_a_loss_costs_counts_from_the_last_checkpoint(open_system: System) -> None:
    system = open_system
    worker = await system.worker("saving", capacity=2)
    async with beating(worker):
        ids = [await system.submit() for _ in range(2)]
        refs = {ref.workload_id: ref for ref in [(await worker.next_assignment()).ref for _ in ids]}
        before = asyncio.get_running_loop().time()
        for ref in refs.values():
            await worker.report(ref, messages.Started())
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(0.5)  # work, of which only one saves what it did
        await worker.checkpoint(refs[ids[0]], b"{}")
        await system.call("DELETE", "/admin/workers/saving", key="admin")
        name = "niyanta_lost_work_seconds_total,reason=worker_removed"
        async with asyncio.timeout(20):
            while (found := await scrape(system)).get(name, 0.0) < 0.5:
                await asyncio.sleep(0.02)
        now = asyncio.get_running_loop().time()
    # All of the one that saved nothing, and of the other what came after its checkpoint.
    assert found[name] <= (now - before) + (now - began - 0.5) + 0.1


@pytest.mark.usefixtures("nothing_ahead")
async def test_the_state_of_queue_leader_and_database_is_shown(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    settings = {"metrics_access": "public", "metrics_tag": "hardware"}
    async with running_system(database_url, nats_url, subject_prefix, **settings) as system:
        worker = await system.worker(capacity=1, tags={"hardware": "gpu"})
        async with beating(worker):
            for _ in range(3):
                await system.submit()
            first = (await worker.next_assignment()).ref
            await worker.report(first, messages.Started(), messages.Completed(b"{}"))
            ref = (await worker.next_assignment()).ref  # by a pass, unlike the first
            await worker.report(ref, messages.Started())
            assert (await system.call("GET", "/workloads/wl_none"))[0] == 404
            async with asyncio.timeout(10):
                while (found := await scrape(system)).get("niyanta_worker_slots,kind=used,tag=gpu") != 1 or (
                    found["niyanta_queue_oldest_age_seconds,tier=enterprise"] < 0.1
                ):
                    await asyncio.sleep(0.02)
        assert found["niyanta_worker_slots,kind=total,tag=gpu"] == 1
        assert found["niyanta_queue_oldest_age_seconds,tier=enterprise"] < 60
        assert found["niyanta_scheduler_lanes,of=leader"] == 1
        assert found["niyanta_scheduler_pass_duration_seconds_count"] >= 1
        assert found["niyanta_event_lag_seconds_count"] >= 1
        assert found["niyanta_refused_requests_total,code=NOT_FOUND"] == 1
        assert found["niyanta_partitions_ahead_seconds,table=audit_events"] > 7 * 86400
        assert found["niyanta_partitions_ahead_seconds,table=workload_logs"] > 7 * 86400
        assert found["niyanta_database_pool_connections,kind=most,pool=api"] == 5
        assert found["niyanta_database_pool_connections,kind=open,pool=vital"] >= 1
        assert found["niyanta_audit_seal_lag_seconds,of=oldest"] < 60
        assert found["niyanta_upkeep_last_success_timestamp_seconds,of=leader"] > 1_600_000_000


async def test_refused_requests_and_watchers_are_counted(open_system: System) -> None:
    system = open_system
    await system.customers.create_customer("cust_r", "cust_r", "free")
    key = (await system.customers.create_key("cust_r", "test"))[1]
    answers = await asyncio.gather(*(system.call("GET", "/workloads", key=key) for _ in range(20)))
    limited = sum(status == 429 for status, _, _ in answers)
    await system.worker(capacity=1)
    workload_id = await system.submit()
    watching = asyncio.create_task(system.call("GET", f"/workloads/{workload_id}?wait_seconds=20&version=99"))
    async with asyncio.timeout(20):
        while (await scrape(system))["niyanta_watchers"] != 1:
            await asyncio.sleep(0.02)
    watching.cancel()
    found = await scrape(system)
    assert limited >= 10
    assert found["niyanta_rate_limited_requests_total,customer=cust_r"] == limited
    assert found["niyanta_http_request_duration_seconds_count,operation=listWorkloads,status=4xx"] == limited


async def test_each_replica_counts_its_own(open_system: System) -> None:
    system = open_system
    worker = await system.worker()
    async with system.another_coordinator(metrics_access="public") as other, beating(worker):
        body = {"workload_type": "count", "input_params": {}}
        for via in (system.coordinator, other, other):
            async with asyncio.timeout(20):  # the second may not have heard of the worker yet
                while (await system.call("POST", "/workloads", body, via=via))[0] != 202:
                    await asyncio.sleep(0.02)
        for _ in range(3):
            ref = (await worker.next_assignment()).ref
            await worker.report(ref, messages.Started(), messages.Completed(b"{}"))
        counts = [await scrape(system), await scrape(system, other)]
    accepted = "niyanta_workload_submissions_accepted_total,customer=cust_a"
    ended = "niyanta_workload_submissions_total,customer=cust_a,status=COMPLETED"
    assert [found.get(accepted, 0) for found in counts] == [1, 2]
    assert sum(found.get(ended, 0) for found in counts) == 3
    assert [found["niyanta_leader"] for found in counts] == [1, 0]


async def test_metrics_are_for_admins_unless_set_public(system: System) -> None:
    for path in ("/metrics", "/v1/metrics"):
        for key, expected in ((None, 401), ("cust_a", 403), ("admin", 200)):
            headers = {"Authorization": f"Bearer {system.keys[key]}"} if key else {}
            async with system.http.get(system.url(path), headers=headers) as response:
                assert response.status == expected
