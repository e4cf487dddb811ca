"""Partitions by functions of the owner's, and views for reports, so that coordinators need not own the schema."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0015"
down_revision: str | None = "0014"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
