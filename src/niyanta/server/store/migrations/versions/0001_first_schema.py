"""The first schema."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
