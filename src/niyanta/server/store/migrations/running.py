"""How a revision runs its SQL file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import op

__all__ = ["run_sql_file"]


def run_sql_file(revision_file: str) -> None:
    """Run the ``.sql`` file beside a revision, as one script in the migration's transaction."""
    script = Path(revision_file).with_suffix(".sql").read_text(encoding="utf-8")
    connection: Any = op.get_bind().connection.dbapi_connection
    # The revision's file holds many statements; asyncpg runs such a script only without a prepared statement.
    connection.run_async(lambda raw: raw.execute(script))
