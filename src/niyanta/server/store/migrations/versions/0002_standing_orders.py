"""An operator's drain or removal of a worker is kept for its id."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
