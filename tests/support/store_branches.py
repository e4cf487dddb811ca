"""Branches of a store's history that run at the same time, and the orders that would explain what they gave.

Each operation is one that a replica, a worker or a leader does in one transaction. Whatever they do at once must look
as if they had come one after another, in an order that keeps that of each branch: same answers, same rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from niyanta.domain.workload import WorkloadState
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.queries import Connection

__all__ = ["Jittered", "Operation", "Trial", "orders_that_explain", "run_branches"]


@dataclass(frozen=True)
class Trial:
    """The model at one point of one order."""

    states: dict[str, WorkloadState]
    saved_percent: dict[str, int]
    """Progress at each workload's newest checkpoint."""
    epoch: int
    keys: dict[str, tuple[int, str]] = field(default_factory=dict)
    """By idempotency key: which body came with it, and the workload that it made."""

    def with_state(self, new: WorkloadState) -> Trial:
        """After a workload has moved."""
        old = self.states.get(new.workload_id)
        saved = self.saved_percent
        if old is not None and new.checkpoint_sequence > old.checkpoint_sequence:
            saved = {**saved, new.workload_id: old.progress_percent}
        return replace(self, states={**self.states, new.workload_id: new}, saved_percent=saved)


class Operation(Protocol):
    """Something that is done in one transaction."""

    async def run(self, database: Database) -> Any:
        """Do it; gives its answer."""

    def explain(self, trial: Trial, answer: Any) -> Trial | None:
        """The model after it, had it come at this point; None when it can't have given this answer then."""


class Jittered:
    """A database to which every statement takes a little while, as it was drawn, so that orders differ."""

    def __init__(self, database: Database, delays: Sequence[int]) -> None:
        self._database = database
        self._delays = itertools.cycle(delays)

    async def _dawdle(self) -> None:
        for _ in range(next(self._delays)):
            await asyncio.sleep(0.0005)

    def _slowed(self, conn: Connection) -> Any:
        return _Slowed(conn, self._dawdle)

    @contextlib.asynccontextmanager
    async def connection(self, pool: Pool = Pool.API, **options: Any) -> AsyncIterator[Connection]:
        """As `Database.connection`."""
        async with self._database.connection(pool, **options) as conn:
            yield self._slowed(conn)

    @contextlib.asynccontextmanager
    async def statement(self, until: datetime, pool: Pool = Pool.API) -> AsyncIterator[Connection]:
        """As `Database.statement`."""
        async with self._database.statement(until, pool) as conn:
            yield self._slowed(conn)

    @contextlib.asynccontextmanager
    async def transaction(self, pool: Pool = Pool.API, **options: Any) -> AsyncIterator[Connection]:
        """As `Database.transaction`."""
        async with self._database.transaction(pool, **options) as conn:
            yield self._slowed(conn)
            await self._dawdle()  # before the COMMIT


class _Slowed:
    def __init__(self, conn: Connection, dawdle: Any) -> None:
        self._conn = conn
        self._dawdle = dawdle

    async def fetch(self, query: str, *args: Any) -> Any:
        await self._dawdle()
        return await self._conn.fetch(query, *args)

    async def fetchrow(self, query: str, *args: Any) -> Any:
        await self._dawdle()
        return await self._conn.fetchrow(query, *args)

    async def execute(self, query: str, *args: Any) -> str:
        await self._dawdle()
        return await self._conn.execute(query, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)


async def run_branches(
    database: Database, branches: Sequence[Sequence[Operation]], delays: Sequence[Sequence[int]]
) -> list[list[Any]]:
    """The answers of each branch's operations, all branches at once, each on connections of its own."""

    async def follow(branch: Sequence[Operation], own: Sequence[int]) -> list[Any]:
        jittered: Any = Jittered(database, own)
        return [await operation.run(jittered) for operation in branch]

    async with asyncio.TaskGroup() as group:  # so that nothing of it goes on when one of them fails
        following = [group.create_task(follow(*each)) for each in zip(branches, delays, strict=True)]
    return [each.result() for each in following]


def orders_that_explain(trial: Trial, branches: Sequence[Sequence[tuple[Operation, Any]]]) -> Iterator[Trial]:
    """The model after each order of operations that gives exactly these answers."""
    if not any(branches):
        yield trial
        return
    for number, branch in enumerate(branches):
        if not branch:
            continue
        operation, answer = branch[0]
        after = operation.explain(trial, answer)
        if after is not None:
            rest = [each[1:] if other == number else each for other, each in enumerate(branches)]
            yield from orders_that_explain(after, rest)
