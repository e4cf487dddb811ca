"""Real deadlocks, whose victim is whoever touches a table next."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, TypeVar

import asyncpg

__all__ = ["Deadlocks", "deadlocks"]

Result = TypeVar("Result")

_DETECTED_AFTER = "300ms"
_WAITED_FOR = """
SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_index i ON i.indexrelid = l.relation JOIN pg_stat_activity a USING (pid)
                WHERE NOT l.granted AND i.indrelid = $1::text::regclass AND a.application_name = ANY ($2)
                  AND (a.query NOT LIKE '%u.assigned FROM customers c%' OR a.query LIKE '%WHERE%'))
"""
"""What the coordinator reads by itself each second doesn't count."""


class Deadlocks:
    """Holds a table's indexes, waits until somebody who has the table waits for them, then asks for the table.

    The other side looks for a deadlock after 300 ms, this one after an hour: so PostgreSQL ends the other side's
    transaction, and as many as there are of them.
    """

    def __init__(self, holders: Sequence[asyncpg.Connection[Any]], watcher: asyncpg.Connection[Any]) -> None:
        self._holders = holders
        self._watcher = watcher

    async def around(self, table: str, work: Awaitable[Result], *, pool: str = "api") -> Result:
        """Do some work, and make it the victim of a deadlock over the table.

        Fails when the work was over before it was ever in the way.

        Args:
            table: Or a partition of one.
            work: What touches the table.
            pool: Through which of the service's connections it does; ``api`` are those of requests.
        """
        holder = self._holders[0]
        await self._begin(holder, table)
        async with _ended(work) as task:
            assert await self._waits(task, table, pool), f"it never waited for {table}: {task.result()}"
            await holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            await holder.execute("ROLLBACK")
            async with asyncio.timeout(20):
                return await task

    async def without_end(self, table: str, work: Awaitable[Result], *, pool: str = "api") -> tuple[Result, int]:
        """As `around`, but the work is the victim whenever it tries again; gives also how often.

        For a table with one index.
        """
        count = 0
        holder, other = self._holders
        await self._begin(holder, table)
        async with _ended(work) as task:
            while await self._waits(task, table, pool):
                # In line for the index before the victim, which has to have the table again first.
                following = asyncio.create_task(self._begin(other, table))
                await holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                await holder.execute("ROLLBACK")
                await following
                holder, other = other, holder
                count += 1
            await holder.execute("ROLLBACK")
            return await task, count

    async def _begin(self, holder: asyncpg.Connection[Any], table: str) -> None:
        await holder.execute("BEGIN")
        await holder.execute("SET LOCAL deadlock_timeout = '1h'")
        for row in await holder.fetch(
            "SELECT indexrelid::regclass::text AS name FROM pg_index WHERE indrelid = $1::text::regclass", table
        ):
            await holder.execute(f"ALTER INDEX {row['name']} SET TABLESPACE pg_default")

    async def _waits(self, task: asyncio.Future[Any], table: str, pool: str) -> bool:
        """True once the work waits for an index of the table; False when it is over."""
        pools = [f"niyanta-{name}" for name in ((pool, "customer") if pool == "api" else (pool,))]
        async with asyncio.timeout(20):
            while not await self._watcher.fetchval(_WAITED_FOR, table, pools):
                if task.done():
                    return False
                await asyncio.sleep(0.005)
        return True


@contextlib.asynccontextmanager
async def _ended(work: Awaitable[Result]) -> AsyncIterator[asyncio.Future[Result]]:
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def deadlocks(database_url: str) -> AsyncIterator[Deadlocks]:
    """To be entered before the system's connections to the database are opened."""
    async with contextlib.AsyncExitStack() as stack:
        connections = []
        for _ in range(3):
            connections.append(await asyncpg.connect(database_url))
            stack.push_async_callback(connections[-1].close)
        *holders, watcher = connections
        name = await watcher.fetchval("SELECT current_database()")
        await watcher.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '{_DETECTED_AFTER}'")
        # A small table is otherwise read without a look at its indexes.
        await watcher.execute(f"ALTER DATABASE {name} SET enable_seqscan = off")
        yield Deadlocks(holders, watcher)
