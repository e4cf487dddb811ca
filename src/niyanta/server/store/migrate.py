"""Migrations: takes a database from step to step, under an advisory lock so that replicas can all try at once."""

from __future__ import annotations

import asyncio
import importlib
from typing import TypeAlias

import asyncpg

from niyanta.errors import ConfigurationError
from niyanta.server.store import schema
from niyanta.server.store.migrations import versions
from niyanta.server.store.schema import SchemaStatus, Step
from niyanta.server.store.servers import Servers

__all__ = ["upgrade"]

_LOCK_ID = 0x6E79616E7461  # "nyanta": one migration at a time in a database
_LOCK_POLL_SECONDS = 0.2

# As Alembic made it, which ran the steps of earlier releases (ADR 0036). It has one row.
_VERSION_TABLE = """
CREATE TABLE IF NOT EXISTS alembic_version (
    version_num varchar(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY
)
"""
_SET_VERSION = """
WITH before AS (DELETE FROM alembic_version)
INSERT INTO alembic_version (version_num) VALUES ($1)
"""

_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def upgrade(database_url: str) -> SchemaStatus:
    """Bring a database to this release's schema. Does nothing when it is there already.

    Broken off at any point, it goes on from there when it is begun again.

    Raises:
        ConfigurationError: It can't be reached, or its schema is newer than this release.
    """
    found = await schema.status(database_url)
    found.refuse_newer()
    if found.is_current:
        return found
    try:
        connection = await Servers(database_url).connect()
        try:
            await _lock(connection)
            return await _climb(connection)
        finally:
            await connection.close()  # the lock is the session's, and goes with it
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        raise ConfigurationError(f"the database refused: {exc}") from exc


async def _lock(connection: _Connection) -> None:
    # A statement that waits for it would hold a snapshot all the while, for which waits what the holder builds
    # CONCURRENTLY: one of the two would be ended as a deadlock.
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK_ID):
        await asyncio.sleep(_LOCK_POLL_SECONDS)


async def _climb(connection: _Connection) -> SchemaStatus:
    found = await schema.read(connection)
    found.refuse_newer()
    await connection.execute(_VERSION_TABLE)
    for step in schema.steps():
        if found.current is None or step.number > found.current:
            await _take(connection, step)
    return await schema.read(connection)


async def _take(connection: _Connection, step: Step) -> None:
    if step.is_script:
        async with connection.transaction():
            await connection.execute(step.path.read_text(encoding="utf-8"))
            await connection.execute(_SET_VERSION, step.number)
    else:
        await importlib.import_module(f"{versions.__name__}.{step.path.stem}").upgrade(connection)
        await connection.execute(_SET_VERSION, step.number)
