"""Workload configs: one per type, merged, and not deleted while a workload belongs to one, however they race."""

from __future__ import annotations

import asyncio
import secrets
import time
from datetime import UTC, datetime

import asyncpg
import pytest

from niyanta.domain.ids import make_id
from niyanta.errors import ConflictError, NotFoundError
from niyanta.server.store.configs import ConfigFields, ConfigStore
from niyanta.server.store.database import Database
from niyanta.server.store.submissions import NewWorkload, SubmissionStore
from support.store_rows import ExplainFirst, add_workloads, whole

STORE = ConfigStore()


def new_id() -> str:
    return make_id("wlcfg_", time.time_ns() // 1_000_000, secrets.randbits(80))


def new_workload(workload_type: str) -> NewWorkload:
    now_ms = time.time_ns() // 1_000_000
    return NewWorkload(
        customer_id="cust_a",
        workload_id=make_id("wl_", now_ms, secrets.randbits(80)),
        workload_type=workload_type,
        priority=10,
        input_json="{}",
        affinity_json=None,
        timeout_seconds=None,
        placement_key=1,
        queue_rank=0.0,
        created_at=datetime.now(UTC),
        actor_id="key_1",
    )


async def test_what_is_given_is_kept_and_the_rest_has_defaults(conn: asyncpg.Connection) -> None:
    made = await STORE.create(
        conn, "cust_a", new_id(), "t", ConfigFields(memory_mb=64, input_schema='{"type":"object"}')
    )
    assert (made.memory_mb, made.disk_mb, made.cpu_cores, made.max_retries) == (64, 1024, 1.0, 3)
    assert (made.config_json, made.input_schema, made.timeout_seconds) == ("{}", '{"type":"object"}', None)
    assert await STORE.get(conn, "cust_a", made.config_id) == made


async def test_an_update_merges_and_zero_is_a_value(conn: asyncpg.Connection) -> None:
    made = await STORE.create(conn, "cust_a", new_id(), "t", ConfigFields(timeout_seconds=60, description="d"))
    changed = await STORE.update(conn, "cust_a", made.config_id, ConfigFields(max_retries=0, description=""))
    assert (changed.max_retries, changed.description, changed.timeout_seconds) == (0, "", 60)
    assert changed.updated_at > made.updated_at
    assert changed.created_at == made.created_at


async def test_a_second_config_of_a_type_is_a_conflict_also_when_they_race(
    conn: asyncpg.Connection, database: Database
) -> None:
    async def create() -> str:
        async with database.connection() as other:
            return (await STORE.create(other, "cust_a", new_id(), "t", ConfigFields())).config_id

    found = await asyncio.gather(*(create() for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(f, str) for f in found) == 1
    assert all(isinstance(f, str | ConflictError) for f in found)
    await STORE.create(conn, "cust_b", new_id(), "t", ConfigFields())


async def test_a_foreign_config_is_missing(conn: asyncpg.Connection) -> None:
    made = await STORE.create(conn, "cust_a", new_id(), "t", ConfigFields())
    for config_id in (made.config_id, "wlcfg_never"):
        with pytest.raises(NotFoundError, match="no such workload config"):
            await STORE.get(conn, "cust_b", config_id)
        with pytest.raises(NotFoundError, match="no such workload config"):
            await STORE.update(conn, "cust_b", config_id, ConfigFields(max_retries=1))
        with pytest.raises(NotFoundError, match="no such workload config"):
            async with conn.transaction():
                await STORE.delete(conn, "cust_b", config_id)
    assert await STORE.get(conn, "cust_a", made.config_id) == made


async def test_pages_are_oldest_first(conn: asyncpg.Connection) -> None:
    ids = [make_id("wlcfg_", n, 0) for n in range(5)]
    for number in (3, 1, 4, 0, 2):
        await STORE.create(conn, "cust_a", ids[number], f"t{number}", ConfigFields())
    assert [c.config_id for c in await STORE.page(conn, "cust_a")] == ids
    assert [c.config_id for c in await STORE.page(conn, "cust_a", after_id=ids[1], most=2)] == ids[2:4]


@pytest.mark.parametrize("status", ["PENDING", "PAUSED", "RUNNING", "COMPLETED", "CANCELLED"])
async def test_a_config_with_any_workload_is_not_deleted(conn: asyncpg.Connection, status: str) -> None:
    await add_workloads(conn, "cust_a", 200)
    await conn.execute("DELETE FROM workloads WHERE status <> $1", status)
    kind = await conn.fetchval("SELECT workload_type FROM workloads LIMIT 1")
    used = await STORE.create(conn, "cust_a", new_id(), kind, ConfigFields())
    unused = await STORE.create(conn, "cust_a", new_id(), "unused", ConfigFields())
    with pytest.raises(ConflictError, match=f"workloads of type '{kind}'"):
        async with conn.transaction():
            await STORE.delete(conn, "cust_a", used.config_id)
    async with conn.transaction():
        await STORE.delete(conn, "cust_a", unused.config_id)
    assert [c.config_id for c in await STORE.page(conn, "cust_a")] == [used.config_id]


async def test_asking_for_workloads_of_a_type_reads_no_table(conn: asyncpg.Connection) -> None:
    await add_workloads(conn, "cust_a", 20_000)
    await conn.execute("VACUUM ANALYZE workloads")
    made = await STORE.create(conn, "cust_a", new_id(), "unused", ConfigFields())
    spy = ExplainFirst(conn)
    async with conn.transaction():
        await STORE.delete(spy, "cust_a", made.config_id)
    assert "using workloads_" in spy.plan, spy.plan
    assert "Seq Scan on workloads" not in spy.plan, spy.plan


async def test_a_delete_that_races_with_a_submission_never_leaves_a_workload_without_its_config(
    conn: asyncpg.Connection, database: Database
) -> None:
    """Whichever commits first, the other sees it: either the delete is refused, or it came before the workload."""
    submissions = SubmissionStore()
    outcomes = set()
    for number in range(60):
        kind = f"t{number}"
        made = await STORE.create(conn, "cust_a", new_id(), kind, ConfigFields())
        late = number % 3

        async def submit(kind: str = kind, late: int = late) -> datetime:
            async with database.transaction() as one:
                for _ in range(late):
                    await one.fetchrow("SELECT 1")
                await submissions.admit(one, ["cust_a"])
                # What a submission finds out once it is admitted; its commit comes before any later delete.
                there = await whole(one).fetchval(
                    "SELECT count(*) FROM workload_configs WHERE workload_type = $1", kind
                )
                await submissions.insert_batch(one, [new_workload(kind)], {"cust_a": 1000})
            return there  # type: ignore[no-any-return]

        async def delete(config_id: str = made.config_id) -> bool:
            try:
                async with database.transaction() as two:
                    await STORE.delete(two, "cust_a", config_id)
            except ConflictError:
                return False
            return True

        there, deleted = await asyncio.gather(submit(), delete())
        assert deleted == (not there), "the delete went through although a workload was there before"
        outcomes.add(deleted)
    assert outcomes == {True, False}, "both must win sometimes, else nothing raced"
