"""Taking away what a lost worker held."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from niyanta.domain import transitions
from niyanta.domain.workload import Actor, Key
from niyanta.server.moves.mover import Mover
from niyanta.server.store.states import Change

__all__ = ["lose_workloads"]


async def lose_workloads(  # noqa: PLR0913 -- who was lost, how, and on whose word
    mover: Mover,
    worker_id: str,
    incarnation: str,
    actor: Actor,
    reason: str,
    *,
    died: bool,
    fleet_is_dying: bool = False,
    but_types: Collection[str] = (),
    epoch: int | None = None,
) -> int:
    """Redistribute all that an incarnation of a dead, stopped or removed worker holds; gives how many there were.

    Works through it in batches, each a transaction of its own; interrupted, it goes on at the next sweep. What is of
    ``but_types`` stays: the exclusive ones of a worker that may not have stopped them yet.

    Raises:
        LeaderFencedError: The epoch is no longer the newest.
        ServiceUnavailableError: The database is away.
    """

    def lose(changes: Mapping[Key, Change]) -> None:
        for change in changes.values():
            state, now = change.state, change.before.now
            change.then(transitions.lose_worker(state, now, actor, reason, died=died, fleet_is_dying=fleet_is_dying))

    total = 0
    while count := await mover.move_held(worker_id, incarnation, lose, but_types=but_types, epoch=epoch):
        total += count
    return total
