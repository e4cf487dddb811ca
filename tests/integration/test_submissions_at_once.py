"""Submissions of several replicas at the same moment: the room of a queue is given once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from niyanta.server.store.database import Database
from niyanta.server.store.submissions import KeyName, KeyUse, Stored, SubmissionStore
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


async def test_a_key_that_is_used_while_its_statement_waits_is_not_used_twice(database_url: str) -> None:
    """The statement began before the other's commit and can't see the key: nothing of it is stored."""
    store = SubmissionStore()
    database = await Database.open(database_url)
    batch = [new_workload("cust_a", 1)]
    use = KeyUse(KeyName("cust_a", "submit", "k1"), b"\0" * 32, "[]")
    try:
        async with database.connection() as conn:
            await add_customer(conn, "cust_a")

        async def later() -> Stored:
            async with database.statement(datetime.now(UTC) + timedelta(minutes=5)) as conn:
                return await store.insert_batch(conn, batch, {"cust_a": 3}, uses=[use])

        async with asyncio.timeout(20):
            async with database.transaction() as conn:
                await store.admit(conn, ["cust_a"])
                assert await store.claim_keys(conn, [use]) == 1
                storing = asyncio.create_task(later())
                async with database.connection() as other:
                    while not storing.done() and not await whole(other).fetchval(WAITING):
                        await asyncio.sleep(0.01)
            assert (await storing).is_taken
        async with database.connection() as conn:
            assert await store.existing(conn, batch) == set()
            seen = await store.insert_batch(conn, batch, {"cust_a": 3}, uses=[use])
            assert (seen.is_taken, await store.existing(conn, batch)) == (True, set())
    finally:
        await database.close()


async def test_what_comes_with_a_key_is_stored_whole_or_left_to_be_decided(database_url: str) -> None:
    """Its kept answer says that all of it was accepted."""
    store = SubmissionStore()
    database = await Database.open(database_url)
    batch = [new_workload("cust_a", rank) for rank in range(3)]
    use = KeyUse(KeyName("cust_a", "submit_batch", "k1"), b"\0" * 32, "[]")
    try:
        async with database.connection() as conn:
            await add_customer(conn, "cust_a")
            assert (await store.insert_batch(conn, batch, {"cust_a": 2}, uses=[use])).is_taken
            assert await store.existing(conn, batch) == set()
            assert await store.keyed(conn, [use.name]) == {}
            stored = await store.insert_batch(conn, batch, {"cust_a": 3}, uses=[use])
            assert (stored.is_taken, stored.depth) == (False, {"cust_a": 0})
            assert await store.existing(conn, batch) == {new.workload_id for new in batch}
            assert list(await store.keyed(conn, [use.name])) == [use.name]
    finally:
        await database.close()
