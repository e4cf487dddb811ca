"""What operators are told of the whole system: getSystem and getFairness."""

from __future__ import annotations

import asyncio

from niyanta import AsyncClient
from support.system import System, beating, supported


async def test_the_system_says_who_leads_and_what_waits(system: System) -> None:
    worker = await system.worker(capacity=3)
    async with beating(worker):
        ids = [await system.submit() for _ in range(3)]
        await system.until(ids[0], "SCHEDULED")
        status, found, _ = await system.call("GET", "/admin/system", key="admin")
    assert status == 200
    assert found["coordinator_id"] == found["leader"]["coordinator_id"] == system.coordinator.settings.coordinator_id
    assert found["leader"]["epoch"] >= 1
    assert found["database"]["is_connected"]
    assert {pool["name"] for pool in found["database"]["pools"]} >= {"api", "vital"}
    assert found["broker"] == {"is_connected": True, "interruptions": 0}
    assert found["workers"]["HEALTHY"] == 1
    assert found["slots"] == 3
    [queue] = [one for one in found["queues"] if one["tier"] == "enterprise"]
    assert queue["queued"] + queue["running"] == 3
    assert all(one["ahead_seconds"] > 0 for one in found["partitions"])
    async with AsyncClient(system.keys["admin"], system.url("")) as client:
        assert (await client.admin.system()).leader.coordinator_id == found["coordinator_id"]


async def test_fairness_sets_what_one_has_against_what_it_deserves(system: System) -> None:
    await supported(system)
    status, nothing, _ = await system.call("GET", "/admin/fairness", key="admin")
    assert (status, nothing) == (200, {"slots": 0, "customers": []})
    worker = await system.worker(capacity=4)
    async with beating(worker):
        for key, count in (("cust_a", 5), ("cust_b", 1)):
            for _ in range(count):
                await system.submit(key)
        async with AsyncClient(system.keys["admin"], system.url("")) as client, asyncio.timeout(10):
            while (found := await client.admin.fairness()).slots != 4:  # workers are known about a second later
                await asyncio.sleep(0.1)
    by_id = {one.customer_id: one for one in found.customers}
    assert {who: one.running + one.queued for who, one in by_id.items()} == {"cust_a": 5, "cust_b": 1}
    assert {who: one.deserved for who, one in by_id.items()} == {"cust_a": 3.0, "cust_b": 1.0}
