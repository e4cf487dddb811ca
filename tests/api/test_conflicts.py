"""A deadlock that PostgreSQL breaks is no error of the service: the work is done again, or the answer is a 503.

Each call here is the victim of a real one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from niyanta.wire import messages
from support.deadlocks import Deadlocks, deadlocks
from support.system import System, beating, running_system, supported


@pytest.fixture
async def broken(database_url: str, nats_url: str, subject_prefix: str) -> AsyncIterator[tuple[System, Deadlocks]]:
    """A system, and the way to break its transactions."""
    async with (
        deadlocks(database_url) as found,
        running_system(database_url, nats_url, subject_prefix, worker_lease_seconds=8) as system,
    ):
        yield system, found


async def _answers(
    broken: tuple[System, Deadlocks], table: str, expected: int, method: str, path: str, *args: Any, **options: Any
) -> Any:
    """The answer to a call that was the victim of a deadlock over a table."""
    system, deadlocks = broken
    status, body, _ = await deadlocks.around(table, system.call(method, path, *args, **options))
    assert status == expected, (method, path, body)
    return body


async def test_configs(broken: tuple[System, Deadlocks]) -> None:
    table, path = "workload_configs", "/workload-configs"
    made = await _answers(broken, table, 201, "POST", path, {"workload_type": "count"})
    one = f"{path}/{made['config_id']}"
    assert (await _answers(broken, table, 200, "GET", one))["workload_type"] == "count"
    assert (await _answers(broken, table, 200, "PUT", one, {"max_retries": 7}))["max_retries"] == 7
    assert len((await _answers(broken, table, 200, "GET", path))["configs"]) == 1
    await _answers(broken, table, 204, "DELETE", one)


async def test_customers(broken: tuple[System, Deadlocks]) -> None:
    await _answers(broken, "customer_usage", 200, "GET", "/customer")
    await _answers(broken, "workload_hours", 200, "GET", "/customer/stats?start_date=2026-01-01&end_date=2026-01-31")


async def test_administration(broken: tuple[System, Deadlocks]) -> None:
    path = "/admin/customers"
    made = await _answers(broken, "customer_usage", 201, "POST", path, {"name": "new"}, key="admin")
    one = f"{path}/{made['customer_id']}"
    await _answers(broken, "customers", 200, "GET", path, key="admin")
    await _answers(broken, "customers", 200, "GET", one, key="admin")
    await _answers(broken, "customers", 200, "PATCH", one, {"name": "newer"}, key="admin")
    key = await _answers(broken, "api_keys", 201, "POST", f"{one}/api-keys", {"name": "k"}, key="admin")
    await _answers(broken, "api_keys", 200, "GET", f"{one}/api-keys", key="admin")
    await _answers(broken, "api_keys", 204, "DELETE", f"{one}/api-keys/{key['key_id']}", key="admin")


async def test_the_gate(broken: tuple[System, Deadlocks]) -> None:
    system, deadlocks = broken
    _, fresh = await system.customers.create_key("cust_a", "fresh")
    status, body, _ = await deadlocks.around("api_keys", system.call("GET", "/workloads", key=fresh))
    assert status == 200, body
    status, body, _ = await deadlocks.around(
        "rate_buckets", system.call("GET", "/workloads", key="cust_b"), pool="vital"
    )
    assert status == 200, body


async def test_workloads_and_batches(broken: tuple[System, Deadlocks]) -> None:
    system, _ = broken
    await supported(system)
    body = {"workload_type": "count", "input_params": {}}
    workload_id = (await _answers(broken, "workloads", 202, "POST", "/workloads", body))["workload_id"]
    one = f"/workloads/{workload_id}"
    for path in (one, "/workloads", f"{one}/logs", f"{one}/audit"):
        await _answers(broken, "workloads", 200, "GET", path)
    for verb in ("pause", "resume"):
        await _answers(broken, "workloads", 400, "POST", f"{one}/{verb}")
    await _answers(broken, "workloads", 200, "POST", f"{one}/cancel")
    assert await system.audit(workload_id) == ["created", "cancelled"]
    batch = await _answers(broken, "workloads", 202, "POST", "/workloads/batch", {"workloads": [body, body]})
    assert batch["accepted"] == 2
    _, listed, _ = await system.call("GET", "/workloads?status=PENDING")
    assert listed["pagination"]["total"] == 2
    chosen = {"filter": {"workload_type": "count"}}
    done = await _answers(broken, "workloads", 200, "POST", "/workloads/batch/cancel", chosen)
    assert done["cancelled"] == 2


async def test_workers_and_their_events(broken: tuple[System, Deadlocks]) -> None:
    system, deadlocks = broken
    worker, other = await system.worker(), await system.worker("w2")
    async with beating(worker, other):
        workload_id = await system.submit()
        holder = other if (await system.until(workload_id, "SCHEDULED"))["worker_id"] == "w2" else worker
        assignment = await holder.next_assignment()
        history = f"audit_events_p{datetime.now(UTC):%Y%m}01"
        started = holder.report(assignment.ref, messages.Started())
        reply = await deadlocks.around(history, started, pool="vital")
        assert reply.outcome == "applied"
        await _answers(broken, "workers", 200, "GET", "/admin/workers", key="admin")
        await _answers(broken, "workers", 200, "POST", f"/admin/workers/{holder.worker_id}/drain", key="admin")
        path = f"/admin/workers/{holder.worker_id}"
        await _answers(broken, "workers", 204, "DELETE", path, key="admin")
        await _answers(broken, "workers", 200, "POST", f"{path}/undrain", key="admin")
    assert (await system.until(workload_id, "SCHEDULED"))["worker_id"] != holder.worker_id


async def test_what_is_the_victim_again_and_again_is_told_to_come_back(broken: tuple[System, Deadlocks]) -> None:
    system, deadlocks = broken
    call = system.call("POST", "/admin/customers", {"name": "new"}, key="admin")
    (status, body, headers), victims = await deadlocks.without_end("customer_usage", call)
    assert victims > 1
    assert (status, body["error"]["code"]) == (503, "SERVICE_UNAVAILABLE"), body
    assert int(headers["Retry-After"]) >= 1
