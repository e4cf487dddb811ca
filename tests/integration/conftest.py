"""Tests of the parts together, inside one process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from niyanta.server.store.database import Database
from support.store_rows import add_customer, whole
from support.system import system

__all__ = ["system"]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[asyncpg.Connection]:
    async with database.connection() as connection:
        for customer_id in ("cust_a", "cust_b"):
            await add_customer(connection, customer_id)
        yield whole(connection)
