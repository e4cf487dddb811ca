"""The scheduler: fills free slots as soon as there is something to fill them with.

It runs on the leader, and does the reading and writing for the `Roster`, which decides. What became ready, came free
or changed arrives over the change feed. The feed may lose things, so a part of the picture is compared with the
database every few seconds: some workers' slots, and a page of the lanes. After an election, an error or an
interruption all of it is read anew.

Cost of a pass: what is assigned and a bounded number of lanes; neither backlog nor customers matter.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from niyanta.domain import transitions
from niyanta.domain.customers import CustomerStatus
from niyanta.domain.placement import WorkerView
from niyanta.domain.roster import Candidate, Entitlement, Found, Held, Placement, Roster
from niyanta.domain.workload import Actor, ActorType, Key
from niyanta.errors import ConnectionFailedError, ServiceUnavailableError
from niyanta.server.directory import Directory
from niyanta.server.leader.election import Election
from niyanta.server.moves.batcher import BUSY_BATCH, LINGER_SECONDS
from niyanta.server.moves.commands import Commands
from niyanta.server.moves.feed import ChangeFeed, describe
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.lease import LeaseStore
from niyanta.server.store.queries import Connection
from niyanta.server.store.states import Change, Head
from niyanta.server.store.workloads import HeldWorkload, ReadyLane, WorkloadStore
from niyanta.wire.broker import Broker
from niyanta.wire.changes import Changed

__all__ = ["Scheduler"]

log = logging.getLogger(__name__)

_COMPARE_SECONDS = 3.0
_MOST_PER_PASS = 400
_FEWEST_PER_PASS = 16
"""How many turns a pass plans at least: each costs some microseconds, also when nothing fills it."""
_MOST_COMPARED = 2000
"""Lanes, and slots, that are compared with the database at a time."""
_MOST_LANES_EACH = 100
"""Of one customer, on a page of lanes that still has others to come."""
_BLOCKED_PAUSE_SECONDS = 0.02
_MOST_HINTS = 100_000


class Scheduler:
    """Plans and assigns while this coordinator leads.

    Attributes:
        on_pass: Called after each pass that found something, with the seconds that it took.
    """

    def __init__(
        self,
        database: Database,
        broker: Broker,
        commands: Commands,
        feed: ChangeFeed,
        directory: Directory,
        election: Election,
        settings: CoordinatorSettings,
    ) -> None:
        self.on_pass: list[Callable[[float], None]] = []
        self._database = database
        self._broker = broker
        self._commands = commands
        self._feed = feed
        self._directory = directory
        self._election = election
        self._actor = Actor(ActorType.COORDINATOR, settings.coordinator_id)
        self._trial_seconds = 2 * settings.worker_lease_seconds
        self._lingering_seconds = 2.5 * settings.heartbeat_interval_seconds
        self._store = WorkloadStore()
        self._leases = LeaseStore()
        self._wake = asyncio.Event()
        self._most = _FEWEST_PER_PASS
        self._inbox: deque[Changed] = deque()
        self._roster = self._new_roster()
        self._knows_all = False
        self._fleet_is_stale = False
        self._interruptions = 0
        self._compare_at = 0.0
        self._next_lane = ("", 0)
        self._rest_of: deque[tuple[str, int]] = deque()
        """Customers of which a page of lanes held only some, and the last of these."""
        self._unchecked: deque[str] = deque()
        """Workers whose slots are still to be compared in this round."""
        feed.listeners.append(self._on_change)

    @property
    def lanes(self) -> int:
        """How many lanes of the queue it knows of; none where it doesn't lead."""
        return len(self._roster.lanes)

    def _new_roster(self) -> Roster:
        return Roster(self._entitlement, self._trial_seconds)

    def _entitlement(self, customer_id: str) -> Entitlement | None:
        customer = self._directory.known_customer(customer_id)
        if customer is None or customer.status is not CustomerStatus.ACTIVE:
            return None
        return Entitlement(customer.weight, customer.max_concurrent_workloads)

    def _on_change(self, changed: Changed) -> None:
        if self._election.epoch is None:
            return
        if len(self._inbox) >= _MOST_HINTS:
            self._inbox.clear()
            self._knows_all = False
        self._inbox.append(changed)
        self._wake.set()

    async def run(self) -> None:
        """Schedule until cancelled."""
        while True:
            epoch = await self._election.wait_elected()
            self._roster = self._new_roster()
            self._knows_all = False
            while self._election.epoch == epoch:
                try:
                    pause = await self._step(epoch)
                except (ServiceUnavailableError, ConnectionFailedError) as exc:
                    log.warning("scheduler.pass_failed", extra={"error": str(exc)})
                    self._knows_all = False
                    pause = 0.2
                if pause > 0:
                    await self._sleep(pause)

    async def _step(self, epoch: int) -> float:
        """Learn what is new, and do one pass; gives the seconds that the next may wait for."""
        now = time.monotonic()
        if self._interruptions != self._broker.interruptions:
            self._interruptions, self._knows_all = self._broker.interruptions, False
        self._read_inbox(now)
        if not self._knows_all:
            await self._learn_all()
        elif self._fleet_is_stale:
            await self._learn_fleet()
        elif now >= self._compare_at:
            await self._compare()
        self._roster.tick(time.monotonic())
        began = time.monotonic()
        tried, was_blocked = await self._pass(epoch)
        if tried:
            for told in self.on_pass:
                told(time.monotonic() - began)
        if tried >= BUSY_BATCH:
            await asyncio.sleep(LINGER_SECONDS)
        if tried or self._inbox:
            return 0.0
        if was_blocked:
            return _BLOCKED_PAUSE_SECONDS
        return max(0.05, self._compare_at - time.monotonic())

    async def _sleep(self, seconds: float) -> None:
        self._wake.clear()
        if self._inbox:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    # --- what is known --------------------------------------------------------------------------

    def _read_inbox(self, now: float) -> None:
        self._roster.tick(now)
        while self._inbox:
            changed = self._inbox.popleft()
            self._fleet_is_stale |= changed.fleet or bool(changed.customers)
            for customer_id, placement_key in changed.lanes:
                self._roster.lanes.note(customer_id, placement_key, float("-inf"))
            for worker_id, count in changed.lingering:
                self._roster.lingers(worker_id, count, now + self._lingering_seconds)
            for change in changed.changes:
                if change.released_from is not None:
                    key = (change.customer_id, change.workload_id)
                    self._roster.released(key, change.generation, ran=not change.unscheduled)
                    if change.unscheduled and not change.misfit:
                        self._roster.refused(change.released_from, now)
                if change.placement_key:
                    rank = float("-inf") if change.queue_rank is None else change.queue_rank
                    self._roster.lanes.note(change.customer_id, change.placement_key, rank)

    async def _learn_fleet(self) -> None:
        """Who is there, and what customers may have."""
        self._fleet_is_stale = False
        await self._directory.refresh()
        self._roster.learn_fleet(self._directory.views())
        self._roster.lanes.reopen_all()

    async def _learn_all(self) -> None:
        """Read everything anew. Hints that arrive meanwhile are read after it."""
        self._roster.forget_slots()
        await self._learn_fleet()
        async with self._database.connection(Pool.VITAL) as conn:
            self._roster.learn_held(_held(await self._store.held(conn)))
            place = ("", 0)
            while True:
                lanes = await self._store.lanes(conn, place, _MOST_COMPARED, _MOST_COMPARED)
                self._note_lanes(lanes)
                if len(lanes) < _MOST_COMPARED:
                    break
                place = (lanes[-1].customer_id, lanes[-1].placement_key)
        self._unchecked.clear()
        self._knows_all = True
        self._compare_at = time.monotonic() + _COMPARE_SECONDS

    async def _compare(self) -> None:
        """Compare a part of the picture with the database: what the feed lost is found within a few rounds."""
        self._compare_at = time.monotonic() + _COMPARE_SECONDS
        self._roster.learn_fleet(self._directory.views())
        self._roster.forget_idle()
        async with self._database.connection(Pool.VITAL) as conn:
            workers = self._next_workers()
            self._roster.learn_held(_held(await self._store.held_by_workers(conn, workers)), workers)
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
            self._roster.lanes.note(lane.customer_id, lane.placement_key, lane.queue_rank)

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
        fleet = self._roster.fleet
        if not self._unchecked:
            self._unchecked.extend(view.worker_id for view in fleet.views())
        chosen: list[str] = []
        slots = 0
        while self._unchecked and slots < _MOST_COMPARED:
            chosen.append(self._unchecked.popleft())
            view = fleet.get(chosen[-1])
            slots += 1 + (view.used if view else 0)
        return chosen

    # --- a pass ---------------------------------------------------------------------------------

    async def _pass(self, epoch: int) -> tuple[int, bool]:
        """One pass: choose lanes, read their heads, plan, write, push.

        Gives how many assignments it tried, at least 1 when it has learned something that the next can go on with;
        and whether it found blocked lanes.
        """
        agenda = self._roster.choose(self._most)
        if not agenda.turns:
            return 0, agenda.blocked > 0
        with_suspects = self._roster.may_try_suspects
        lanes = [(lane.customer_id, lane.placement_key, most) for lane, most in agenda.lanes]
        async with self._database.connection(Pool.VITAL) as conn:
            heads = await self._store.heads(conn, lanes, with_suspects=with_suspects)
            placements = self._roster.place(
                agenda, {lane: _found(found) for lane, found in heads.items()}, with_suspects=with_suspects
            )
            if not placements:
                self._most = _FEWEST_PER_PASS
                return 1, False
            by_key = {(h.locked.state.customer_id, h.locked.state.workload_id): h for f in heads.values() for h in f}
            changes = [self._assign(placement, by_key[placement.key]) for placement in placements]
            # An error from here on leaves open which slots are taken.
            self._knows_all = False
            written = await self._store.apply(conn, changes, epoch=epoch)
            if not written:
                await self._notice_fence(conn, epoch)
            self._knows_all = True
        done = []
        for placement, change in zip(placements, changes, strict=True):
            if placement.key in written:
                self._roster.keep(placement, change.state.generation)
                done.append(change)
            else:
                self._roster.give_up(placement)
        # Nobody knows how much is ready: begin with a few turns, and look further while all of them find something.
        self._most = min(_MOST_PER_PASS, max(_FEWEST_PER_PASS, 2 * len(placements)))
        self._commands.assign(epoch, [a for a in written.values() if a is not None])
        self._feed.announce([describe(change) for change in done])
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


def _held(rows: list[HeldWorkload]) -> list[Held]:
    return [Held((r.customer_id, r.workload_id), r.generation, r.worker_id, r.workload_type) for r in rows]


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
