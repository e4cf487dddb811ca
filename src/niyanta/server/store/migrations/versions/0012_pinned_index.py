"""The index that counts a customer's pinned checkpoints, made while everybody writes on."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision: str | None = "0011"


def upgrade() -> None:
    """Begin anew if an earlier try was broken off."""
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS checkpoints_pinned")
        op.execute(
            "CREATE INDEX CONCURRENTLY checkpoints_pinned ON checkpoints (customer_id, workload_id) WHERE pinned"
        )
