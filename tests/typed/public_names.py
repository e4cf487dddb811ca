"""What a type checker knows of the public names. It is checked by mypy and never runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date
from typing import Any, assert_type

from niyanta import AsyncClient, Client, Status, Worker
from niyanta.client.arguments import AffinityRules, BatchFilter, Submission, TierLimits
from niyanta.client.models import (
    ApiKey,
    AuditEvent,
    BatchCancelled,
    BatchSubmitted,
    Customer,
    FleetWorker,
    LogLine,
    LogPage,
    Page,
    Statistics,
    TypeStatistics,
    Update,
    Workload,
    WorkloadConfig,
)
from niyanta.errors import ApiError, WorkloadFailedError
from niyanta.testing import WorkloadRun

RULES: AffinityRules = {"hard_affinity": {"worker_tags": {"hardware": "gpu"}}, "anti_affinity": {"worker_id": "w1"}}
BATCH: list[Submission] = [{"workload_type": "count", "input_params": {}, "affinity_rules": RULES, "priority": 3}]
OLD: BatchFilter = {"status": Status.PENDING, "workload_type": "count"}
LIMITS: TierLimits = {"max_concurrent_workloads": 3, "burst": None}


def blocking() -> None:
    """The client without ``await``."""
    with Client() as client:
        assert_type(client, Client)
        workload = client.workloads.submit("count", {"to": 3}, affinity_rules=RULES)
        assert_type(workload, Workload)
        assert_type(workload.status, Status)
        assert_type(workload.result_data, dict[str, Any] | None)
        assert_type(client.workloads.submit_batch(BATCH), BatchSubmitted)
        assert_type(client.workloads.get(workload.id), Workload)
        assert_type(client.workloads.list(status="RUNNING"), Page)
        assert_type(client.workloads.list(status=Status.RUNNING).workloads, list[Workload])
        assert_type(next(iter(client.workloads.iterate(limit=3))), Workload)
        _iterator: Iterator[Workload] = client.workloads.iterate()
        assert_type(client.workloads.cancel_batch(filter=OLD), BatchCancelled)
        assert_type(client.workloads.pause(workload.id), Workload)
        assert_type(client.workloads.logs(workload.id), LogPage)
        assert_type(client.workloads.logs(workload.id)[0], LogLine)
        assert_type(next(iter(client.workloads.iterate_logs(workload.id, tail=3, follow=True))), LogLine)
        assert_type(client.workloads.audit(workload.id), Sequence[AuditEvent])
        assert_type(next(iter(client.workloads.watch(workload.id))), Update)
        assert_type(client.workloads.wait_for_completion(workload.id), Workload)
        assert_type(client.configs.list(), Sequence[WorkloadConfig])
        assert_type(client.customer.get(), Customer)
        statistics = client.customer.stats(date(2026, 1, 1), "2026-01-31")
        assert_type(statistics, Statistics)
        assert_type(statistics.by_workload_type, list[TypeStatistics] | None)
        assert_type(client.admin.workers(), Sequence[FleetWorker])
        assert_type(client.admin.create_customer("x", limits=LIMITS), Customer)
        assert_type(client.admin.create_key("cust_a", "x"), ApiKey)
        assert_type(client.admin.undrain_worker("w1"), None)
        # What can't be right isn't accepted; mypy says so where one of these ignores isn't needed.
        client.workloads.submit("count", {}, affinity_rules={"hard": {}})  # type: ignore[arg-type]
        client.workloads.submit_batch([{"workload_type": "count"}])  # type: ignore[typeddict-item]


async def awaiting() -> None:
    """The client for asyncio."""
    async with AsyncClient() as client:
        assert_type(client, AsyncClient)
        assert_type(await client.workloads.submit("count", {"to": 3}), Workload)
        assert_type((await client.workloads.submit_batch(BATCH)).accepted, int)
        assert_type(client.workloads.iterate(), AsyncIterator[Workload])
        assert_type(client.workloads.watch("wl_1"), AsyncIterator[Update])
        assert_type(await client.workloads.audit("wl_1"), Sequence[AuditEvent])
        assert_type(await client.customer.get(), Customer)


def failing(error: ApiError, failed: WorkloadFailedError) -> None:
    """What errors carry."""
    assert_type(error.details, dict[str, Any])
    assert_type(error.retry_after_seconds, float | None)
    assert_type(error.request_id, str | None)
    assert_type(str(failed), str)


def working(run: WorkloadRun) -> None:
    """Workers, and tests of their handlers."""
    assert_type(Worker(capacity=2), Worker)
    assert_type(run.until_done(), dict[str, Any])
