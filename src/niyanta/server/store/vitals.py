"""What only metrics ask of PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from niyanta.domain.limits import Tier
from niyanta.domain.workload import Key
from niyanta.server.store.queries import Connection, Queries
from niyanta.server.store.retention import AUDIT, LOGS

__all__ = ["VitalsStore"]


class _Oldest(msgspec.Struct, frozen=True, kw_only=True):
    tier: Tier
    workload_id: str


class _Ahead(msgspec.Struct, frozen=True, kw_only=True):
    parent: str
    seconds: float


class _Since(msgspec.Struct, frozen=True, kw_only=True):
    customer_id: str
    workload_id: str
    seconds: float


_queries = Queries("vitals.sql")
_oldest_waiting = _queries.many("oldest_waiting", _Oldest)
_partitions_ahead = _queries.many("partitions_ahead", _Ahead)
_since_checkpoint = _queries.many("since_checkpoint", _Since)


class VitalsStore:
    """Queries for metrics; the cost of each is bounded by customers, types and tables, not by workloads."""

    async def oldest_waiting(self, conn: Connection) -> dict[Tier, str]:
        """By tier the id of the workload that has waited longest; tiers in which none waits are missing."""
        return {oldest.tier: oldest.workload_id for oldest in await _oldest_waiting(conn)}

    async def partitions_ahead(self, conn: Connection) -> dict[str, float]:
        """By table for how many seconds from now there are partitions."""
        tables = (LOGS, AUDIT)
        found = await _partitions_ahead(conn, parents=[t.name for t in tables], units=[t.unit for t in tables])
        return {table.parent: table.seconds for table in found}

    async def since_checkpoint(self, conn: Connection, keys: Sequence[Key]) -> dict[Key, float]:
        """How many seconds ago each workload saved its last checkpoint; those without one are missing."""
        found = await _since_checkpoint(
            conn, customer_ids=[customer for customer, _ in keys], workload_ids=[workload for _, workload in keys]
        )
        return {(each.customer_id, each.workload_id): each.seconds for each in found}
