"""The index by which the sealer finds what isn't sealed yet, made while everybody writes on."""

from __future__ import annotations

import asyncpg

_PARENT = """
CREATE INDEX IF NOT EXISTS audit_events_by_entry ON ONLY audit_events (entry_number)
 WHERE entry_number IS NOT NULL
"""
_UNINDEXED = """
SELECT p.inhrelid::regclass::text AS partition FROM pg_inherits p
 WHERE p.inhparent = 'audit_events'::regclass
   AND NOT EXISTS (SELECT FROM pg_index i JOIN pg_inherits h ON h.inhrelid = i.indexrelid
                    WHERE i.indrelid = p.inhrelid AND h.inhparent = 'audit_events_by_entry'::regclass)
"""


async def upgrade(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Partition by partition, as a partitioned table's own can't be made beside writers; begun again it goes on."""
    await connection.execute(_PARENT)
    for (partition,) in await connection.fetch(_UNINDEXED):
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {partition}_by_entry")
        await connection.execute(
            f"CREATE INDEX CONCURRENTLY {partition}_by_entry ON {partition} (entry_number)"
            " WHERE entry_number IS NOT NULL"
        )
        await connection.execute(f"ALTER INDEX audit_events_by_entry ATTACH PARTITION {partition}_by_entry")
