"""Join tokens may name the only customers whose workloads their workers get."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0018"
down_revision: str | None = "0017"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
