"""Seals over the audit events: each event gets a number, by which what is to be sealed is found and ordered."""

from __future__ import annotations

from niyanta.server.store.migrations.running import run_sql_file

revision = "0009"
down_revision: str | None = "0008"


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql_file(__file__)
