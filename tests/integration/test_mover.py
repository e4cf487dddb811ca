"""The one way in which workloads move: all of it or nothing, announced after the commit, again after a conflict."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from niyanta.domain import changes as domain_changes
from niyanta.domain import transitions
from niyanta.domain.workload import Actor, ActorType, Key, Status
from niyanta.errors import NotFoundError
from niyanta.server.moves.mover import Decide, LeaderFencedError, Mover
from niyanta.server.store.database import Database, LockNotFreeError
from niyanta.server.store.states import Change
from niyanta.wire.changes import WorkloadChange
from support.deadlocks import Deadlocks, deadlocks
from support.pace import pace
from support.store_rows import add_customer, add_workloads

WHO = Actor(ActorType.USER, "u")


class Feed:
    """Remembers what was announced."""

    def __init__(self) -> None:
        self.announced: list[WorkloadChange] = []

    def announce(self, changes: list[WorkloadChange]) -> None:
        self.announced += changes

    def moved(self, _: object) -> None:
        return None


@pytest.fixture
async def broken(database_url: str) -> AsyncIterator[Deadlocks]:
    async with deadlocks(database_url) as found:
        yield found


@pytest.fixture
async def database(broken: Deadlocks, database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def keys(database: Database) -> list[Key]:
    """Two workloads that can be cancelled, in order."""
    async with database.connection() as conn:
        await add_customer(conn, "cust_a")
        await add_workloads(conn, "cust_a", 30)
        await conn.execute("UPDATE customer_usage SET queued = 30, running = 30")
        rows = await conn.fetch("SELECT workload_id FROM workloads WHERE status = 'PENDING' ORDER BY 1 LIMIT 2")
    return [("cust_a", row["workload_id"]) for row in rows]


def cancel(changes: Mapping[Key, Change]) -> None:
    for change in changes.values():
        change.then(transitions.cancel(change.state, change.before.now, WHO, None))


async def cancelled(database: Database) -> int:
    async with database.connection() as conn:
        rows = await conn.fetch("SELECT count(*) AS n FROM audit_events WHERE event_type = 'workload.cancelled'")
    return int(rows[0]["n"])


async def test_what_exists_moves_together_and_is_announced_once(database: Database, keys: list[Key]) -> None:
    feed: Any = Feed()
    changes = await Mover(database, feed).move([*reversed(keys), ("cust_a", "wl_none")], cancel)
    assert list(changes) == keys
    assert {change.state.status for change in changes.values()} == {Status.CANCELLED}
    assert sorted(change.workload_id for change in feed.announced) == [key[1] for key in keys]
    assert await cancelled(database) == 2


async def test_a_decision_that_refuses_leaves_everything_as_it_was(database: Database, keys: list[Key]) -> None:
    feed: Any = Feed()

    def refuse(changes: Mapping[Key, Change]) -> None:
        cancel(changes)
        raise NotFoundError("no")

    with pytest.raises(NotFoundError):
        await Mover(database, feed).move(keys, refuse)
    assert (feed.announced, await cancelled(database)) == ([], 0)


async def test_an_older_epoch_writes_nothing(database: Database, keys: list[Key]) -> None:
    feed: Any = Feed()
    async with database.connection() as conn:
        await conn.execute("UPDATE leader_lease SET epoch = 7")
    with pytest.raises(LeaderFencedError):
        await Mover(database, feed).move(keys, cancel, epoch=6)
    assert (feed.announced, await cancelled(database)) == ([], 0)
    await Mover(database, feed).move(keys, cancel, epoch=7)
    assert await cancelled(database) == 2


async def test_a_deadlock_has_it_decided_and_written_again(
    database: Database, keys: list[Key], broken: Deadlocks
) -> None:
    feed: Any = Feed()
    decided = 0

    def decide(changes: Mapping[Key, Change]) -> None:
        nonlocal decided
        decided += 1
        cancel(changes)

    await broken.around("customer_usage", Mover(database, feed).move(keys, decide))
    assert (decided, len(feed.announced), await cancelled(database)) == (2, 2, 2)


def acknowledge(changes: Mapping[Key, Change]) -> None:
    """Of an event that moves nothing: a line of a log, or one that came too late for its state."""
    for change in changes.values():
        change.then(domain_changes.acknowledge(change.state, change.state.event_sequence + 1))


@pytest.mark.parametrize("meanwhile", [cancel, acknowledge])
async def test_without_a_lock_it_is_said_when_somebody_else_was_quicker(
    database: Database, keys: list[Key], database_url: str, meanwhile: Decide
) -> None:
    feed: Any = Feed()
    decided, go_on = threading.Event(), threading.Event()

    def decide(changes: Mapping[Key, Change]) -> None:
        cancel(changes)
        decided.set()
        assert go_on.wait(10)

    async def move_elsewhere() -> bool:
        """In a loop of its own, which the decision may hold up."""
        other = await Database.open(database_url)
        try:
            return await Mover(other, feed).move_unlocked(keys, decide)
        finally:
            await other.close()

    moving = asyncio.create_task(asyncio.to_thread(asyncio.run, move_elsewhere()))
    assert await asyncio.to_thread(decided.wait, 10)
    quicker: Any = Feed()
    await Mover(database, quicker).move(keys[:1], meanwhile)
    go_on.set()
    assert not await moving
    assert [change.workload_id for change in feed.announced] == [keys[1][1]]
    assert await cancelled(database) == (2 if meanwhile is cancel else 1)


async def test_a_lock_that_does_not_come_free_is_given_up(database: Database, keys: list[Key]) -> None:
    feed: Any = Feed()
    mover = Mover(database, feed)
    async with database.transaction() as conn:
        await conn.execute("SELECT FROM customer_usage FOR UPDATE")
        async with asyncio.timeout(3 * pace()):
            with pytest.raises(LockNotFreeError):
                await mover.move(keys, cancel, lock_seconds=0.1)
            with pytest.raises(LockNotFreeError):
                await mover.move_unlocked(keys, cancel, lock_seconds=0.1)
    assert (feed.announced, await cancelled(database)) == ([], 0)
    assert await mover.move_unlocked(keys, cancel, lock_seconds=0.1)
    assert await cancelled(database) == 2
