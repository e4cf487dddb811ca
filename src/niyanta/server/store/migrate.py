"""Migrations, by Alembic, under an advisory lock so that replicas can all try at once."""

from __future__ import annotations

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from niyanta.errors import ConfigurationError
from niyanta.server.store import schema
from niyanta.server.store.schema import SchemaStatus
from niyanta.server.store.servers import Servers

__all__ = ["upgrade"]

_LOCK_ID = 0x6E79616E7461  # "nyanta": one migration at a time in a database


async def upgrade(database_url: str) -> SchemaStatus:
    """Bring a database to this release's schema. Does nothing when it is there already.

    Raises:
        ConfigurationError: It can't be reached, or its schema is newer than this release.
    """
    found = await schema.status(database_url)
    found.refuse_newer()
    if found.is_current:
        return found
    engine = create_async_engine("postgresql+asyncpg://", async_creator=Servers(database_url).connect)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_migrate)
    except (OSError, TimeoutError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        raise ConfigurationError(f"the database refused: {exc.__cause__ or exc}") from exc
    finally:
        await engine.dispose()


def _migrate(connection: Connection) -> SchemaStatus:
    connection.execute(text("SELECT pg_advisory_lock(:id)"), {"id": _LOCK_ID})
    connection.commit()
    try:
        before = schema.standing(MigrationContext.configure(connection).get_current_revision())
        connection.commit()
        before.refuse_newer()
        if not before.is_current:
            config = Config()
            config.set_main_option("script_location", str(schema.MIGRATIONS))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
        return schema.standing(MigrationContext.configure(connection).get_current_revision())
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:id)"), {"id": _LOCK_ID})
        connection.commit()
