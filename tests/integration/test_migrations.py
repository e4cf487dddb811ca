"""Databases are brought to this release's schema, whoever tries and whatever breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from niyanta.errors import ConfigurationError
from niyanta.server.store import migrate, schema
from support.cluster import eventually

_BUILDING = """
SELECT pid FROM pg_stat_activity
 WHERE datname = current_database() AND wait_event = 'virtualxid' AND query LIKE 'CREATE INDEX CONCURRENTLY%'
"""


@pytest.fixture
async def onlooker(empty_database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(empty_database)
    yield connection
    await connection.close()


async def test_replicas_may_all_try_at_once(empty_database: str) -> None:
    found = await asyncio.gather(*(migrate.upgrade(empty_database) for _ in range(3)))
    assert all(one.is_current for one in found)


async def test_a_step_that_fails_leaves_nothing_and_is_taken_again(
    empty_database: str, onlooker: asyncpg.Connection
) -> None:
    await onlooker.execute("CREATE TABLE audit_seals ()")  # what step 9 makes, after a sequence and a column
    with pytest.raises(ConfigurationError, match='the database refused: relation "audit_seals" already exists'):
        await migrate.upgrade(empty_database)
    assert (await schema.status(empty_database)).current == "0008"
    assert not await onlooker.fetchval("SELECT to_regclass('audit_entry_numbers') IS NOT NULL")
    await onlooker.execute("DROP TABLE audit_seals")
    assert (await migrate.upgrade(empty_database)).is_current
    assert await onlooker.fetchval("SELECT array_agg(version_num) FROM alembic_version") == [
        schema.standing(None).newest
    ]


@pytest.mark.parametrize("before", ["0009", "0011"])
async def test_an_index_whose_building_was_broken_off_is_built_again(
    empty_database: str, onlooker: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    first = [step for step in schema.steps() if step.number <= before]
    with monkeypatch.context() as patched:
        patched.setattr(schema, "steps", lambda: first)
        await migrate.upgrade(empty_database)
    onlooking = onlooker.transaction(isolation="repeatable_read")
    await onlooking.start()
    await onlooker.execute("SELECT 1")  # a snapshot, which the index waits for
    async with asyncpg.create_pool(empty_database, min_size=1) as pool:

        async def is_building() -> bool:
            return await pool.fetchval(_BUILDING) is not None

        migrating = asyncio.create_task(migrate.upgrade(empty_database))
        await eventually(is_building, 30, "the index is built")
        await pool.execute(f"SELECT pg_terminate_backend(pid) FROM ({_BUILDING}) AS building")
        with pytest.raises(ConfigurationError, match="the database refused"):
            await migrating
    await onlooking.rollback()
    unfinished = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    assert await onlooker.fetchval(unfinished) > 0
    assert (await schema.status(empty_database)).current == before
    assert (await migrate.upgrade(empty_database)).is_current
    assert await onlooker.fetchval(unfinished) == 0
