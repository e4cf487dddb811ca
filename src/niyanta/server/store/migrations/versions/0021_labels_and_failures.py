"""Labels of workloads, and what their failures have in common."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0021"
down_revision: str | None = "0020"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
