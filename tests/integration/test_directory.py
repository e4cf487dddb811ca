"""What every request needs of workers is the newest that was read, whichever reading ended last."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from niyanta.server.directory import Directory
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.server.store.workers import StoredWorker, WorkerStore
from niyanta.wire.broker import Broker
from niyanta.wire.messages import HandlerInfo, Register
from niyanta.wire.subjects import Subjects


def _directory(database: Database, nats_url: str) -> tuple[Directory, ChangeFeed]:
    feed = ChangeFeed(Broker(nats_url, name="test"), Subjects("test"), "c1")
    return Directory(database, CustomerStore(database), feed), feed


async def _register(database: Database) -> None:
    async with database.connection() as conn:
        handlers = [HandlerInfo("new")]
        assert await WorkerStore().register(conn, Register("w1", "incarnation", 1, {}, handlers, "test"), 10.0)


async def test_a_slow_reading_of_the_fleet_never_replaces_a_later_one(
    database: Database, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, go_on = asyncio.Event(), asyncio.Event()
    all_of = WorkerStore.all

    async def slow(self: WorkerStore, conn: Any) -> list[StoredWorker]:
        found = await all_of(self, conn)
        if not read.is_set():
            read.set()
            await go_on.wait()
        return found

    monkeypatch.setattr(WorkerStore, "all", slow)
    directory, feed = _directory(database, nats_url)
    first = asyncio.create_task(directory.refresh())
    await read.wait()
    await _register(database)
    feed.announce(fleet=True)
    second = asyncio.create_task(directory.refresh_if_older(10.0))
    await asyncio.wait({second}, timeout=1)  # it may wait for the first, and needn't
    go_on.set()
    await asyncio.gather(first, second)
    assert "new" in directory.served_for("cust_a")


async def test_what_a_customer_may_submit_is_as_new_as_the_fleet_when_both_are_read_at_once(
    database: Database, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, feed = _directory(database, nats_url)
    await directory.refresh()
    read, go_on = asyncio.Event(), asyncio.Event()
    types_of = CustomerStore.configured_types

    async def slow(self: CustomerStore, customer_id: str) -> Any:
        found = await types_of(self, customer_id)
        if not read.is_set():
            read.set()
            await go_on.wait()
        return found

    monkeypatch.setattr(CustomerStore, "configured_types", slow)
    await _register(database)
    feed.announce(fleet=True)
    first = asyncio.create_task(directory.supported("cust_a"))
    await read.wait()
    await directory.refresh()
    go_on.set()
    assert "new" in await first
    assert "new" in await directory.supported("cust_a")
