"""The customer's own account: getCustomer and getCustomerStats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from niyanta.wire import messages
from support.system import System, beating

NOWHERE = {"hard_affinity": {"worker_id": "nowhere"}}


async def test_the_account_and_its_live_usage(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        for _ in range(2):
            await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started(), messages.Completed(b"{}"))
        await worker.report((await worker.next_assignment()).ref, messages.Started())
        for _ in range(3):
            await system.submit(affinity_rules=NOWHERE)
        status, body, _ = await system.call("GET", "/customer")
    assert status == 200
    assert body.pop("created_at").endswith("Z")
    assert body == {
        "customer_id": "cust_a",
        "name": "cust_a",
        "tier": "enterprise",
        "status": "active",
        "limits": {
            "max_concurrent_workloads": 2000,
            "max_queue_depth": 10000,
            "rate_limit_per_sec": 200,
            "burst": 1000,
        },
        "usage": {"current_running_workloads": 1, "current_queue_depth": 3, "workloads_today": 5},
    }
    assert (await system.call("GET", "/customer", key="cust_b"))[1]["usage"]["workloads_today"] == 0


async def stats(system: System, **query: Any) -> Any:
    days = {"start_date": datetime.now(UTC).date(), "end_date": datetime.now(UTC).date() + timedelta(days=1)}
    text = "&".join(f"{name}={value}" for name, value in (days | query).items())
    status, body, _ = await system.call("GET", f"/customer/stats?{text}")
    assert status == 200, body
    return body


async def test_statistics(system: System) -> None:
    worker = await system.worker(types=["count", "other"])
    async with beating(worker):
        for kind in ("count", "count", "count", "other"):
            await system.submit(workload_type=kind)
        for number in range(4):
            assignment = await worker.next_assignment()
            end: Any = messages.Failed("no", permanent=True) if number == 0 else messages.Completed(b"{}")
            await worker.report(assignment.ref, messages.Started(), end)
        cancelled = await system.submit(affinity_rules=NOWHERE)
        await system.call("POST", f"/workloads/{cancelled}/cancel")
        await system.submit(affinity_rules=NOWHERE)
        body = await stats(system)
        by_day = await stats(system, group_by="day")
        by_hour = await stats(system, group_by="hour")
    summary = body["summary"]
    assert summary.pop("total_execution_hours") >= 0
    assert summary.pop("run_seconds")["used"] >= 0
    assert summary == {
        "total_workloads": 6,
        "completed_workloads": 3,
        "failed_workloads": 1,
        "cancelled_workloads": 1,
    }
    assert set(body) == {"start_date", "end_date", "summary", "by_workload_type"}
    assert body["start_date"] == datetime.now(UTC).date().isoformat()
    first, second = body["by_workload_type"]
    assert (first["workload_type"], first["count"]) == ("count", 5)
    assert first["failure_rate"] == pytest.approx(1 / 3, abs=1e-4) or second["failure_rate"] == 1
    assert first["avg_duration_seconds"] >= 0
    for grouped, name in ((by_day, "by_day"), (by_hour, "by_hour")):
        assert set(grouped) == {"start_date", "end_date", "summary", name}
        figures = grouped[name]
        assert sum(row["count"] for row in figures) == 6
        assert sum(row["completed"] for row in figures) == 3
        assert set(figures[0]) == {"start", "count", "completed", "failed", "cancelled", "avg_duration_seconds"}
        assert datetime.fromisoformat(figures[0]["start"]).minute == 0


async def test_statistics_of_one_type(system: System) -> None:
    worker = await system.worker(types=["count", "other"])
    async with beating(worker):
        for kind in ("count", "count", "other"):
            await system.submit(workload_type=kind, affinity_rules=NOWHERE)
    by_type = await stats(system, workload_type="count")
    by_day = await stats(system, workload_type="count", group_by="day")
    by_hour = await stats(system, workload_type="other", group_by="hour")
    assert [(row["workload_type"], row["count"]) for row in by_type["by_workload_type"]] == [("count", 2)]
    assert sum(row["count"] for row in by_day["by_day"]) == by_day["summary"]["total_workloads"] == 2
    assert sum(row["count"] for row in by_hour["by_hour"]) == by_hour["summary"]["total_workloads"] == 1
    assert (await stats(system, workload_type="unknown"))["summary"]["total_workloads"] == 0


NO_PERIODS = [
    ("", "start_date"),
    ("start_date=2025-01-01", "end_date"),
    ("end_date=2025-01-01", "start_date"),
    ("start_date=2025-01-02&end_date=2025-01-01", "end_date"),
    ("start_date=2025-02-30&end_date=2025-03-01", "start_date"),
    ("start_date=2025-1-1&end_date=2025-03-01", "start_date"),
    ("start_date=20250101&end_date=2025-03-01", "start_date"),
    ("start_date=2025-W01-1&end_date=2025-03-01", "start_date"),
    ("start_date=2025-01-01T00:00:00Z&end_date=2025-03-01", "start_date"),
    ("start_date=0000-01-01&end_date=2025-03-01", "start_date"),
    ("start_date=%EF%BC%92025-01-01&end_date=2025-03-01", "start_date"),
    ("start_date=&end_date=2025-03-01", "start_date"),
    ("start_date=2025-01-01&end_date=2025-03-01%00", "end_date"),
    ("start_date=2025-01-01&end_date=99999-03-01", "end_date"),
    ("start_date=2024-01-01&end_date=2025-01-01&group_by=hour", "end_date"),
    ("start_date=0001-01-01&end_date=9999-12-31", "end_date"),
    ("start_date=2025-01-01&end_date=2025-03-01&group_by=week", "group_by"),
    ("start_date=2025-01-01&end_date=2025-03-01&group_by=", "group_by"),
    ("start_date=2025-01-01&start_date=2025-01-01&end_date=2025-03-01", "start_date"),
    ("start_date=2025-01-01&end_date=2025-03-01&by=day", "by"),
]


async def test_a_period_that_is_none_is_refused(system: System) -> None:
    for query, field in NO_PERIODS:
        status, body, _ = await system.call("GET", f"/customer/stats?{query}")
        assert (status, body["error"]["code"]) == (400, "INVALID_INPUT")
        assert body["error"]["details"]["field"] == field
        assert len(body["error"]["details"]) > 1, "says what is allowed"


async def test_the_longest_periods(system: System) -> None:
    for query in (
        {"start_date": "2024-01-01", "end_date": "2024-12-31", "group_by": "hour"},
        {"start_date": "9999-12-31", "end_date": "9999-12-31"},
        {"start_date": "0001-01-01", "end_date": "0001-01-01", "group_by": "day"},
        {"start_date": "2015-01-01", "end_date": "2025-01-06", "group_by": "day"},
    ):
        assert (await stats(system, **query))["summary"]["total_workloads"] == 0
