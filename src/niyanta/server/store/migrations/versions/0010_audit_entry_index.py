"""The index by which the sealer finds what isn't sealed yet, made while everybody writes on."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0010"
down_revision: str | None = "0009"

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


def upgrade() -> None:
    """Partition by partition, as a partitioned table's own can't be made beside writers; begun again it goes on."""
    with op.get_context().autocommit_block():
        op.execute(_PARENT)
        for partition in op.get_bind().scalars(text(_UNINDEXED)).all():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {partition}_by_entry")
            op.execute(
                f"CREATE INDEX CONCURRENTLY {partition}_by_entry ON {partition} (entry_number)"
                " WHERE entry_number IS NOT NULL"
            )
            op.execute(f"ALTER INDEX audit_events_by_entry ATTACH PARTITION {partition}_by_entry")
