"""Random keys that all replicas share, made with the schema."""

from __future__ import annotations

from niyanta.server.store.database import Database, Queries

__all__ = ["shared_secret"]

_queries = Queries("shared_secrets.sql")


async def shared_secret(database: Database, name: str) -> bytes:
    """One key, at least 32 bytes."""
    async with database.connection() as conn:
        row = await _queries.shared_secret(conn, name=name)
    return bytes(row["value"])
