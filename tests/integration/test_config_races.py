"""A config that is deleted while a submission of its type is under way."""

from __future__ import annotations

import asyncio

import asyncpg

from support.system import System, supported

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%customer_usage%'"

_DELETE = "DELETE FROM workload_configs WHERE customer_id = 'cust_a' AND workload_type = 'count'"


async def test_a_submission_whose_config_is_deleted_before_its_commit_is_refused(system: System) -> None:
    await supported(system, "count", "kept")
    other, watch = [await asyncpg.connect(system.database_url) for _ in range(2)]
    try:
        async with other.transaction():
            # As a deletion does: it keeps the customer's submissions out, looks, and deletes.
            await other.execute("SELECT FROM customer_usage WHERE customer_id = 'cust_a' FOR NO KEY UPDATE")
            body = {"workload_type": "count", "input_params": {}}
            one = asyncio.create_task(system.call("POST", "/workloads", body))
            items = [body, {"workload_type": "kept", "input_params": {}}]
            many = asyncio.create_task(system.call("POST", "/workloads/batch", {"workloads": items}))
            async with asyncio.timeout(20):
                while not await watch.fetchval(_WAITING):
                    await asyncio.sleep(0.005)
            await other.execute(
                "DELETE FROM workload_configs WHERE customer_id = 'cust_a' AND workload_type = 'count'"
            )
        status, answer, _ = await one
        assert (status, answer["error"]["code"]) == (400, "INVALID_INPUT")
        assert answer["error"]["details"]["supported_types"] == ["kept"]
        status, answer, _ = await many
        assert (answer["accepted"], answer["rejected"]) == (1, 1)
        assert await other.fetchval("SELECT count(*) FROM workloads WHERE workload_type = 'count'") == 0
        assert await other.fetchval("SELECT queued FROM customer_usage WHERE customer_id = 'cust_a'") == 1
    finally:
        await other.close()
        await watch.close()
