"""The leader's board of slots, queues and turns: a `Roster`, and how it is kept in step with the database.

What became ready, came free or changed arrives over the change feed. The feed may lose things, so a part of the
board is compared with the database every few seconds: some workers' slots, and a page of the lanes. After an
election, an error or an interruption all of it is read anew.

Two work on it: the scheduler's passes, and submissions that are assigned in the transaction that stores them
(`niyanta.server.leader.shortcut`). Each holds it from its decision until it knows what was written, so that neither
decides on slots that the other is about to take, and so does who reads the database.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from niyanta.domain.customers import CustomerStatus
from niyanta.domain.roster import Entitlement, Held, Roster
from niyanta.server.directory import Directory
from niyanta.server.leader.election import Election
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.workloads import HeldWorkload, ReadyLane, WorkloadStore
from niyanta.wire.broker import Broker
from niyanta.wire.changes import Changed

__all__ = ["COMPARE_SECONDS", "Board"]

COMPARE_SECONDS = 3.0
"""Between two comparisons of a part of the board with the database."""
_MOST_COMPARED = 2000
"""Lanes, and slots, that are compared with the database at a time."""
_MOST_LANES_EACH = 100
"""Of one customer, on a page of lanes that still has others to come."""
_MOST_HINTS = 100_000


class Board:
    """What the leader knows.

    Attributes:
        roster: Decides on what is known.
        woken: Is set when something new was heard.
    """

    def __init__(
        self,
        database: Database,
        broker: Broker,
        directory: Directory,
        election: Election,
        settings: CoordinatorSettings,
    ) -> None:
        self._database = database
        self._broker = broker
        self._directory = directory
        self._election = election
        self._trial_seconds = 2 * settings.worker_lease_seconds
        self._lingering_seconds = 2.5 * settings.heartbeat_interval_seconds
        self._store = WorkloadStore()
        self.woken = asyncio.Event()
        self._inbox: deque[Changed] = deque()
        self.roster = self._new_roster()
        self._knows_all = False
        self._fleet_is_stale = False
        self._interruptions = 0
        self._compare_at = 0.0
        self._next_lane = ("", 0)
        self._rest_of: deque[tuple[str, int]] = deque()
        """Customers of which a page of lanes held only some, and the last of these."""
        self._unchecked: deque[str] = deque()
        """Workers whose slots are still to be compared in this round."""
        self._is_held = self._is_awaited = False
        self._let_go = asyncio.Event()

    def _new_roster(self) -> Roster:
        return Roster(self._entitlement, self._trial_seconds)

    def _entitlement(self, customer_id: str) -> Entitlement | None:
        customer = self._directory.known_customer(customer_id)
        if customer is None or customer.status is not CustomerStatus.ACTIVE:
            return None
        return Entitlement(customer.weight, customer.max_concurrent_workloads)

    def begin(self) -> None:
        """A term begins: nothing is known, and all marks are level."""
        self.roster = self._new_roster()
        self._knows_all = False

    def hear(self, changed: Changed) -> None:
        """A hint of the feed's; it counts when `catch_up` is called."""
        if self._election.epoch is None:
            return
        if len(self._inbox) >= _MOST_HINTS:
            self._inbox.clear()
            self._knows_all = False
        self._inbox.append(changed)
        self.woken.set()

    # --- who works on it ------------------------------------------------------------------------

    @property
    def is_held(self) -> bool:
        """Whether somebody works on it, or waits for that."""
        return self._is_held or self._is_awaited

    def try_hold(self) -> bool:
        """Work on it from here to `let_go`, unless somebody else does or waits for it."""
        if self.is_held:
            return False
        self._is_held = True
        return True

    def let_go(self) -> None:
        """The work on it is done."""
        self._is_held = False
        self._let_go.set()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Work on it once it is let go; for the scheduler, as one at a time may wait."""
        self._is_awaited = True
        try:
            while self._is_held:
                self._let_go.clear()
                await self._let_go.wait()
            self._is_held = True
        finally:
            self._is_awaited = False
        try:
            yield
        finally:
            self.let_go()

    # --- what is known --------------------------------------------------------------------------

    @property
    def has_news(self) -> bool:
        """Whether something was heard that isn't in it yet."""
        return bool(self._inbox)

    @property
    def is_fresh(self) -> bool:
        """Whether all that was committed is in it, but for what the feed has lost or not told yet."""
        return self._knows_all and not self._fleet_is_stale

    @property
    def seconds_left(self) -> float:
        """Until a part of it is to be compared."""
        return self._compare_at - time.monotonic()

    def doubt(self) -> None:
        """It is open which slots are taken: read all of it anew."""
        self._knows_all = False
        self.woken.set()

    def catch_up(self) -> None:
        """Take in what was heard, and that time has passed."""
        now = time.monotonic()
        if self._interruptions != self._broker.interruptions:
            self._interruptions, self._knows_all = self._broker.interruptions, False
        self.roster.tick(now)
        while self._inbox:
            self._take_in(self._inbox.popleft(), now)

    def _take_in(self, changed: Changed, now: float) -> None:
        self._fleet_is_stale |= changed.fleet or bool(changed.customers)
        for customer_id, placement_key in changed.lanes:
            self.roster.lanes.note(customer_id, placement_key, float("-inf"))
        for worker_id, count in changed.lingering:
            self.roster.lingers(worker_id, count, now + self._lingering_seconds)
        for change in changed.changes:
            if change.released_from is not None:
                key = (change.customer_id, change.workload_id)
                self.roster.released(key, change.generation, ran=not change.unscheduled)
                if change.taken_away and (view := self.roster.fleet.get(change.released_from)):
                    # One more, until the worker has heard of it and says how many there are.
                    self.roster.lingers(view.worker_id, view.lingering + 1, now + self._lingering_seconds)
                if change.unscheduled and not change.misfit:
                    self.roster.refused(change.released_from, now)
            if change.placement_key:
                rank = float("-inf") if change.queue_rank is None else change.queue_rank
                self.roster.lanes.note(change.customer_id, change.placement_key, rank)

    async def refresh(self) -> None:
        """Read of the database what is due: all, the fleet, or the next part to be compared. Hold it meanwhile.

        Raises:
            ServiceUnavailableError: The database is away.
        """
        if not self._knows_all:
            await self._learn_all()
        elif self._fleet_is_stale:
            await self._learn_fleet()
        elif self.seconds_left <= 0:
            await self._compare()

    async def _learn_fleet(self) -> None:
        """Who is there, and what customers may have."""
        self._fleet_is_stale = False
        await self._directory.refresh()
        self.roster.learn_fleet(self._directory.views())
        self.roster.lanes.reopen_all()

    async def _learn_all(self) -> None:
        """Read everything anew. Hints that arrive meanwhile are read after it."""
        self.roster.forget_slots()
        await self._learn_fleet()
        async with self._database.connection(Pool.VITAL) as conn:
            self.roster.learn_held(_held(await self._store.held(conn)))
            place = ("", 0)
            while True:
                lanes = await self._store.lanes(conn, place, _MOST_COMPARED, _MOST_COMPARED)
                self._note_lanes(lanes)
                if len(lanes) < _MOST_COMPARED:
                    break
                place = (lanes[-1].customer_id, lanes[-1].placement_key)
        self._unchecked.clear()
        self._knows_all = True
        self._compare_at = time.monotonic() + COMPARE_SECONDS

    async def _compare(self) -> None:
        """Compare a part of the board with the database: what the feed lost is found within a few rounds."""
        self._compare_at = time.monotonic() + COMPARE_SECONDS
        self.roster.learn_fleet(self._directory.views())
        self.roster.forget_idle()
        async with self._database.connection(Pool.VITAL) as conn:
            workers = self._next_workers()
            self.roster.learn_held(_held(await self._store.held_by_workers(conn, workers)), workers)
            lanes = await self._store.lanes(conn, self._next_lane, _MOST_COMPARED, _MOST_LANES_EACH)
            self._note_lanes(lanes)
            if len(lanes) < _MOST_COMPARED:
                self._next_lane = ("", 0)
            else:
                self._next_lane = (lanes[-1].customer_id, lanes[-1].placement_key)
            self._note_cut_short(lanes)
            if self._rest_of:
                customer_id, key = self._rest_of.popleft()
                more = await self._store.lanes(conn, (customer_id, key), _MOST_COMPARED, _MOST_COMPARED)
                own = [lane for lane in more if lane.customer_id == customer_id]
                self._note_lanes(own)
                if len(own) == _MOST_COMPARED:
                    self._rest_of.append((customer_id, own[-1].placement_key))

    def _note_lanes(self, lanes: list[ReadyLane]) -> None:
        for lane in lanes:
            self.roster.lanes.note(lane.customer_id, lane.placement_key, lane.queue_rank)

    def _note_cut_short(self, lanes: list[ReadyLane]) -> None:
        """Remember which customers have more lanes than the page shows."""
        last: dict[str, tuple[int, int]] = {}
        for lane in lanes:
            last[lane.customer_id] = (last.get(lane.customer_id, (0, 0))[0] + 1, lane.placement_key)
        waiting = {customer_id for customer_id, _ in self._rest_of}
        for customer_id, (count, key) in last.items():
            if count >= _MOST_LANES_EACH and customer_id not in waiting:
                self._rest_of.append((customer_id, key))

    def _next_workers(self) -> list[str]:
        """Workers whose slots are compared now: as many as hold about `_MOST_COMPARED`."""
        fleet = self.roster.fleet
        if not self._unchecked:
            self._unchecked.extend(view.worker_id for view in fleet.views())
        chosen: list[str] = []
        slots = 0
        while self._unchecked and slots < _MOST_COMPARED:
            chosen.append(self._unchecked.popleft())
            view = fleet.get(chosen[-1])
            slots += 1 + (view.used if view else 0)
        return chosen


def _held(rows: list[HeldWorkload]) -> list[Held]:
    return [Held((r.customer_id, r.workload_id), r.generation, r.worker_id, r.workload_type) for r in rows]
