"""A workload remembers the span that it was submitted in."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0013"
down_revision: str | None = "0012"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
