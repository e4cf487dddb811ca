"""A cancel that comes while a query waits is never swallowed, whenever it comes, and costs no connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from niyanta.errors import ServiceUnavailableError
from niyanta.server.store.database import Database, Pool

_API_CONNECTIONS = 3


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, api_connections=_API_CONNECTIONS, vital_connections=1)
    yield opened
    await opened.close()


async def _query(database: Database, pool: Pool = Pool.API) -> None:
    async with database.connection(pool) as conn:
        await conn.fetch("SELECT 1")


async def _transaction(database: Database) -> None:
    async with database.transaction(Pool.API, lock_seconds=1) as conn:
        await conn.fetch("SELECT 1")


async def _failing(database: Database) -> None:
    try:
        async with database.transaction(Pool.API) as conn:
            await conn.execute("SELECT 1")
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass


async def _slow(database: Database) -> None:
    """One whose time is up about when it ends."""
    try:
        async with asyncio.timeout(0.002), database.connection(Pool.API) as conn:
            await conn.execute("SELECT pg_sleep(0.002)")
    except (TimeoutError, ServiceUnavailableError):
        pass


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _all_free(database: Database) -> None:
    """Every connection of the pool can be had at once."""
    together = asyncio.Barrier(_API_CONNECTIONS)

    async def hold() -> None:
        async with database.connection(Pool.API, wait_seconds=10) as conn:
            await conn.fetch("SELECT 1")
            await together.wait()

    async with asyncio.timeout(20):
        await asyncio.gather(*(hold() for _ in range(_API_CONNECTIONS)))


_WORK = [_query, _transaction, _failing, _slow]


@pytest.mark.parametrize("work", _WORK, ids=[work.__name__[1:] for work in _WORK])
async def test_a_cancel_at_every_turn_of_a_query(
    database: Database, work: Callable[[Database], Awaitable[None]]
) -> None:
    for trial in range(240):
        count = trial % 120
        waiting = asyncio.ensure_future(work(database))
        await _turns(count)
        finished_before = waiting.done()
        waiting.cancel()
        done, _ = await asyncio.wait({waiting}, timeout=10)
        assert done, f"cancelled after {count} turns, it waits on"
        assert waiting.cancelled() or finished_before, f"cancelled after {count} turns, it didn't notice"
    await _all_free(database)


@pytest.mark.parametrize("work", [_query, _slow], ids=["query", "slow"])
async def test_a_cancel_ends_a_loop_of_queries(
    database: Database, work: Callable[[Database], Awaitable[None]]
) -> None:
    async def for_ever() -> None:
        while True:
            await work(database)

    for trial in range(120):
        asking = asyncio.create_task(for_ever())
        await _turns(20 + trial)
        asking.cancel()
        done, _ = await asyncio.wait({asking}, timeout=10)
        assert done, f"trial {trial}"
    await _all_free(database)


async def test_a_cancel_while_a_connection_is_waited_for(database: Database) -> None:
    for count in range(60):
        async with database.connection(Pool.VITAL):
            waiting = asyncio.create_task(_query(database, Pool.VITAL))
            await _turns(5)
        await _turns(count)  # the connection comes free meanwhile
        finished_before = waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting}, timeout=10)
        assert waiting.cancelled() or finished_before
    async with asyncio.timeout(10):
        await _query(database, Pool.VITAL)


async def test_a_cancel_while_it_closes(database_url: str) -> None:
    for count in range(25):
        database = await Database.open(database_url, api_connections=2, vital_connections=1)
        closing = asyncio.create_task(database.close())
        await _turns(count)
        finished_before = closing.done()
        closing.cancel()
        await asyncio.wait({closing}, timeout=10)
        assert closing.cancelled() or finished_before
        await database.close()


async def test_a_cancel_while_it_opens(database_url: str) -> None:
    for count in range(0, 200, 8):
        opening = asyncio.create_task(Database.open(database_url, api_connections=2, vital_connections=1))
        await _turns(count)
        finished_before = opening.done()
        opening.cancel()
        await asyncio.wait({opening}, timeout=10)
        assert opening.cancelled() or finished_before
        if finished_before:
            await opening.result().close()


async def _cancelled_by_nobody(database: Database) -> None:
    left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    left.cancel()
    async with database.transaction(Pool.API) as conn:
        await conn.execute("SELECT 1")
        await left


async def test_a_cancel_that_nobody_asked_for_is_a_lost_connection(database: Database) -> None:
    with pytest.raises(ServiceUnavailableError):
        await _cancelled_by_nobody(database)
    await _query(database)
