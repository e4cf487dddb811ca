"""Which schema a database has, and which this release needs. Every coordinator asks when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import asyncpg

from niyanta.errors import ConfigurationError
from niyanta.server.store.servers import Servers, unreachable

__all__ = [
    "OLDEST_RELEASE",
    "SchemaStatus",
    "Step",
    "read",
    "refuse_older",
    "require_current",
    "standing",
    "status",
    "steps",
]

OLDEST_RELEASE = 15
"""Of PostgreSQL: the oldest that every query is tried on."""

_STEPS = Path(__file__).parent / "migrations" / "versions"


@dataclass(frozen=True)
class Step:
    """One migration."""

    path: Path

    @property
    def number(self) -> str:
        """What a database whose last step it was keeps of it; numbers sort as the steps follow each other."""
        return self.path.name[:4]

    @property
    def is_script(self) -> bool:
        """Whether it is SQL, for one transaction, and not a module."""
        return self.path.suffix == ".sql"


def steps() -> list[Step]:
    """All that this release knows, in their order."""
    return [Step(path) for path in sorted(_STEPS.glob("[0-9]*.*"))]


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

    def refuse_newer(self) -> None:
        """Go no further with a database that a newer release migrated.

        Raises:
            ConfigurationError: It was.
        """
        if not self.known:
            raise ConfigurationError(
                f"the database's schema ({self.current}) is newer than this release knows ({self.newest}): "
                "run the release that migrated it, or a newer one"
            )


def refuse_older(release: int) -> None:
    """Go no further with a PostgreSQL of this major release when it is too old.

    Raises:
        ConfigurationError: It is.
    """
    if release < OLDEST_RELEASE:
        raise ConfigurationError(f"the database is PostgreSQL {release}: it must be {OLDEST_RELEASE} or newer")


def standing(current: str | None) -> SchemaStatus:
    """What it means that a database's last step was this one."""
    numbers = [step.number for step in steps()]
    return SchemaStatus(current, numbers[-1], current is None or current in numbers)


async def read(connection: asyncpg.Connection[asyncpg.Record]) -> SchemaStatus:
    """Read where a database stands.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError: The database refuses, or the connection is lost.
    """
    is_there = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
    return standing(await connection.fetchval("SELECT version_num FROM alembic_version") if is_there else None)


async def status(database_url: str) -> SchemaStatus:
    """Read where a database stands, changing nothing.

    Raises:
        ConfigurationError: It can't be reached, refuses the credentials, or is too old.
    """
    try:
        connection = await Servers(database_url).connect()
        try:
            refuse_older(connection.get_server_version().major)
            return await read(connection)
        finally:
            await connection.close()
    except (OSError, TimeoutError) as exc:
        raise unreachable(exc) from exc
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as exc:
        raise ConfigurationError(f"the database refused: {exc}") from exc


async def require_current(database_url: str) -> None:
    """Refuse to work on a database whose schema isn't this release's.

    Raises:
        ConfigurationError: Says which command to run.
    """
    found = await status(database_url)
    found.refuse_newer()
    if not found.is_current:
        raise ConfigurationError(
            f"the database's schema is {found.current or 'empty'}, this release needs {found.newest}: "
            "run `niyanta db upgrade`"
        )
