"""What drained workers had, in PostgreSQL: noted when they are drained, told from the workloads' histories."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from niyanta.domain.draining import ENDINGS
from niyanta.domain.workload import EventType, Status
from niyanta.server.store.queries import Connection, Queries

__all__ = ["DrainStore", "DrainedAttempt", "RunningAttempt"]


class RunningAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """What runs on a worker that is drained by moving."""

    worker_id: str
    incarnation: str
    customer_id: str
    workload_id: str
    generation: int
    workload_type: str
    affinity_rules: str | None
    """JSON."""
    misfits: str | None
    """Forms of input that its own doesn't fit, with spaces between."""


class DrainedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that a drain has found, and what has become of it."""

    customer_id: str
    workload_id: str
    generation: int
    workload_type: str
    status: Status
    """The workload's, now."""
    affinity_rules: str | None
    """JSON."""
    misfits: str | None
    """Forms of input that its own doesn't fit, with spaces between."""
    is_held: bool
    """The worker has it still."""
    has_saved: bool
    """A checkpoint, in this attempt."""
    checkpoint_sequence: int
    """The newest at the attempt's end, or now; 0 for none."""
    ended_by: EventType | None
    reason: str | None
    """Of its end."""
    unsaved_seconds: float
    """From its last checkpoint, or its start, to its end."""
    moved_to: str | None
    """The worker that the next attempt was given to."""


_queries = Queries("drains.sql")
_running = _queries.many("running", RunningAttempt)
_found = _queries.many("found", DrainedAttempt)


class DrainStore:
    """Queries on what drains find. A drain and its end are the worker's (`niyanta.server.store.workers`)."""

    async def running(self, conn: Connection, workers: Collection[tuple[str, str]]) -> list[RunningAttempt]:
        """What runs on these (worker, incarnation) pairs, which move it; all that they hold is noted."""
        return await _running(
            conn, worker_ids=[pair[0] for pair in workers], incarnations=[pair[1] for pair in workers]
        )

    async def found(self, conn: Connection, worker_id: str) -> list[DrainedAttempt]:
        """What the standing drain of a worker has found, by customer and id."""
        return await _found(conn, worker_id=worker_id, endings=list(ENDINGS))
