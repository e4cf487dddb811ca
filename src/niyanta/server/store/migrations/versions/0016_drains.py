"""Drains that move what runs, and what they found."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0016"
down_revision: str | None = "0015"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
