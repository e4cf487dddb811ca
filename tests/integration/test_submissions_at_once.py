"""Submissions of several replicas at the same moment: the room of a queue is given once."""

from __future__ import annotations

import asyncio

from niyanta.server.store.database import Database
from niyanta.server.store.submissions import SubmissionStore
from support.store_machine import new_workload
from support.store_rows import add_customer, whole

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
ONE_MORE = "UPDATE customer_usage SET queued = queued + 1 WHERE customer_id = 'cust_a'"


async def test_the_room_of_a_queue_is_given_once(database_url: str) -> None:
    """Who reads the depth of a queue while another is about to add to it waits for the other's commit."""
    store = SubmissionStore()
    database = await Database.open(database_url)
    try:
        async with database.connection() as conn:
            await add_customer(conn, "cust_a")

        async def second() -> int:
            async with database.transaction() as conn:
                return (await store.admit(conn, ["cust_a"]))["cust_a"]

        async with asyncio.timeout(10):
            async with database.transaction() as conn:
                assert (await store.admit(conn, ["cust_a"]))["cust_a"] == 0
                reading = asyncio.create_task(second())
                async with database.connection() as other:  # within a transaction, what others do stands still
                    while not reading.done() and not await whole(other).fetchval(WAITING):
                        await asyncio.sleep(0.01)
                await whole(conn).execute(ONE_MORE)
            assert await reading == 1
    finally:
        await database.close()


async def test_what_is_stored_by_one_statement_leaves_others_their_limit(database_url: str) -> None:
    """It waits for another's commit, then stores the first of its batch that there is room for, and says how deep."""
    store = SubmissionStore()
    database = await Database.open(database_url)
    first, second = ([new_workload("cust_a", rank) for rank in range(count)] for count in (2, 3))
    try:
        async with database.connection() as conn:
            await add_customer(conn, "cust_a")

        async def later() -> dict[str, int]:
            async with database.transaction() as conn:
                return (await store.insert_batch(conn, second, {"cust_a": 3})).depth

        async with asyncio.timeout(10):
            async with database.transaction() as conn:
                assert (await store.insert_batch(conn, first, {"cust_a": 3})).depth == {"cust_a": 0}
                storing = asyncio.create_task(later())
                async with database.connection() as other:
                    while not storing.done() and not await whole(other).fetchval(WAITING):
                        await asyncio.sleep(0.01)
            assert await storing == {"cust_a": 2}
        async with database.connection() as conn:
            assert await store.existing(conn, [*first, *second]) == {w.workload_id for w in [*first, second[0]]}
            assert await whole(conn).fetchval("SELECT queued FROM customer_usage WHERE customer_id = 'cust_a'") == 3
            assert await whole(conn).fetchval("SELECT count(*) FROM audit_events") == 3
            assert await whole(conn).fetchval("SELECT sum(created) FROM workload_hours") == 3
    finally:
        await database.close()
