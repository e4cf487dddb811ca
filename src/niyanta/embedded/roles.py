"""Gives a database its schema, and lets coordinators into an embedded one in a role that owns nothing."""

from __future__ import annotations

from niyanta.embedded.postgres import password_of, url_as
from niyanta.server.store import schema
from niyanta.server.store.roles.writing import DatabaseRole, apply

__all__ = ["bring_up_to_date", "coordinator_url"]


async def bring_up_to_date(owner_url: str) -> None:
    """Migrate a database that isn't at this release's schema."""
    if not (await schema.status(owner_url)).is_current:
        from niyanta.server.store import migrate  # Alembic takes a while to load, which most starts can spare

        await migrate.upgrade(owner_url)


async def coordinator_url(owner_url: str) -> str:
    """What coordinators use of a migrated database: makes their role, grants it what it needs, and gives its URL.

    Args:
        owner_url: Of an embedded PostgreSQL.
    """
    await apply(owner_url, {DatabaseRole.COORDINATOR: password_of(owner_url, DatabaseRole.COORDINATOR)})
    return url_as(owner_url, DatabaseRole.COORDINATOR)
