"""The index that counts a customer's pinned checkpoints, made while everybody writes on."""

from __future__ import annotations

import asyncpg


async def upgrade(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Begin anew if an earlier try was broken off."""
    await connection.execute("DROP INDEX CONCURRENTLY IF EXISTS checkpoints_pinned")
    await connection.execute(
        "CREATE INDEX CONCURRENTLY checkpoints_pinned ON checkpoints (customer_id, workload_id) WHERE pinned"
    )
