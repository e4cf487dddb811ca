"""Migrations, by Alembic, under an advisory lock so that replicas can all try at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from niyanta.errors import ConfigurationError
from niyanta.server.store.servers import Servers

__all__ = ["SchemaStatus", "require_current", "status", "upgrade"]

_LOCK_ID = 0x6E79616E7461  # "nyanta": one migration at a time in a database


@dataclass(frozen=True)
class SchemaStatus:
    """Where a database stands. ``current`` is None before the first migration."""

    current: str | None
    newest: str
    known: bool
    """False when the database was migrated by a newer release than this one."""

    @property
    def is_current(self) -> bool:
        """Whether the database has every step that this version knows."""
        return self.current == self.newest


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _engine(database_url: str) -> AsyncEngine:
    return create_async_engine("postgresql+asyncpg://", async_creator=Servers(database_url).connect)


def _status(connection: Connection) -> SchemaStatus:
    script = ScriptDirectory.from_config(_config())
    newest = script.get_current_head() or ""
    current = MigrationContext.configure(connection).get_current_revision()
    known = current is None or any(r.revision == current for r in script.walk_revisions())
    return SchemaStatus(current, newest, known)


async def _run(database_url: str, work: Any) -> Any:
    engine = _engine(database_url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(work)
    except (OSError, TimeoutError) as exc:
        raise ConfigurationError(
            f"cannot reach the database: {exc}. Is PostgreSQL running there, and is the URL right?"
        ) from exc
    except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as exc:
        raise ConfigurationError(f"the database refused: {exc.__cause__ or exc}") from exc
    finally:
        await engine.dispose()


async def status(database_url: str) -> SchemaStatus:
    """Read where a database stands, changing nothing.

    Raises:
        ConfigurationError: It can't be reached, or refuses the credentials.
    """
    result: SchemaStatus = await _run(database_url, _status)
    return result


async def upgrade(database_url: str) -> SchemaStatus:
    """Bring a database to this release's schema. Does nothing when it is there already.

    Raises:
        ConfigurationError: It can't be reached, or its schema is newer than this release.
    """

    def migrate(connection: Connection) -> SchemaStatus:
        connection.execute(text("SELECT pg_advisory_lock(:id)"), {"id": _LOCK_ID})
        connection.commit()
        try:
            before = _status(connection)
            connection.commit()
            _refuse_newer(before)
            if not before.is_current:
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                connection.commit()
            return _status(connection)
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:id)"), {"id": _LOCK_ID})
            connection.commit()

    result: SchemaStatus = await _run(database_url, migrate)
    return result


def _refuse_newer(found: SchemaStatus) -> None:
    if not found.known:
        raise ConfigurationError(
            f"the database's schema ({found.current}) is newer than this release knows ({found.newest}): "
            "run the release that migrated it, or a newer one"
        )


async def require_current(database_url: str) -> None:
    """Refuse to work on a database whose schema isn't this release's.

    Raises:
        ConfigurationError: Says which command to run.
    """
    found = await status(database_url)
    _refuse_newer(found)
    if not found.is_current:
        raise ConfigurationError(
            f"the database's schema is {found.current or 'empty'}, this release needs {found.newest}: "
            "run `niyanta db upgrade`"
        )
