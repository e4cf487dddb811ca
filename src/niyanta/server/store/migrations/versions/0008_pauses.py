"""A workload remembers who asked for its last pause."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0008"
down_revision: str | None = "0007"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
