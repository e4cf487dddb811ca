"""The monitor: notices what didn't happen. It runs on the leader.

* a worker that has been silent for a whole lease is declared dead, and what it held is redistributed;
* an assignment that no worker confirmed is pushed again, then taken back;
* an attempt past its time-out is ended, should its worker not have done so;
* a back-off that has ended puts its workload into the queue.

Who is dead is judged by `niyanta.domain.vigil`: a silent worker is asked directly first, and silence counts only
while this leader could have heard. What blinds it is the loss of its own link to the broker or an error of its own
look at the database; how busy other parts of the service are doesn't. Once its link stands again, workers have time
to find the broker themselves before their silence counts.
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
from niyanta.domain.transitions import IllegalMoveError
from niyanta.domain.vigil import ASK_SHARE, Sign, Vigil
from niyanta.domain.workers import WorkerEnd, WorkerStatus
from niyanta.domain.workload import Actor, ActorType, Key, Move, Status, WorkloadState
from niyanta.errors import ConnectionFailedError, ServiceUnavailableError
from niyanta.server.leader.election import Election
from niyanta.server.moves.commands import Commands
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.moves.losses import lose_workloads
from niyanta.server.moves.mover import Mover
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.queries import Connection
from niyanta.server.store.states import Change
from niyanta.server.store.workers import StoredWorker, WorkerStore
from niyanta.server.store.workloads import Overdue, Unanswered, WorkloadStore
from niyanta.wire.broker import Broker
from niyanta.wire.changes import Changed
from niyanta.wire.messages import AttemptRef, Heartbeat

__all__ = ["Monitor"]

log = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
_FORGET_DEAD_SECONDS = 3600.0
_RETURN_SECONDS = 3.0
"""What a worker needs to be let in again after the broker was away: a try that no coordinator was there to decide,
which the broker gives up after 2 s, and the wait before the next."""
_MOST_PROMOTED = 1000
_MOST_ASKED = 200
"""Workers that are asked at the same time."""
_ANSWER_SHARE = 0.1
"""Of the lease: how long an answer may take."""


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
        self._vigil = Vigil(settings.worker_lease_seconds)
        self._interruptions = 0
        self._asking = asyncio.Semaphore(_MOST_ASKED)
        self._wake = asyncio.Event()
        feed.listeners.append(self._on_change)
        broker.on_reconnect.append(self._on_reconnect)

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

    def _on_reconnect(self) -> None:
        self._begin_observation(absence_seconds=_RETURN_SECONDS)

    def _begin_observation(self, *, absence_seconds: float = 0.0) -> None:
        self._vigil.begin(time.monotonic(), absence_seconds=absence_seconds)
        self._interruptions = self._broker.interruptions

    async def _tick(self, epoch: int) -> float:
        """One look at everything; gives the seconds until the next is due."""
        if self._interruptions != self._broker.interruptions or not self._broker.connected:
            self._begin_observation()
        async with self._database.connection(Pool.VITAL) as conn:
            due = await self._promote(conn)
            orphaned = await self._workloads.orphaned(conn)
            workers = await self._fleet(conn)
        pause = await self._watch_workers(epoch, [w for w in workers.values() if w.status is not WorkerStatus.DEAD])
        await self._redistribute_orphaned(epoch, orphaned, workers)
        await self._chase_assignments(epoch)
        await self._end_overdue(epoch)
        if any(w.status is WorkerStatus.DEAD and w.silent_seconds > _FORGET_DEAD_SECONDS for w in workers.values()):
            async with self._database.connection(Pool.VITAL) as conn:
                await self._workers.forget_dead(conn, _FORGET_DEAD_SECONDS)
        return max(0.02, min(_TICK_SECONDS, pause, due))

    async def _fleet(self, conn: Connection) -> dict[str, StoredWorker]:
        """All workers by their id.

        Always read after the workloads that it is asked about: how a worker left, and which of its types are
        exclusive, must not be older than what it holds. Else one that was removed between the two passes for dead.
        """
        return {worker.worker_id: worker for worker in await self._workers.all(conn)}

    async def _promote(self, conn: Connection) -> float:
        """Put what has waited out its back-off into the queue; gives the seconds until more is due."""
        due = await self._workloads.seconds_to_next_promotion(conn)
        if due is None:
            return _TICK_SECONDS
        if due > 0:
            return due
        lanes = await self._workloads.promote(conn, _MOST_PROMOTED)
        self._feed.announce(lanes=sorted({(lane.customer_id, lane.placement_key) for lane in lanes}))
        return 0.0 if len(lanes) == _MOST_PROMOTED else _TICK_SECONDS

    async def _watch_workers(self, epoch: int, live: list[StoredWorker]) -> float:
        """Ask silent workers, declare dead ones dead; gives the seconds until the next look is due."""
        signs = [Sign(worker.worker_id, worker.incarnation, worker.silent_seconds) for worker in live]
        judgement = self._vigil.judge(time.monotonic(), signs)
        if judgement.ask:
            await self._ask(judgement.ask)
        condemned = self._vigil.condemned(time.monotonic())
        if condemned and judgement.is_braking:
            log.error("monitor.brake", extra={"burying": len(condemned), "live": len(live)})
        self._vigil.died(time.monotonic(), condemned)
        for sign in condemned:
            await self._bury(epoch, sign)
        return judgement.wait_seconds + 0.005

    async def _ask(self, signs: Sequence[Sign]) -> None:
        """Ask silent workers directly, and record the heartbeats that they answer with."""
        beats = await asyncio.gather(*(self._ask_one(sign) for sign in signs))
        heard = [(beat.worker_id, beat.incarnation, beat.draining) for beat in beats if beat is not None]
        if heard:
            log.warning("monitor.heard_directly", extra={"workers": len(heard)})
            async with self._database.connection(Pool.VITAL) as conn:
                await self._workers.beat(conn, sorted(heard))
        for sign, beat in zip(signs, beats, strict=True):
            if beat is not None:
                self._vigil.answered(sign)
            else:
                self._vigil.unanswered(time.monotonic(), sign)

    async def _ask_one(self, sign: Sign) -> Heartbeat | None:
        seconds = self._settings.worker_lease_seconds * _ANSWER_SHARE
        async with self._asking:
            return await self._commands.speak(sign.worker_id, sign.incarnation, seconds)

    async def _bury(self, epoch: int, sign: Sign) -> None:
        async with self._database.connection(Pool.VITAL) as conn:
            ended = await self._workers.end(
                conn,
                sign.worker_id,
                WorkerEnd.LOST,
                incarnation=sign.incarnation,
                silent_for_seconds=self._settings.worker_lease_seconds,
                epoch=epoch,
            )
        if ended:
            silent = round(sign.silent_seconds, 3)
            log.warning("worker.lost", extra={"worker_id": sign.worker_id, "silent_seconds": silent})
            # The fleet first: the scheduler must not give the dead worker its workloads again.
            self._feed.announce(fleet=True)
            await self._redistribute(epoch, sign.worker_id, sign.incarnation, None)

    async def _redistribute_orphaned(
        self, epoch: int, orphaned: Sequence[tuple[str, str]], workers: dict[str, StoredWorker]
    ) -> None:
        """Take away what is held by workers that are gone, or that came back as others."""
        dead = [pair for pair in orphaned if not _left(workers.get(pair[0]), pair[1])]
        self._vigil.died(time.monotonic(), dead)
        for worker_id, incarnation in orphaned:
            await self._redistribute(epoch, worker_id, incarnation, workers.get(worker_id))

    async def _redistribute(self, epoch: int, worker_id: str, incarnation: str, worker: StoredWorker | None) -> None:
        left = _left(worker, incarnation)
        count = await lose_workloads(
            self._mover,
            worker_id,
            incarnation,
            self._actor,
            f"Worker '{worker_id}' was {left}" if left else _HEARTBEAT_TIMEOUT,
            died=not left,
            fleet_is_dying=self._vigil.is_fleet_dying(time.monotonic()),
            but_types=worker.exclusive_types if worker and self._may_still_run(worker) else (),
            epoch=epoch,
        )
        if count:
            log.info("monitor.redistributed", extra={"worker_id": worker_id, "workloads": count})

    def _may_still_run(self, worker: StoredWorker) -> bool:
        """Whether one that left hasn't said that nothing of it runs, nor been silent for so long that nothing can."""
        if worker.ended_reason not in (WorkerEnd.REMOVED, WorkerEnd.STOPPED) or worker.has_stopped:
            return False
        return worker.silent_seconds < self._settings.worker_lease_seconds

    def _hand_over_seconds(self, state: WorkloadState, workers: Mapping[str, StoredWorker]) -> float:
        """How long a workload waits for its worker to have stopped it, which hears late that it has lost it.

        It stops what is exclusive before its lease is over, whatever it hears; the rest needs no wait.
        """
        worker = workers.get(state.worker_id or "")
        if worker is None or state.workload_type not in worker.exclusive_types:
            return 0.0
        return self._settings.worker_lease_seconds

    async def _chase_assignments(self, epoch: int) -> None:
        """Push unanswered assignments again, and take those back that stay so.

        Not from a worker that may be dead, or may have died and come back since: its loss is to be counted as one. So
        it is asked first; one that says that it has the workload keeps it.
        """
        async with self._database.connection(Pool.VITAL) as conn:
            waiting = await self._workloads.unanswered(conn, self._settings.answer_seconds)
            if not waiting:
                return
            limit = self._settings.unanswered_seconds
            again = [(r.customer_id, r.workload_id) for r in waiting if r.age_seconds < limit]
            rows = await self._workloads.assignments(conn, again) if again else []
            workers = await self._fleet(conn) if len(again) < len(waiting) else {}
        if rows:
            self._commands.assign(epoch, rows)
        late = await self._not_taken([r for r in waiting if r.age_seconds >= limit], workers)
        await self._change_each(
            epoch,
            late,
            lambda change: transitions.unschedule(
                change.state,
                change.before.now,
                self._actor,
                "the worker never answered",
                wait_seconds=self._hand_over_seconds(change.state, workers),
            ),
        )

    async def _not_taken(self, late: Sequence[Unanswered], workers: dict[str, StoredWorker]) -> list[Unanswered]:
        """Of unanswered assignments those that their worker doesn't have, though it is alive."""
        lease = self._settings.worker_lease_seconds
        asked = []
        for worker_id, incarnation in sorted({(r.worker_id, r.incarnation) for r in late}):
            worker = workers.get(worker_id)
            if worker is not None and worker.incarnation == incarnation and worker.silent_seconds < lease * ASK_SHARE:
                asked.append(Sign(worker_id, incarnation, worker.silent_seconds))
        beats = await asyncio.gather(*(self._ask_one(sign) for sign in asked))
        heard = {(s.worker_id, s.incarnation): beat for s, beat in zip(asked, beats, strict=True)}

        def is_without(row: Unanswered) -> bool:
            beat = heard.get((row.worker_id, row.incarnation))
            if beat is not None:
                return AttemptRef(row.customer_id, row.workload_id, row.generation) not in beat.attempts
            # One that beats on for a whole lease is alive, though it can't be asked.
            outlived = row.age_seconds >= self._settings.unanswered_seconds + lease
            return outlived and (row.worker_id, row.incarnation) in heard

        return [row for row in late if is_without(row)]

    async def _end_overdue(self, epoch: int) -> None:
        async with self._database.connection(Pool.VITAL) as conn:
            overdue = await self._workloads.overdue(conn, self._settings.timeout_grace_seconds)
            if not overdue:
                return
            workers = await self._fleet(conn)

        def time_out(change: Change) -> Move:
            config = change.before.config
            limit = change.before.timeout_seconds or config.timeout_seconds
            failures = change.state.failure_count + 1
            backoff = backoff_seconds(failures, random.random())  # noqa: S311 -- jitter, no secret
            return transitions.fail_attempt(
                change.state,
                change.before.now,
                self._actor,
                f"timed out after {limit} s",
                permanent=False,
                timed_out=True,
                max_retries=config.max_retries,
                backoff_seconds=max(backoff, self._hand_over_seconds(change.state, workers)),
            )

        await self._change_each(epoch, overdue, time_out)
        for row in overdue:
            ref = AttemptRef(row.customer_id, row.workload_id, row.generation)
            self._commands.cancel((row.worker_id, row.incarnation), ref, "timed out")

    async def _change_each(
        self, epoch: int, rows: Sequence[Unanswered | Overdue], move: Callable[[Change], Move]
    ) -> None:
        """Move workloads that are still at the generation that was read; others are left alone."""
        if not rows:
            return
        generations = {(r.customer_id, r.workload_id): r.generation for r in rows}

        def decide(changes: Mapping[Key, Change]) -> None:
            for key, change in changes.items():
                if change.state.generation == generations[key]:
                    with contextlib.suppress(IllegalMoveError):
                        change.then(move(change))

        await self._mover.move(list(generations), decide, pool=Pool.VITAL, epoch=epoch)


_HEARTBEAT_TIMEOUT = "Worker heartbeat timeout"


def _left(worker: StoredWorker | None, incarnation: str) -> str | None:
    """How an incarnation left, when it didn't die: ``removed`` or ``stopped``."""
    if worker is None or worker.incarnation != incarnation or worker.ended_reason in (None, WorkerEnd.LOST):
        return None
    return worker.ended_reason
