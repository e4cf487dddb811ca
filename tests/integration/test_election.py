"""Who leads, on a real PostgreSQL: one at a time, and nobody for longer than its lease."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from niyanta.errors import ServiceUnavailableError
from niyanta.server.leader.election import Election
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.lease import LeaseStore
from niyanta.wire.broker import Broker
from niyanta.wire.subjects import Subjects

LEASE = {"leader_lease_seconds": 2.0, "leader_renew_seconds": 0.2, "leader_trust_seconds": 1.0}


class Flaky:
    """A database that may be told to be away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_away = False

    @contextlib.asynccontextmanager
    async def connection(self, pool: Pool) -> AsyncIterator[Any]:
        if self.is_away:
            raise ServiceUnavailableError("away")
        async with self._database.connection(pool) as conn:
            yield conn


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    found = await Database.open(database_url)
    yield found
    await found.close()


@contextlib.asynccontextmanager
async def _taking_part(database: Any, database_url: str, name: str) -> AsyncIterator[Election]:
    settings = CoordinatorSettings.from_environment(
        {}, database_url=database_url, nats_url="nats://unused", coordinator_id=name, **LEASE
    )
    election = Election(database, ChangeFeed(Broker("", name=name), Subjects("test"), name), settings)
    running = asyncio.create_task(election.run())
    try:
        yield election
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_two_never_lead_at_once(database: Database, database_url: str) -> None:
    store = LeaseStore()
    async with database.connection() as conn:
        first = await store.take(conn, "one", 60)
        assert first is not None
        assert await store.take(conn, "another", 60) is None
        assert await store.renew(conn, first, 60)
        await store.give_up(conn, first)
        second = await store.take(conn, "another", 60)
        assert second == first + 1
        assert not await store.renew(conn, first, 60)


async def test_trust_ends_before_the_lease_does(database: Database, database_url: str) -> None:
    """One that is cut off from the database has stopped to lead when another begins."""
    flaky = Flaky(database)
    async with asyncio.timeout(20), _taking_part(flaky, database_url, "one") as one:
        first = await one.wait_elected()
        flaky.is_away = True
        async with _taking_part(database, database_url, "another") as another:
            both_lead = 0.0
            while another.epoch is None:
                await asyncio.sleep(0.005)
            both_lead += one.epoch is not None
            assert not both_lead
            assert another.epoch == first + 1
            flaky.is_away = False
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                assert one.epoch is None
                await asyncio.sleep(0.01)


async def test_who_resigns_leads_no_more_and_never_again(database: Database, database_url: str) -> None:
    async with asyncio.timeout(20), _taking_part(database, database_url, "one") as one:
        first = await one.wait_elected()
        await one.resign()
        assert one.epoch is None
        async with database.connection() as conn:
            found = await LeaseStore().current(conn)
        assert (found.epoch, found.held, found.left_seconds) == (first, False, 0)
        async with _taking_part(database, database_url, "another") as another:
            assert await another.wait_elected() == first + 1
