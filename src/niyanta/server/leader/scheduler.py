"""The scheduler: fills free slots as soon as there is something to fill them with.

It runs on the leader, and does the reading and writing for the `Roster`, which decides. What is known is the
`Board`. A submission for which a slot is free doesn't wait for a pass: see `niyanta.server.leader.shortcut`.

Cost of a pass: what is assigned and a bounded number of lanes; neither backlog nor customers matter.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from niyanta.domain import transitions
from niyanta.domain.placement import WorkerView
from niyanta.domain.roster import Candidate, Found, Placement
from niyanta.domain.workload import Actor, ActorType, Key
from niyanta.errors import ConnectionFailedError, ServiceUnavailableError
from niyanta.server.leader.board import Board
from niyanta.server.leader.election import Election
from niyanta.server.moves.batcher import BUSY_BATCH, LINGER_SECONDS
from niyanta.server.moves.commands import Commands
from niyanta.server.moves.feed import ChangeFeed, describe
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.lease import LeaseStore
from niyanta.server.store.queries import Connection
from niyanta.server.store.states import Change, Head
from niyanta.server.store.workloads import WorkloadStore

__all__ = ["Scheduler"]

log = logging.getLogger(__name__)

_MOST_PER_PASS = 400
_FEWEST_PER_PASS = 16
"""How many turns a pass plans at least: each costs some microseconds, also when nothing fills it."""
_BLOCKED_PAUSE_SECONDS = 0.02


class Scheduler:
    """Plans and assigns while this coordinator leads.

    Attributes:
        on_pass: Called after each pass that found something, with the seconds that it took.
    """

    def __init__(
        self,
        database: Database,
        commands: Commands,
        feed: ChangeFeed,
        election: Election,
        board: Board,
        settings: CoordinatorSettings,
    ) -> None:
        self.on_pass: list[Callable[[float], None]] = []
        self._database = database
        self._commands = commands
        self._feed = feed
        self._election = election
        self._board = board
        self._actor = Actor(ActorType.COORDINATOR, settings.coordinator_id)
        self._store = WorkloadStore()
        self._leases = LeaseStore()
        self._most = _FEWEST_PER_PASS

    @property
    def lanes(self) -> int:
        """How many lanes of the queue it knows of; none where it doesn't lead."""
        return len(self._board.roster.lanes)

    async def run(self) -> None:
        """Schedule until cancelled."""
        while True:
            epoch = await self._election.wait_elected()
            self._board.begin()
            while self._election.epoch == epoch:
                try:
                    pause = await self._step(epoch)
                except (ServiceUnavailableError, ConnectionFailedError) as exc:
                    log.warning("scheduler.pass_failed", extra={"error": str(exc)})
                    self._board.doubt()
                    pause = 0.2
                if pause > 0:
                    await self._sleep(pause)

    async def _step(self, epoch: int) -> float:
        """Learn what is new, and do one pass; gives the seconds that the next may wait for."""
        board = self._board
        board.catch_up()
        if board.is_held and board.is_fresh and board.seconds_left > 0:
            agenda = board.roster.choose(self._most)
            if not agenda.turns:  # so it doesn't come between submissions that find free slots
                return self._pause(is_blocked=agenda.blocked > 0)
        async with board.held():
            await board.refresh()
            board.roster.tick(time.monotonic())
            began = time.monotonic()
            tried, was_blocked = await self._pass(epoch)
        if tried:
            for told in self.on_pass:
                told(time.monotonic() - began)
        if tried >= BUSY_BATCH:
            await asyncio.sleep(LINGER_SECONDS)
        if tried or board.has_news:
            return 0.0
        return self._pause(is_blocked=was_blocked)

    def _pause(self, *, is_blocked: bool) -> float:
        return _BLOCKED_PAUSE_SECONDS if is_blocked else max(0.05, self._board.seconds_left)

    async def _sleep(self, seconds: float) -> None:
        woken = self._board.woken
        woken.clear()
        if self._board.has_news:
            return
        try:
            async with asyncio.timeout(seconds):
                await woken.wait()
        except TimeoutError:
            pass

    async def _pass(self, epoch: int) -> tuple[int, bool]:
        """One pass: choose lanes, read their heads, plan, write, push.

        Gives how many assignments it tried, at least 1 when it has learned something that the next can go on with;
        and whether it found blocked lanes.
        """
        roster = self._board.roster
        agenda = roster.choose(self._most)
        if not agenda.turns:
            return 0, agenda.blocked > 0
        with_suspects = roster.may_try_suspects
        lanes = [(lane.customer_id, lane.placement_key, most) for lane, most in agenda.lanes]
        without = {
            (lane.customer_id, lane.placement_key)
            for lane, _ in agenda.lanes
            if lane.skips_suspects or not with_suspects
        }
        async with self._database.connection(Pool.VITAL) as conn:
            heads = await self._store.heads(conn, lanes, without_suspects=without)
            placements = roster.place(
                agenda, {lane: _found(found) for lane, found in heads.items()}, with_suspects=with_suspects
            )
            if not placements:
                self._most = _FEWEST_PER_PASS
                return 1, False
            by_key = {(h.locked.state.customer_id, h.locked.state.workload_id): h for f in heads.values() for h in f}
            changes = [self._assign(placement, by_key[placement.key]) for placement in placements]
            # An error here leaves open which slots are taken: `run` has all of it read anew.
            written = await self._store.apply(conn, changes, epoch=epoch)
            if not written:
                await self._notice_fence(conn, epoch)
        done = []
        for placement, change in zip(placements, changes, strict=True):
            if placement.key in written:
                roster.keep(placement, change.state.generation)
                done.append(change)
            else:
                roster.give_up(placement)
        # Nobody knows how much is ready: begin with a few turns, and look further while all of them find something.
        self._most = min(_MOST_PER_PASS, max(_FEWEST_PER_PASS, 2 * len(placements)))
        self._commands.assign(epoch, [a for a in written.values() if a is not None])
        self._feed.announce([describe(change) for change in done])
        self._feed.moved(done)
        if large := [key for key, assigned in written.items() if assigned is None]:
            await self._push_large(epoch, large)
        return len(placements), False

    async def _push_large(self, epoch: int, keys: list[Key]) -> None:
        """Read inputs that are too large to come with the assignment, a bounded part at a time, and push them.

        What fails on the way is pushed by the monitor.
        """
        left = sorted(keys)
        while left:
            async with self._database.connection(Pool.VITAL) as conn:
                found = await self._store.assignments(conn, left)
            if not found:
                return
            self._commands.assign(epoch, found)
            last = (found[-1].customer_id, found[-1].workload_id)
            left = [key for key in left if key > last]

    def _assign(self, placement: Placement, head: Head) -> Change:
        change = Change.begin(head.locked)
        worker: WorkerView = placement.worker
        change.then(
            transitions.schedule(
                change.state,
                head.locked.now,
                self._actor,
                worker.worker_id,
                worker.incarnation,
                head.checkpoint_percent,
            )
        )
        return change

    async def _notice_fence(self, conn: Connection, epoch: int) -> None:
        """Nothing was written: step down if that is because another leads."""
        if (await self._leases.current(conn)).epoch != epoch:
            self._election.step_down()


def _found(heads: list[Head]) -> Found:
    first = heads[0]
    waiting = [
        Candidate(
            head.locked.state.workload_id,
            head.rank,
            head.locked.state.death_streak >= transitions.DEATHS_BEFORE_SUSPICION,
        )
        for head in heads
    ]
    return Found(first.locked.state.workload_type, first.affinity, waiting)
