"""What workloads come from: replays and forks in PostgreSQL, and the workloads that they repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from niyanta.domain.workload import Key
from niyanta.server.store.queries import Connection, Queries

__all__ = ["CheckpointKey", "Origin", "OriginStore", "Replayable"]


class Origin(msgspec.Struct, frozen=True):
    """What a workload is a replay or a fork of."""

    workload_id: str
    """A workload of the same customer."""
    from_checkpoint: int | None = None
    """The sequence of that one's checkpoint at which it begins; None: at the start."""
    is_fork: bool = False

    @property
    def lineage(self) -> dict[str, Any]:
        """What it comes from, under the name that the API has for it."""
        return {"forked_from" if self.is_fork else "replayed_from": self.workload_id}

    @property
    def facts(self) -> dict[str, Any]:
        """As the first audit event tells it."""
        found = self.lineage
        if self.from_checkpoint is not None:
            found["from_checkpoint"] = self.from_checkpoint
        return found


class CheckpointKey(NamedTuple):
    """Names a checkpoint."""

    customer_id: str
    workload_id: str
    sequence: int


class Replayable(msgspec.Struct, frozen=True, kw_only=True):
    """What is submitted again of a workload."""

    workload_id: str
    workload_type: str
    priority: int
    input_params: str
    """JSON."""
    affinity_rules: str | None
    """JSON."""
    timeout_seconds: int | None
    labels: str | None
    """JSON object; None without any."""


class _Lineage(NamedTuple):
    workload_id: str
    replayed_from: str


_queries = Queries("origins.sql")
_add_origins = _queries.many("add_origins", str)
_hold_checkpoints = _queries.many("hold_checkpoints", CheckpointKey)
_origins = _queries.many("origins", _Lineage)
_replayable = _queries.many("replayable", Replayable)
_copyable = _queries.many("copyable", int)


class OriginStore:
    """Queries on what workloads come from. Every method takes the connection."""

    async def add(self, conn: Connection, origins: Sequence[tuple[Key, Origin]]) -> None:
        """Keep what new workloads come from, in the transaction that stores them, and copy their checkpoints."""
        await _add_origins(
            conn,
            customer_ids=[key[0] for key, _ in origins],
            workload_ids=[key[1] for key, _ in origins],
            originals=[origin.workload_id for _, origin in origins],
            are_forks=[origin.is_fork for _, origin in origins],
            from_checkpoints=[origin.from_checkpoint for _, origin in origins],
        )

    async def hold(self, conn: Connection, wanted: Sequence[CheckpointKey]) -> set[CheckpointKey]:
        """Which of these checkpoints are there to be copied; nobody drops them until the transaction ends."""
        return set(
            await _hold_checkpoints(
                conn,
                customer_ids=[key.customer_id for key in wanted],
                workload_ids=[key.workload_id for key in wanted],
                sequences=[key.sequence for key in wanted],
            )
        )

    async def of(self, conn: Connection, customer_id: str, workload_ids: Sequence[str]) -> dict[str, str]:
        """By the ids of those among these that are replays, what of."""
        return dict(await _origins(conn, customer_id=customer_id, workload_ids=list(workload_ids)))

    async def replayable(
        self, conn: Connection, customer_id: str, workload_ids: Sequence[str], most_bytes: int
    ) -> list[Replayable]:
        """What is submitted again of these, in order of id, with so many bytes in all; at least the first."""
        return await _replayable(
            conn, customer_id=customer_id, workload_ids=list(workload_ids), most_bytes=most_bytes
        )

    async def copyable(self, conn: Connection, customer_id: str, workload_id: str) -> list[int]:
        """Sequences of the checkpoints that a replay or fork can begin at, the newest first."""
        return await _copyable(conn, customer_id=customer_id, workload_id=workload_id)
