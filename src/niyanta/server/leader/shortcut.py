"""The shortest way from a submission to its worker: assigned in the transaction that stores it (ADR 0023).

It is open when this coordinator leads, its board is whole, a slot is free and the turn is the submission's, by the
same roster that a pass decides with. In all other cases a submission is stored as ever, and a pass comes to it.

The board is held from the decision until it is known what was written. What was refused or rolled back gives its
slot back; where that is open, because the link broke, all of it is read anew. What was written goes to the worker
before anybody hears of the submission. Should that get lost with this process, the monitor of the next leader finds
an assignment that nobody has answered, and sends it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from niyanta.domain import transitions
from niyanta.domain.arrivals import Arrival, place_at_once
from niyanta.domain.limits import DEFAULT_CONFIG
from niyanta.domain.roster import Placement, Roster
from niyanta.domain.workload import Actor, ActorType, Key
from niyanta.server.leader.board import Board
from niyanta.server.leader.election import Election
from niyanta.server.moves.commands import Commands
from niyanta.server.moves.feed import describe
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.database import LockNotFreeError, TransactionConflictError
from niyanta.server.store.states import Change, Locked, affinity_from_json
from niyanta.server.store.submissions import Assigning, NewWorkload, Stored
from niyanta.server.store.workloads import Assignable
from niyanta.wire.changes import WorkloadChange

__all__ = ["Shortcut", "SlotClaim"]

_MOST_AT_ONCE = 64
"""Submissions of one transaction. More are a pass's, which must not wait for the board until so many are stored."""


class Shortcut:
    """Claims slots for submissions while this coordinator leads."""

    def __init__(self, board: Board, election: Election, commands: Commands, settings: CoordinatorSettings) -> None:
        self._board = board
        self._election = election
        self._commands = commands
        self._actor = Actor(ActorType.COORDINATOR, settings.coordinator_id)

    @contextmanager
    def claim(self) -> Iterator[SlotClaim]:
        """Around a transaction that stores submissions: what it assigned is sent when the block has ended well."""
        claim = SlotClaim(self._board, self._election, self._actor)
        try:
            yield claim
        except (LockNotFreeError, TransactionConflictError):
            claim.give_up()
            raise
        except BaseException:
            claim.leave_open()
            raise
        if assigned := claim.keep():
            self._commands.assign(claim.epoch, assigned)


class SlotClaim:
    """The slots that one transaction fills.

    Attributes:
        epoch: The leader's.
    """

    def __init__(self, board: Board, election: Election, actor: Actor) -> None:
        self._board = board
        self._election = election
        self._actor = actor
        self._roster: Roster | None = None
        self._placements: dict[Key, Placement] = {}
        self._changes: dict[Key, Change] = {}
        self._written: list[Assignable] = []
        self.epoch = 0

    def plan(self, new: Sequence[NewWorkload]) -> Assigning | None:
        """Which of these to assign as they are stored; None for none. Once for each claim."""
        epoch, board = self._election.epoch, self._board
        if epoch is None or not 0 < len(new) <= _MOST_AT_ONCE or not board.try_hold():
            return None
        board.catch_up()
        if board.is_fresh:
            arrivals = [_arrival(workload) for workload in new]
            placements = place_at_once(board.roster, arrivals, _MOST_AT_ONCE)
            self._placements = {placement.key: placement for placement in placements}
        if not self._placements:
            board.let_go()
            return None
        self.epoch, self._roster = epoch, board.roster
        for workload in new:
            if workload.key in self._placements:
                self._changes[workload.key] = self._assign(workload, self._placements[workload.key])
        return Assigning(epoch, self._changes)

    def _assign(self, new: NewWorkload, placement: Placement) -> Change:
        before = Locked(new.created.state, new.created_at, DEFAULT_CONFIG, new.timeout_seconds, new.traceparent)
        change, worker = Change.begin(before), placement.worker
        # The time of the move is set by the statement, as the database's is only known there.
        change.then(
            transitions.schedule(
                change.state, new.created_at, self._actor, worker.worker_id, worker.incarnation, progress_percent=0
            )
        )
        return change

    def settle(self, new: Sequence[NewWorkload], stored: Stored) -> None:
        """The statement has told what it assigned, and when."""
        if stored.is_fenced:
            self._election.step_down()
        for workload in new:
            if workload.key in stored.assigned:
                change = self._changes[workload.key]
                change.state = change.state.but(scheduled_at=stored.now)
                self._written.append(_assignable(workload, change, stored.assigned[workload.key]))

    def changes(self) -> dict[Key, WorkloadChange]:
        """What was assigned, for the feed."""
        keys = [(workload.customer_id, workload.workload_id) for workload in self._written]
        return {key: describe(self._changes[key]) for key in keys}

    def moves(self) -> list[Change]:
        """What was assigned."""
        return [self._changes[workload.customer_id, workload.workload_id] for workload in self._written]

    def keep(self) -> list[Assignable]:
        """All is committed: what was assigned holds its slot, and is given for its worker; the rest gives it back."""
        if self._roster is not None:
            for workload in self._written:
                placement = self._placements.pop((workload.customer_id, workload.workload_id))
                self._roster.keep(placement, workload.generation)
        self.give_up()
        return self._written

    def give_up(self) -> None:
        """Give all slots back that are not kept, and let others work on the board."""
        if self._roster is None:
            return
        for placement in self._placements.values():
            self._roster.give_up(placement)
        if self._placements:
            self._board.woken.set()
        self._let_go()

    def leave_open(self) -> None:
        """Whether the claim was written isn't known."""
        if self._roster is not None:
            self._board.doubt()
            self._let_go()

    def _let_go(self) -> None:
        self._roster = None
        self._board.let_go()


def _arrival(new: NewWorkload) -> Arrival:
    affinity = affinity_from_json(new.affinity_json, new.misfits)
    return Arrival(*new.key, new.workload_type, new.placement_key, affinity, new.queue_rank)


def _assignable(new: NewWorkload, change: Change, config_snapshot: str | None) -> Assignable:
    state = change.state
    return Assignable(
        customer_id=new.customer_id,
        workload_id=new.workload_id,
        generation=state.generation,
        workload_type=new.workload_type,
        input_params=new.input_json,
        config_snapshot=config_snapshot,
        checkpoint_sequence=state.checkpoint_sequence,
        progress_percent=state.progress_percent,
        timeout_seconds=new.timeout_seconds,
        worker_id=state.worker_id or "",
        incarnation=state.incarnation or "",
        traceparent=new.traceparent,
    )
