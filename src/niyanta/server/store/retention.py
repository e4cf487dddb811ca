"""What time does to stored things: partitions are made before they are needed, and what is old is forgotten.

Everything here may run on two coordinators at once, and be cut off at any statement: the next round carries on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import msgspec

from niyanta.domain.ids import make_id
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.queries import Connection, Queries

__all__ = ["AUDIT", "LOGS", "SEALS", "SEALS_KEPT_LONGER", "PartitionedTable", "RetentionStore", "SweptCheckpoint"]

_LOCK_SECONDS = 0.5


class PartitionedTable(msgspec.Struct, frozen=True):
    """A table in slices of time."""

    name: str
    unit: str
    """``day`` or ``month``, in UTC."""
    ahead: timedelta
    """For how long the table can be written when nobody makes new partitions."""


LOGS = PartitionedTable("workload_logs", "day", timedelta(days=14))
AUDIT = PartitionedTable("audit_events", "month", timedelta(days=93))
SEALS = PartitionedTable("audit_seals", "month", timedelta(days=93))
SEALS_KEPT_LONGER = timedelta(days=62)
"""Than audit events; so no event loses its seal, though the two lie in partitions by different times."""


class SweptCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One checkpoint that the sweep came by."""

    customer_id: str
    workload_id: str
    sequence: int
    object_key: str | None
    is_over: bool
    """Nothing can start from it any more."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What names a checkpoint."""
        return self.customer_id, self.workload_id, self.sequence


_queries = Queries("retention.sql")
_make_partitions = _queries.sole("make_partitions", int)
_drop_expired_partition = _queries.one("drop_expired_partition", str)
_forgetful_customers = _queries.many("forgetful_customers", str)
_forget_workloads = _queries.many("forget_workloads", str)
_sweep_checkpoints = _queries.many("sweep_checkpoints", SweptCheckpoint)
_forget_checkpoints = _queries.many("forget_checkpoints", int)
_forget_keys = _queries.many("forget_keys", str)


class RetentionStore:
    """Making partitions, dropping partitions, deleting in batches."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def make_partitions(self, table: PartitionedTable) -> int:
        """Make what is missing from the unit before the present one to ``ahead``; gives how many were made.

        Raises:
            ServiceUnavailableError: A lock didn't come free at once; try again.
        """
        async with self._database.transaction(Pool.VITAL, lock_seconds=_LOCK_SECONDS) as conn:
            return await _make_partitions(conn, parent=table.name, unit=table.unit, ahead=table.ahead)

    async def drop_expired_partitions(self, table: PartitionedTable, keep: timedelta) -> list[str]:
        """Drop the partitions of which every row is older than ``keep``; gives their names.

        Each goes in a transaction of its own. Readers and writers are held up for 50 ms at the most. One replica at a
        time makes or drops: none when another is at it, as the two would lock the same tables in different order.

        Raises:
            ServiceUnavailableError: A reader or writer held the table for too long; try again.
        """
        dropped: list[str] = []
        while True:
            async with self._database.transaction(Pool.VITAL) as conn:
                partition = await _drop_expired_partition(conn, parent=table.name, unit=table.unit, keep=keep)
            if partition is None:
                return dropped
            dropped.append(partition)

    async def customers_with_old_workloads(self, keep: timedelta, now_ms: int) -> list[str]:
        """Customers that have workloads which ended longer ago than ``keep``.

        Args:
            keep: How long workloads stay after their end.
            now_ms: Unix milliseconds, about; only saves reading what is too young.
        """
        async with self._database.connection(Pool.VITAL) as conn:
            return await _forgetful_customers(conn, created_before_id=_first_id_after(keep, now_ms), keep=keep)

    async def forget_workloads(self, customer_id: str, keep: timedelta, now_ms: int, most: int) -> int:
        """Delete up to ``most`` of a customer's workloads that ended longer ago than ``keep``."""
        async with self._database.connection(Pool.VITAL) as conn:
            forgotten = await _forget_workloads(
                conn,
                customer_id=customer_id,
                created_before_id=_first_id_after(keep, now_ms),
                keep=keep,
                most=most,
            )
        return len(forgotten)

    async def sweep_checkpoints(
        self, after: tuple[str, str, int], keep: timedelta, most: int
    ) -> list[SweptCheckpoint]:
        """The next ``most`` checkpoints after a (customer, workload, sequence), in that order."""
        async with self._database.connection(Pool.VITAL) as conn:
            return await _sweep_checkpoints(
                conn, customer_id=after[0], workload_id=after[1], sequence=after[2], keep=keep, most=most
            )

    async def forget_checkpoints(self, checkpoints: Sequence[SweptCheckpoint]) -> int:
        """Delete these; gives how many were still there."""
        async with self._database.connection(Pool.VITAL) as conn:
            return await self._forget(conn, checkpoints)

    async def forget_with_object(self, checkpoint: SweptCheckpoint, delete: Callable[[], Awaitable[None]]) -> int:
        """Delete one with its object, unless it was pinned meanwhile; gives how many were still there.

        The object first: a row without its object harms nobody now, an object without its row is lost. Its row is
        locked meanwhile, so that nobody pins what is about to be gone; so ``delete`` must not take long.
        """
        async with self._database.transaction(Pool.VITAL) as conn:
            forgotten = await self._forget(conn, [checkpoint])
            if forgotten:
                await delete()
        return forgotten

    @staticmethod
    async def _forget(conn: Connection, checkpoints: Sequence[SweptCheckpoint]) -> int:
        forgotten = await _forget_checkpoints(
            conn,
            customer_ids=[c.customer_id for c in checkpoints],
            workload_ids=[c.workload_id for c in checkpoints],
            sequences=[c.sequence for c in checkpoints],
        )
        return len(forgotten)

    async def forget_keys(self, most: int) -> int:
        """Delete up to ``most`` idempotency keys that are older than a day."""
        async with self._database.connection(Pool.VITAL) as conn:
            return len(await _forget_keys(conn, most=most))


def _first_id_after(keep: timedelta, now_ms: int) -> str:
    """Smaller than every id made within ``keep``; a day is left for clocks that differ."""
    moment = now_ms - int((keep - timedelta(days=1)).total_seconds() * 1000)
    return make_id("wl_", max(0, moment), 0)
