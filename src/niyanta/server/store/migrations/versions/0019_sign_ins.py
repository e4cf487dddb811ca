"""Who came in by JSON Web Tokens, so that operators can see them and send them away."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0019"
down_revision: str | None = "0018"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
