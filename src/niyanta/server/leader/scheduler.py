"""The scheduler: fills free slots as soon as there is something to fill them with.

It runs on the leader. What it knows lives in memory and is only ever too careful: a slot is taken when an assignment
is written and given back when a release is known to be committed, so no worker and no customer gets more than its
limit. Lanes (a customer's placement classes with something ready) and releases arrive over the change feed; every few
seconds, and after any error, all of it is read anew from the database, so a lost hint costs time and nothing else.

Cost of a pass: the heads of the lanes that could be placed now, and what is assigned; the backlog doesn't matter.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from dataclasses import dataclass

import msgspec

from niyanta.domain import transitions
from niyanta.domain.fairness import Candidate, CustomerQueue, FairClock, Lane, plan
from niyanta.domain.placement import Affinity, WorkerView, eligible
from niyanta.domain.transitions import Actor
from niyanta.errors import ConnectionFailedError, ServiceUnavailableError
from niyanta.server.directory import Directory
from niyanta.server.leader.election import Election
from niyanta.server.moves.batcher import BUSY_BATCH, LINGER_SECONDS
from niyanta.server.moves.feed import ChangeFeed, describe
from niyanta.server.store.database import Database
from niyanta.server.store.lease import LeaseStore
from niyanta.server.store.queries import Connection
from niyanta.server.store.states import Change, Head, config_from_json
from niyanta.server.store.workloads import Assignable, WorkloadStore
from niyanta.wire.broker import Broker
from niyanta.wire.messages import Assign, Assignment, AttemptRef, Changed, Command
from niyanta.wire.subjects import Subjects

__all__ = ["Scheduler", "assignment_of", "push_assignments"]

log = logging.getLogger(__name__)

_RESYNC_SECONDS = 3.0
_MOST_PER_PASS = 400
_LANES_PER_PASS = 500


@dataclass(slots=True)
class _Holding:
    """A slot that an assignment has taken."""

    generation: int
    worker_id: str
    workload_type: str


class Scheduler:
    """Plans and assigns while this coordinator leads."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        subjects: Subjects,
        feed: ChangeFeed,
        directory: Directory,
        election: Election,
        coordinator_id: str,
    ) -> None:
        self._database = database
        self._broker = broker
        self._subjects = subjects
        self._feed = feed
        self._directory = directory
        self._election = election
        self._actor = Actor("coordinator", coordinator_id)
        self._store = WorkloadStore()
        self._leases = LeaseStore()
        self._clock = FairClock()
        self._wake = asyncio.Event()
        self._inbox: deque[Changed] = deque(maxlen=100_000)
        self._fleet: dict[str, WorkerView] = {}
        self._held: dict[tuple[str, str], _Holding] = {}
        self._running: Counter[str] = Counter()
        self._lanes: dict[tuple[str, int], tuple[str, Affinity] | None] = {}
        self._resync_at = 0.0
        feed.listeners.append(self._on_change)

    def _on_change(self, changed: Changed) -> None:
        if self._election.epoch is None:
            return
        self._inbox.append(changed)
        self._wake.set()

    async def run(self) -> None:
        """Schedule until cancelled."""
        while True:
            epoch = await self._election.wait_elected()
            self._resync_at = 0.0
            while self._election.epoch == epoch:
                try:
                    self._read_inbox()
                    if time.monotonic() >= self._resync_at:
                        await self._resync()
                    assigned = await self._pass(epoch)
                except (ServiceUnavailableError, ConnectionFailedError) as exc:
                    log.warning("scheduler.pass_failed", extra={"error": str(exc)})
                    self._resync_at = 0.0
                    await asyncio.sleep(0.2)
                    continue
                if assigned >= BUSY_BATCH:
                    await asyncio.sleep(LINGER_SECONDS)
                elif not assigned and not self._inbox:
                    await self._sleep()

    async def _sleep(self) -> None:
        self._wake.clear()
        if self._inbox:
            return
        try:
            async with asyncio.timeout(max(0.05, self._resync_at - time.monotonic())):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _resync(self) -> None:
        """Read the fleet, who holds what, and the lanes anew. Hints that arrive meanwhile are read after it."""
        await self._directory.refresh()
        async with self._database.connection("vital") as conn:
            held = await self._store.held(conn)
            lanes = await self._store.lanes(conn)
        self._fleet = {view.worker_id: view for view in self._directory.views()}
        self._held.clear()
        self._running.clear()
        for row in held:
            holding = _Holding(row.generation, row.worker_id, row.workload_type)
            self._hold((row.customer_id, row.workload_id), holding)
        self._lanes = {lane: self._lanes.get(lane) for lane in lanes}
        self._clock.forget_idle({lane[0] for lane in lanes})
        self._resync_at = time.monotonic() + _RESYNC_SECONDS

    def _hold(self, key: tuple[str, str], holding: _Holding) -> None:
        self._let_go(key)
        self._held[key] = holding
        self._running[key[0]] += 1
        if worker := self._fleet.get(holding.worker_id):
            worker.take(holding.workload_type)

    def _let_go(self, key: tuple[str, str]) -> None:
        holding = self._held.pop(key, None)
        if holding is None:
            return
        self._running[key[0]] -= 1
        if worker := self._fleet.get(holding.worker_id):
            worker.give_back(holding.workload_type)

    def _read_inbox(self) -> None:
        while self._inbox:
            changed = self._inbox.popleft()
            if changed.fleet or changed.customers:
                self._resync_at = 0.0
            for change in changed.changes:
                key = (change.customer_id, change.workload_id)
                if change.released_from is not None:
                    holding = self._held.get(key)
                    if holding is not None and holding.generation <= change.generation:
                        self._let_go(key)
                if change.placement_key:
                    self._lanes.setdefault((change.customer_id, change.placement_key), None)

    def _placeable_lanes(self) -> list[tuple[str, int]]:
        """Lanes worth reading: their customer may start more and some worker with a free slot could take them."""
        free = [worker for worker in self._fleet.values() if worker.free > 0]
        if not free:
            return []
        chosen: list[tuple[str, int]] = []
        for lane, what in self._lanes.items():
            customer = self._directory.known_customer(lane[0])
            if customer is None or customer.status != "active":
                continue
            if customer.max_concurrent_workloads <= self._running[lane[0]]:
                continue
            if what is not None and not eligible(free, *what):
                continue
            chosen.append(lane)
        return chosen

    async def _pass(self, epoch: int) -> int:
        """One pass: read heads, plan, write, push. Gives how many it tried to assign; 0: nothing to do."""
        lanes = self._placeable_lanes()
        if not lanes:
            return 0
        free = sum(worker.free for worker in self._fleet.values())
        lanes = lanes[:_LANES_PER_PASS]
        most = max(1, min(free, _MOST_PER_PASS // len(lanes) + 1))
        async with self._database.connection("vital") as conn:
            heads = await self._store.heads(conn, lanes, most)
            queues, by_id = self._queues(lanes, heads)
            placements = plan(queues, self._fleet.values(), self._clock)
            if not placements:
                return 0
            changes = []
            for placement in placements:
                head = by_id[placement.customer_id, placement.workload_id]
                change = Change.begin(head.locked)
                worker = placement.worker
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
                changes.append(change)
                # plan() has taken the slot in the view already; the holding takes it over.
                worker.give_back(change.state.workload_type)
            self._resync_at, resync_at = (
                0.0,
                self._resync_at,
            )  # an error from here on leaves the truth unknown
            written = await self._store.apply(conn, changes, epoch=epoch)
            if not written and changes:
                await self._notice_fence(conn, epoch)
            done = [c for c in changes if (c.state.customer_id, c.state.workload_id) in written]
            for change in done:
                state = change.state
                holding = _Holding(state.generation, state.worker_id or "", state.workload_type)
                self._hold((state.customer_id, state.workload_id), holding)
            self._resync_at = resync_at
        await push_assignments(self._broker, self._subjects, epoch, [a for a in written.values() if a is not None])
        self._feed.announce([describe(change) for change in done])
        return len(placements)

    async def _notice_fence(self, conn: Connection, epoch: int) -> None:
        """Nothing was written: step down if that is because another leads."""
        if (await self._leases.current(conn)).epoch != epoch:
            self._election.step_down()

    def _queues(
        self, lanes: list[tuple[str, int]], heads: dict[tuple[str, int], list[Head]]
    ) -> tuple[list[CustomerQueue], dict[tuple[str, str], Head]]:
        queues: dict[str, CustomerQueue] = {}
        by_id: dict[tuple[str, str], Head] = {}
        for lane in lanes:
            found = heads.get(lane)
            if not found:
                # Whoever adds to the lane from now on says so over the feed, after its commit.
                self._lanes.pop(lane, None)
                continue
            customer = self._directory.known_customer(lane[0])
            if customer is None:
                continue
            kind, affinity = found[0].locked.state.workload_type, found[0].affinity
            self._lanes[lane] = (kind, affinity)
            queue = queues.get(lane[0])
            if queue is None:
                allowance = customer.max_concurrent_workloads - self._running[lane[0]]
                queue = queues[lane[0]] = CustomerQueue(lane[0], customer.weight, allowance)
            waiting = deque(Candidate(h.locked.state.workload_id, h.rank) for h in found)
            queue.lanes.append(Lane(kind, affinity, waiting))
            for head in found:
                by_id[lane[0], head.locked.state.workload_id] = head
        return list(queues.values()), by_id


def assignment_of(row: Assignable) -> Assignment:
    """A worker's view of a scheduled workload."""
    config = config_from_json(row.config_snapshot)
    return Assignment(
        AttemptRef(row.customer_id, row.workload_id, row.generation),
        row.workload_type,
        row.input_params.encode(),
        config.config_json.encode(),
        row.checkpoint_sequence,
        row.progress_percent,
        config.checkpoint_interval_sec,
        row.timeout_seconds or config.timeout_seconds,
        config.cpu_cores,
        config.memory_mb,
        config.disk_mb,
    )


async def push_assignments(broker: Broker, subjects: Subjects, epoch: int, rows: list[Assignable]) -> None:
    """Send each worker its assignments. What is lost is pushed again by the monitor."""
    by_worker: dict[tuple[str, str], list[Assignment]] = {}
    for row in rows:
        by_worker.setdefault((row.worker_id, row.incarnation), []).append(assignment_of(row))
    for (worker_id, incarnation), assignments in by_worker.items():
        command: Command = Assign(epoch, incarnation, assignments)
        try:
            await broker.publish(subjects.worker(worker_id), msgspec.msgpack.encode(command))
        except ConnectionFailedError as exc:
            log.warning("scheduler.push_failed", extra={"worker_id": worker_id, "error": str(exc)})
