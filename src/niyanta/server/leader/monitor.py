"""The monitor: notices what didn't happen. It runs on the leader.

* a worker that has been silent for a whole lease is declared dead, and what it held is redistributed;
* an assignment that no worker confirmed is pushed again, then taken back;
* an attempt past its time-out is ended, should its worker not have done so;
* a back-off that has ended puts its workload into the queue.

**The brake.** Silence counts only while this leader could have heard: any moment at which the broker or PostgreSQL
was away starts the observation anew, and no worker is declared dead before one whole lease of healthy observation.
When more than half of four or more workers fall silent together, they are declared dead one a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence

from niyanta.domain import transitions
from niyanta.domain.retry import backoff_seconds
from niyanta.domain.transitions import Actor, ActorType, IllegalMove, Status
from niyanta.errors import ConnectionFailedError, ServiceUnavailableError
from niyanta.server.leader.election import Election
from niyanta.server.moves.commands import Commands
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.moves.losses import lose_workloads
from niyanta.server.moves.mover import Mover
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.database import Database
from niyanta.server.store.states import Change
from niyanta.server.store.workers import StoredWorker, WorkerStore
from niyanta.server.store.workloads import Key, Overdue, Unanswered, WorkloadStore
from niyanta.wire.broker import Broker
from niyanta.wire.messages import AttemptRef, Changed

__all__ = ["Monitor"]

log = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
_FORGET_DEAD_SECONDS = 3600.0
_BRAKE_FLEET = 4


class Monitor:
    """Watches workers, assignments, time-outs and back-offs while this coordinator leads."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        commands: Commands,
        mover: Mover,
        feed: ChangeFeed,
        election: Election,
        settings: CoordinatorSettings,
    ) -> None:
        self._database = database
        self._broker = broker
        self._commands = commands
        self._mover = mover
        self._feed = feed
        self._election = election
        self._settings = settings
        self._actor = Actor(ActorType.COORDINATOR, settings.coordinator_id)
        self._workers = WorkerStore()
        self._workloads = WorkloadStore()
        self._observing_since = 0.0
        self._troubles = (0, 0)
        self._next_mass_death = 0.0
        self._wake = asyncio.Event()
        feed.listeners.append(self._on_change)

    def _on_change(self, changed: Changed) -> None:
        if changed.fleet or any(c.status == Status.REDISTRIBUTING for c in changed.changes):
            self._wake.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            epoch = await self._election.wait_elected()
            self._begin_observation()
            while self._election.epoch == epoch:
                try:
                    pause = await self._tick(epoch)
                except (ServiceUnavailableError, ConnectionFailedError) as exc:
                    log.warning("monitor.tick_failed", extra={"error": str(exc)})
                    self._begin_observation()
                    pause = _TICK_SECONDS
                self._wake.clear()
                try:
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    def _begin_observation(self) -> None:
        self._observing_since = time.monotonic()
        self._troubles = (self._broker.interruptions, self._database.failures)

    async def _tick(self, epoch: int) -> float:
        """One look at everything; gives the seconds until the next is due."""
        troubles = (self._broker.interruptions, self._database.failures)
        if troubles != self._troubles or not self._broker.connected:
            self._begin_observation()
        async with self._database.connection("vital") as conn:
            workers = await self._workers.all(conn)
            due = await self._workloads.seconds_to_next_promotion(conn)
            if due is not None and due <= 0:
                lanes = await self._workloads.promote(conn)
                self._feed.announce(lanes=sorted(lanes))
                due = None
            orphaned = await self._workloads.orphaned(conn)
        by_id = {worker.worker_id: worker for worker in workers}
        pause = await self._bury(epoch, [w for w in workers if w.status != "DEAD"])
        for worker_id, incarnation in orphaned:
            await self._redistribute(epoch, worker_id, incarnation, by_id.get(worker_id))
        await self._chase_assignments(epoch)
        await self._end_overdue(epoch)
        if any(w.status == "DEAD" and w.silent_seconds > _FORGET_DEAD_SECONDS for w in workers):
            async with self._database.connection("vital") as conn:
                await self._workers.forget_dead(conn, _FORGET_DEAD_SECONDS)
        return max(0.02, min(_TICK_SECONDS, pause, due if due is not None else _TICK_SECONDS))

    async def _bury(self, epoch: int, live: list[StoredWorker]) -> float:
        """Declare silent workers dead; gives the seconds until the next could be."""
        lease = self._settings.worker_lease_seconds
        observed = time.monotonic() - self._observing_since
        silent = [worker for worker in live if worker.silent_seconds >= lease]
        if silent and observed < lease:
            return lease - observed
        braking = len(live) >= _BRAKE_FLEET and len(silent) * 2 > len(live)
        for worker in silent:
            if braking:
                if time.monotonic() < self._next_mass_death:
                    break
                self._next_mass_death = time.monotonic() + 1.0
                log.error("monitor.brake", extra={"silent": len(silent), "live": len(live)})
            async with self._database.connection("vital") as conn:
                ended = await self._workers.end(
                    conn,
                    worker.worker_id,
                    "lost",
                    incarnation=worker.incarnation,
                    silent_for_seconds=lease,
                    epoch=epoch,
                )
            if ended:
                log.warning(
                    "worker.lost",
                    extra={"worker_id": worker.worker_id, "silent_seconds": round(worker.silent_seconds, 3)},
                )
                # The fleet first: the scheduler must not give the dead worker its workloads again.
                self._feed.announce(fleet=True)
                await self._redistribute(epoch, worker.worker_id, worker.incarnation, None)
        waits = [lease - worker.silent_seconds for worker in live if worker.silent_seconds < lease]
        return min(waits, default=_TICK_SECONDS) + 0.005

    async def _redistribute(self, epoch: int, worker_id: str, incarnation: str, worker: StoredWorker | None) -> None:
        same = worker is not None and worker.incarnation == incarnation
        stopped = same and worker is not None and worker.ended_reason in ("removed", "stopped")
        reason = f"Worker '{worker_id}' was {worker.ended_reason}" if stopped and worker else _HEARTBEAT_TIMEOUT
        count = await lose_workloads(
            self._mover, worker_id, incarnation, self._actor, reason, died=not stopped, epoch=epoch
        )
        if count:
            log.info("monitor.redistributed", extra={"worker_id": worker_id, "workloads": count})

    async def _chase_assignments(self, epoch: int) -> None:
        async with self._database.connection("vital") as conn:
            waiting = await self._workloads.unanswered(conn, self._settings.answer_seconds)
            if not waiting:
                return
            limit = self._settings.unanswered_seconds
            again = [(r.customer_id, r.workload_id) for r in waiting if r.age_seconds < limit]
            rows = await self._workloads.assignments(conn, again) if again else []
        if rows:
            self._commands.assign(epoch, rows)
        late = [r for r in waiting if r.age_seconds >= limit]
        await self._change_each(
            epoch,
            late,
            lambda change: transitions.unschedule(
                change.state, change.before.now, self._actor, "the worker never answered"
            ),
        )

    async def _end_overdue(self, epoch: int) -> None:
        async with self._database.connection("vital") as conn:
            overdue = await self._workloads.overdue(conn, self._settings.timeout_grace_seconds)
        if not overdue:
            return

        def time_out(change: Change) -> transitions.Move:
            config = change.before.config
            limit = change.before.timeout_seconds or config.timeout_seconds
            failures = change.state.failure_count + 1
            return transitions.fail_attempt(
                change.state,
                change.before.now,
                self._actor,
                f"timed out after {limit} s",
                permanent=False,
                timed_out=True,
                max_retries=config.max_retries,
                backoff_seconds=backoff_seconds(failures, random.random()),  # noqa: S311 -- jitter, no secret
            )

        await self._change_each(epoch, overdue, time_out)
        for row in overdue:
            ref = AttemptRef(row.customer_id, row.workload_id, row.generation)
            self._commands.cancel(row.worker_id, ref, "timed out")

    async def _change_each(
        self, epoch: int, rows: Sequence[Unanswered | Overdue], move: Callable[[Change], transitions.Move]
    ) -> None:
        """Move workloads that are still at the generation that was read; others are left alone."""
        if not rows:
            return
        generations = {(r.customer_id, r.workload_id): r.generation for r in rows}

        def decide(changes: Mapping[Key, Change]) -> None:
            for key, change in changes.items():
                if change.state.generation == generations[key]:
                    with contextlib.suppress(IllegalMove):
                        change.then(move(change))

        await self._mover.move(list(generations), decide, pool="vital", epoch=epoch)


_HEARTBEAT_TIMEOUT = "Worker heartbeat timeout"
