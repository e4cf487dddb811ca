"""Heartbeats: workers are counted alive, and hear what they missed. Beats that come together share their queries."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence

import msgspec

from niyanta.domain.workers import WorkerEnd, WorkerStatus, beat_answer_seconds
from niyanta.errors import ServiceUnavailableError
from niyanta.server.directory import Directory
from niyanta.server.fleet.doors import ANYBODY, Doors, MessageKind, Sender
from niyanta.server.moves.batcher import GroupCommit
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.observability.metrics import Metrics
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.database import Database, Pool, retried
from niyanta.server.store.drains import DrainStore
from niyanta.server.store.lease import LeaseStore
from niyanta.server.store.queries import Connection
from niyanta.server.store.workers import LiveWorker, WorkerStore
from niyanta.server.store.workloads import WorkloadStore
from niyanta.wire.decoding import UNREADABLE
from niyanta.wire.messages import AttemptRef, Heartbeat, HeartbeatReply
from niyanta.wire.subjects import WORKER_ID_PATTERN

__all__ = ["BeatService"]

log = logging.getLogger(__name__)

_GATHER_SECONDS = 0.1
"""Little next to a beat's time-out; a fleet of hundreds shares what a beat costs."""
_RECORD_SHARE = 0.7
"""Of the time for which a worker waits: how long a beat may take to be recorded before its worker is told to go on.
A database that hangs says nothing for minutes, and a worker that hears nothing for long stops what it runs."""


class BeatService:
    """Answers heartbeats."""

    def __init__(
        self,
        database: Database,
        feed: ChangeFeed,
        directory: Directory,
        metrics: Metrics,
        settings: CoordinatorSettings,
    ) -> None:
        self._database = database
        self._feed = feed
        self._directory = directory
        self._metrics = metrics
        self._record_seconds = _RECORD_SHARE * beat_answer_seconds(settings.worker_lease_seconds)
        self._workers = WorkerStore()
        self._drains = DrainStore()
        self._leases = LeaseStore()
        self._workloads = WorkloadStore()
        self._decode = msgspec.msgpack.Decoder(Heartbeat).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._group = GroupCommit[Heartbeat, HeartbeatReply](self._record, most=200, gather=_GATHER_SECONDS)

    async def start(self, doors: Doors) -> None:
        """Begin to answer workers."""
        await doors.open(MessageKind.HEARTBEAT, self.receive)

    async def run(self) -> None:
        """Record beats until cancelled."""
        await self._group.run()

    async def receive(self, payload: bytes, sender: Sender = ANYBODY) -> bytes:
        """Answer a `Heartbeat`."""
        try:
            beat = self._decode(payload)
        except UNREADABLE as exc:
            log.warning("beats.unreadable", extra={"worker_id": sender.worker_id, "error": str(exc)})
            return self._encode(HeartbeatReply(ok=False))
        if not sender.speaks_for(beat.worker_id, beat.incarnation):
            return self._encode(HeartbeatReply(ok=False))
        if not WORKER_ID_PATTERN.fullmatch(beat.worker_id) or "\0" in beat.incarnation:
            return self._encode(HeartbeatReply(ok=False))  # nobody has registered under such a name
        if self._group.is_full:
            return self._encode(HeartbeatReply(ok=False, hold=True))
        try:
            async with asyncio.timeout(self._record_seconds):
                return self._encode(await self._group.submit(beat))
        except (ServiceUnavailableError, TimeoutError):
            return self._encode(HeartbeatReply(ok=False, hold=True))

    @retried
    async def _record(self, beats: Sequence[Heartbeat]) -> list[HeartbeatReply | Exception]:
        latest = _latest(beats)
        async with self._database.connection(Pool.VITAL) as conn:
            keys = sorted(latest)
            live = await self._workers.beat(conn, [(*key, latest[key].draining) for key in keys])
            epoch = (await self._leases.current(conn)).epoch
            held = await self._workloads.held_by(conn, list(live)) if live else {}
            moving = await self._moving(conn, [key for key, worker in live.items() if worker.moves])
            leaving = [key for key, beat in latest.items() if beat.leaving]
            for worker_id, incarnation in leaving:
                if (worker_id, incarnation) in live:
                    await self._workers.end(conn, worker_id, WorkerEnd.STOPPED, incarnation=incarnation)
            if gone := [key for key in leaving if not latest[key].attempts]:
                await self._workers.stopped(conn, gone)
        replies: list[HeartbeatReply] = []
        for beat in beats:
            key = beat.worker_id, beat.incarnation
            reply = HeartbeatReply(ok=False)
            if (worker := live.get(key)) is not None:
                reply = _reply(beat, worker, held[key], moving.get(key, []), epoch)
            replies.append(reply)
        for key in live:
            if latest[key].ignored_commands > 0:
                self._metrics.commands_ignored(latest[key].ignored_commands)
        changes_fleet = any(beat.leaving or beat.draining for beat in latest.values())
        lingering = [
            (key[0], max(0, min(beat.lingering, len(beat.attempts))))
            for key, beat in latest.items()
            if key in live and beat.lingering is not None
        ]
        if changes_fleet or lingering:
            self._feed.announce(fleet=changes_fleet, lingering=lingering)
        return list(replies)

    async def _moving(
        self, conn: Connection, workers: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], list[AttemptRef]]:
        """By (worker, incarnation), of those that are drained by moving, what could run elsewhere."""
        found: dict[tuple[str, str], list[AttemptRef]] = {}
        for held in await self._drains.running(conn, workers) if workers else []:
            if self._directory.runs_elsewhere(
                held.customer_id, held.worker_id, held.workload_type, held.affinity_rules, held.misfits
            ):
                ref = AttemptRef(held.customer_id, held.workload_id, held.generation)
                found.setdefault((held.worker_id, held.incarnation), []).append(ref)
        return found


def _latest(beats: Sequence[Heartbeat]) -> dict[tuple[str, str], Heartbeat]:
    """By (worker, incarnation), its newest beat; its last one is that, though another came after it."""
    latest: dict[tuple[str, str], Heartbeat] = {}
    for beat in beats:
        key = beat.worker_id, beat.incarnation
        if key not in latest or not latest[key].leaving:
            latest[key] = beat
    return latest


def _reply(
    beat: Heartbeat,
    worker: LiveWorker,
    held: Mapping[tuple[str, str, int], bool],
    moving: list[AttemptRef],
    epoch: int,
) -> HeartbeatReply:
    """The answer to what this beat names, not another that came with it: it confirms what it doesn't object to."""
    named = {(a.customer_id, a.workload_id, a.generation): a for a in beat.attempts}
    return HeartbeatReply(
        ok=True,
        draining=worker.status is WorkerStatus.DRAINING,
        superseded=[attempt for ref, attempt in named.items() if ref not in held],
        epoch=epoch,
        absent=[AttemptRef(*ref) for ref, runs in held.items() if runs and ref not in named],
        moving=moving,
    )
