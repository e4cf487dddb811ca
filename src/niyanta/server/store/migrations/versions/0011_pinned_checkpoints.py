"""Checkpoints that are kept for good, and the workers that saved them."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0011"
down_revision: str | None = "0010"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
