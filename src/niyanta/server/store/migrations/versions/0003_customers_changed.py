"""Replicas read the customers that have changed, not all of them."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
