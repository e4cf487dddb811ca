"""Makes the roles, and grants them what they need: as SQL for somebody else to run, or done here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import asyncpg

from niyanta.errors import ConfigurationError
from niyanta.server.store.servers import Servers

__all__ = ["DatabaseRole", "apply", "renew", "script"]

_FOLDER = Path(__file__).parent
_ROUNDS = 4096
"""Of SCRAM; what PostgreSQL itself takes."""


class DatabaseRole(StrEnum):
    """What somebody logs in as, besides the owner of the schema."""

    COORDINATOR = "niyanta_coordinator"
    REPORTING = "niyanta_reporting"


def script() -> str:
    """The SQL that makes the roles and grants them what they need; for psql, run as the owner of the schema."""
    return f"{_read('roles')}\n{_read('grants')}"


async def apply(database_url: str, passwords: Mapping[DatabaseRole, str]) -> bool:
    """Make the roles, let those log in for which there is a password, and grant what they need. Idempotent.

    Args:
        database_url: In the role that owns the schema, and that may create roles.
        passwords: PostgreSQL and its log get a digest of each only.

    Returns:
        Whether anything could be granted: nothing can before the first migration.

    Raises:
        ConfigurationError: The database refuses, or can't be reached.
    """
    conn = await _connect(database_url)
    try:
        await conn.execute(_read("roles"))
        for role, password in passwords.items():
            statement = await conn.fetchval(
                "SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)", role, _scram(password)
            )
            await conn.execute(statement)
        return await _grant(conn)
    except asyncpg.PostgresError as exc:
        raise ConfigurationError(
            f"the database refused: {exc}. Roles are made by who may create roles, and granted what they need by the "
            "owner of the schema"
        ) from exc
    finally:
        await conn.close()


async def renew(database_url: str) -> bool:
    """Grant the roles what they need of the schema as it is now; False where there are none.

    Args:
        database_url: In the role that owns the schema.

    Raises:
        ConfigurationError: The database refuses, or can't be reached.
    """
    conn = await _connect(database_url)
    try:
        return bool(
            await conn.fetchval("SELECT to_regrole($1) IS NOT NULL", DatabaseRole.COORDINATOR)
        ) and await _grant(conn)
    except asyncpg.PostgresError as exc:
        raise ConfigurationError(f"the database refused to grant roles what they need: {exc}") from exc
    finally:
        await conn.close()


async def _grant(conn: asyncpg.Connection[asyncpg.Record]) -> bool:
    if not await conn.fetchval("SELECT to_regproc('drop_expired_partition') IS NOT NULL"):
        return False
    await conn.execute(_read("grants"))
    return True


async def _connect(database_url: str) -> asyncpg.Connection[asyncpg.Record]:
    try:
        return await Servers(database_url).connect()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as exc:
        raise ConfigurationError(f"cannot reach the database: {exc}") from exc


def _read(name: str) -> str:
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")


def _scram(password: str) -> str:
    """What PostgreSQL keeps of a password (RFC 5803), made here so that the password itself goes nowhere.

    Raises:
        ConfigurationError: It is empty, or has characters whose form would have to be agreed upon (RFC 4013).
    """
    if not password or not (password.isascii() and password.isprintable()):
        raise ConfigurationError("a password must be one or more printable ASCII characters")
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    shown = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(_ROUNDS, *shown)
