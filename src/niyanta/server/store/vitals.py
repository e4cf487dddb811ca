"""What only metrics ask of PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from niyanta.domain.limits import Tier
from niyanta.domain.workload import Key
from niyanta.server.store.queries import Connection, Queries
from niyanta.server.store.retention import AUDIT, LOGS

__all__ = ["PartitionSpan", "VitalsStore"]


class _Oldest(msgspec.Struct, frozen=True, kw_only=True):
    tier: Tier
    workload_id: str


class PartitionSpan(msgspec.Struct, frozen=True, kw_only=True):
    """From when to when a table has partitions."""

    parent: str
    """The table's name."""
    ahead_seconds: float
    """From now to the end of the last."""
    behind_seconds: float
    """From the beginning of the first to now."""


class _Since(msgspec.Struct, frozen=True, kw_only=True):
    customer_id: str
    workload_id: str
    seconds: float


_queries = Queries("vitals.sql")
_oldest_waiting = _queries.many("oldest_waiting", _Oldest)
_partition_spans = _queries.many("partition_spans", PartitionSpan)
_since_checkpoint = _queries.many("since_checkpoint", _Since)


class VitalsStore:
    """Queries for metrics; the cost of each is bounded by customers, types and tables, not by workloads."""

    async def oldest_waiting(self, conn: Connection) -> dict[Tier, str]:
        """By tier the id of the workload that has waited longest; tiers in which none waits are missing."""
        return {oldest.tier: oldest.workload_id for oldest in await _oldest_waiting(conn)}

    async def partition_spans(self, conn: Connection) -> list[PartitionSpan]:
        """Of each table that has partitions."""
        tables = (LOGS, AUDIT)
        return await _partition_spans(conn, parents=[t.name for t in tables], units=[t.unit for t in tables])

    async def since_checkpoint(self, conn: Connection, keys: Sequence[Key]) -> dict[Key, float]:
        """How many seconds ago each workload saved its last checkpoint; those without one are missing."""
        found = await _since_checkpoint(
            conn, customer_ids=[customer for customer, _ in keys], workload_ids=[workload for _, workload in keys]
        )
        return {(each.customer_id, each.workload_id): each.seconds for each in found}
