"""Running time used, done again and lost, by the hour."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0020"
down_revision: str | None = "0019"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
