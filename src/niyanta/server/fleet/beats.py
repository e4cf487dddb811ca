"""Heartbeats: workers are counted alive, and hear what they missed. Beats that come together share their queries."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import msgspec

from niyanta.domain.workers import WorkerEnd, WorkerStatus
from niyanta.errors import ServiceUnavailableError
from niyanta.server.directory import Directory
from niyanta.server.fleet.doors import ANYBODY, Doors, MessageKind, Sender
from niyanta.server.moves.batcher import GroupCommit
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.observability.metrics import Metrics
from niyanta.server.store.database import Database, Pool, retried
from niyanta.server.store.drains import DrainStore
from niyanta.server.store.lease import LeaseStore
from niyanta.server.store.queries import Connection
from niyanta.server.store.workers import WorkerStore
from niyanta.server.store.workloads import WorkloadStore
from niyanta.wire.decoding import UNREADABLE
from niyanta.wire.messages import AttemptRef, Heartbeat, HeartbeatReply
from niyanta.wire.subjects import WORKER_ID_PATTERN

__all__ = ["BeatService"]

log = logging.getLogger(__name__)


class BeatService:
    """Answers heartbeats."""

    def __init__(self, database: Database, feed: ChangeFeed, directory: Directory, metrics: Metrics) -> None:
        self._database = database
        self._feed = feed
        self._directory = directory
        self._metrics = metrics
        self._workers = WorkerStore()
        self._drains = DrainStore()
        self._leases = LeaseStore()
        self._workloads = WorkloadStore()
        self._decode = msgspec.msgpack.Decoder(Heartbeat).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._group = GroupCommit[Heartbeat, HeartbeatReply](self._record, most=200)

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
            return self._encode(await self._group.submit(beat))
        except ServiceUnavailableError:
            return self._encode(HeartbeatReply(ok=False, hold=True))

    @retried
    async def _record(self, beats: Sequence[Heartbeat]) -> list[HeartbeatReply | Exception]:
        latest = {(beat.worker_id, beat.incarnation): beat for beat in beats}
        replies: dict[tuple[str, str], HeartbeatReply] = {}
        async with self._database.connection(Pool.VITAL) as conn:
            keys = sorted(latest)
            live = await self._workers.beat(conn, [(*key, latest[key].draining) for key in keys])
            epoch = (await self._leases.current(conn)).epoch
            held = await self._workloads.held_by(conn, list(live)) if live else {}
            moving = await self._moving(conn, [key for key, worker in live.items() if worker.moves])
            gone = [key for key, beat in latest.items() if beat.leaving and not beat.attempts and key not in live]
            if gone:
                await self._workers.stopped(conn, gone)
            for key, beat in latest.items():
                worker = live.get(key)
                if worker is None:
                    replies[key] = HeartbeatReply(ok=False)
                    continue
                named = {(a.customer_id, a.workload_id, a.generation): a for a in beat.attempts}
                superseded = [attempt for ref, attempt in named.items() if ref not in held[key]]
                absent = [AttemptRef(*ref) for ref, runs in held[key].items() if runs and ref not in named]
                if beat.leaving:
                    await self._workers.end(conn, beat.worker_id, WorkerEnd.STOPPED, incarnation=beat.incarnation)
                replies[key] = HeartbeatReply(
                    ok=True,
                    draining=worker.status is WorkerStatus.DRAINING,
                    superseded=superseded,
                    epoch=epoch,
                    absent=absent,
                    moving=moving.get(key, []),
                )
                if beat.ignored_commands > 0:
                    self._metrics.commands_ignored(beat.ignored_commands)
        lingering = [(key[0], len(reply.superseded)) for key, reply in replies.items() if reply.superseded]
        changes_fleet = any(beat.leaving or beat.draining for beat in latest.values())
        if changes_fleet or lingering:
            self._feed.announce(fleet=changes_fleet, lingering=lingering)
        return [replies[beat.worker_id, beat.incarnation] for beat in beats]

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
