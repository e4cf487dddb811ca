"""What workloads FAILED of, by fingerprint."""

from __future__ import annotations

from niyanta.server.store.database import Database, retried
from niyanta.server.store.failures import FailureQuery, FailureStore, StoredFailures

__all__ = ["FailureService"]


class FailureService:
    """Tells one customer of its failures."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._store = FailureStore()

    @retried
    async def list(self, query: FailureQuery) -> tuple[list[StoredFailures], bool]:
        """Those that are alike together, as many as the query's limit, and whether there are more."""
        async with self._database.connection(customer_id=query.customer_id) as conn:
            found = await self._store.list(conn, query)
        return found[: query.limit], len(found) > query.limit
