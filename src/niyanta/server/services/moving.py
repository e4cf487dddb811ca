"""Moving workloads for their customer: what is missing, or in the wrong state, is refused in the same words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from niyanta.domain.transitions import IllegalMoveError
from niyanta.domain.workload import Key, Move, Status
from niyanta.errors import InvalidStateError, NotFoundError
from niyanta.server.moves.mover import Besides, Mover
from niyanta.server.store.customers import Identity
from niyanta.server.store.states import Change
from niyanta.wire.messages import AttemptRef

__all__ = ["Verb", "attempt_of", "missing", "move_one", "wrong_state"]


class Verb(StrEnum):
    """What a customer can ask for."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    CHANGE = "change"


_NEEDS = {
    Verb.CANCEL: "one that has not ended",
    Verb.PAUSE: "one that is RUNNING",
    Verb.RESUME: "one that is PAUSED",
    Verb.CHANGE: "one that waits for a worker or is PAUSED",
}


async def move_one(
    mover: Mover,
    identity: Identity,
    workload_id: str,
    verb: Verb,
    move: Callable[[Change], Move],
    *,
    besides: Besides | None = None,
) -> Change:
    """Move one workload; gives the change, committed.

    Args:
        mover: Moves it.
        identity: Whose it must be.
        workload_id: Which.
        verb: What is asked for, for the refusal.
        move: Makes the move from the change's state.
        besides: Looks at, or writes, something else in the same transaction; what it raises undoes the move.

    Raises:
        NotFoundError: The customer has no such workload.
        InvalidStateError: The move isn't possible in its state.
        ServiceUnavailableError: The database is away or too busy.
    """
    key = (identity.customer_id, workload_id)

    def decide(changes: Mapping[Key, Change]) -> None:
        change = changes.get(key)
        if change is None:
            raise missing()
        try:
            change.then(move(change))
        except IllegalMoveError as exc:
            raise wrong_state(verb, change.state.status) from exc

    return (await mover.move([key], decide, besides=besides))[key]


def attempt_of(change: Change) -> AttemptRef:
    """The attempt that the workload was in before."""
    state = change.before.state
    return AttemptRef(state.customer_id, state.workload_id, state.generation)


def missing() -> NotFoundError:
    """For a workload that doesn't exist, or is another customer's: the two are the same."""
    return NotFoundError("There is no such workload")


def wrong_state(verb: Verb, status: Status) -> InvalidStateError:
    """For a workload that can't do what is asked for."""
    return InvalidStateError(
        f"Cannot {verb} a workload that is {status.value}; {verb} takes {_NEEDS[verb]}",
        details={"current_status": status.value},
    )
