"""Taking away what a lost worker held."""

from __future__ import annotations

from niyanta.domain import transitions
from niyanta.domain.transitions import Actor
from niyanta.server.moves.feed import ChangeFeed, describe
from niyanta.server.store.database import Database, TransactionConflictError, retried
from niyanta.server.store.states import Change
from niyanta.server.store.workloads import WorkloadStore

__all__ = ["lose_workloads"]


async def lose_workloads(
    database: Database,
    feed: ChangeFeed,
    worker_id: str,
    incarnation: str,
    actor: Actor,
    reason: str,
    *,
    died: bool,
    fleet_is_dying: bool = False,
    epoch: int | None = None,
) -> int:
    """Redistribute all that an incarnation of a dead, stopped or removed worker holds; gives how many there were.

    Works through it in batches, each a transaction of its own; interrupted, it goes on at the next sweep.
    """
    store = WorkloadStore()

    @retried
    async def lose_some() -> list[Change]:
        async with database.transaction("vital") as conn:
            changes = []
            for locked in await store.lock_held(conn, worker_id, incarnation):
                change = Change.begin(locked)
                change.then(
                    transitions.lose_worker(
                        locked.state, locked.now, actor, reason, died=died, fleet_is_dying=fleet_is_dying
                    )
                )
                changes.append(change)
            written = await store.apply(conn, changes, epoch=epoch)
            if len(written) != len(changes):
                raise TransactionConflictError("another leader has begun")
        return changes

    total = 0
    while True:
        changes = await lose_some()
        if not changes:
            return total
        feed.announce([describe(change) for change in changes])
        total += len(changes)
