"""Keys for less than all, short-lived tokens made of keys, and where each was used last."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0007"
down_revision: str | None = "0006"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
