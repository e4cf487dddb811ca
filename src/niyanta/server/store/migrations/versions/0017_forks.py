"""What workloads are forks of."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0017"
down_revision: str | None = "0016"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
