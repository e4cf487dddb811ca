"""A workload remembers which versions of its handler its input doesn't fit."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
