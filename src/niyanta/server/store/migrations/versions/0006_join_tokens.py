"""Join tokens of workers, and the keys by which coordinators and the broker know each other."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
