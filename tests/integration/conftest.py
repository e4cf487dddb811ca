"""Tests of the parts together, inside one process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from niyanta.embedded.postgres import url_as
from niyanta.server.store.database import Database
from niyanta.server.store.roles.writing import DatabaseRole
from support.command_line import run, start
from support.store_rows import add_customer, whole
from support.system import system

__all__ = ["run", "start", "system"]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """As coordinators use it."""
    opened = await Database.open(url_as(database_url, DatabaseRole.COORDINATOR))
    yield opened
    await opened.close()


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """As the owner of the schema."""
    database = await Database.open(database_url, in_passing=True)
    async with database.connection() as connection:
        for customer_id in ("cust_a", "cust_b"):
            await add_customer(connection, customer_id)
        yield whole(connection)
    await database.close()
