"""Lets coordinators into an embedded database in a role that owns nothing."""

from __future__ import annotations

from niyanta.embedded.postgres import password_of, url_as
from niyanta.server.store.roles.writing import DatabaseRole, apply

__all__ = ["coordinator_url"]


async def coordinator_url(owner_url: str) -> str:
    """What coordinators use of a migrated database: makes their role, grants it what it needs, and gives its URL.

    Args:
        owner_url: Of an embedded PostgreSQL.
    """
    await apply(owner_url, {DatabaseRole.COORDINATOR: password_of(owner_url, DatabaseRole.COORDINATOR)})
    return url_as(owner_url, DatabaseRole.COORDINATOR)
