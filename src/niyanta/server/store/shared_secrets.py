"""Random keys that all replicas share, made with the schema."""

from __future__ import annotations

from niyanta.server.store.database import Database
from niyanta.server.store.queries import Queries

__all__ = ["shared_secret"]

_queries = Queries("shared_secrets.sql")
_shared_secret = _queries.sole("shared_secret", bytes)


async def shared_secret(database: Database, name: str) -> bytes:
    """One key, at least 32 bytes."""
    async with database.connection() as conn:
        return await _shared_secret(conn, name=name)
