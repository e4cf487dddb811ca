"""A removed worker's own word that it has stopped everything."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
