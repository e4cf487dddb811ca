"""Events from workers: applied in order, once, and acknowledged after the commit.

Batches that arrive together share a transaction. What is wrong with one event, or one customer, stays with it: an
event that can't be applied is found by trying each by itself, and fails its attempt for good; events of a customer of
whom another transaction holds something are left for later, and their sender is told so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from niyanta.domain.workload import Key
from niyanta.errors import ServiceUnavailableError
from niyanta.server.directory import Directory
from niyanta.server.fleet.doors import ANYBODY, Doors, MessageKind, Sender
from niyanta.server.fleet.folding import EventFolder, Writes
from niyanta.server.fleet.reading import Batch, Unreadable, is_sane, read_batch
from niyanta.server.moves.batcher import GroupCommit
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.moves.held_up import SHARED_LOCK_SECONDS, HeldUp
from niyanta.server.moves.mover import Mover
from niyanta.server.observability.metrics import Metrics
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.checkpoints import CheckpointStore
from niyanta.server.store.database import LockNotFreeError, Pool
from niyanta.server.store.logs import LogStore
from niyanta.server.store.queries import Connection
from niyanta.server.store.states import Change
from niyanta.wire import messages
from niyanta.wire.cancels import lasting
from niyanta.wire.decoding import UNREADABLE
from niyanta.wire.messages import AttemptRef, BatchReply, EventReply, Outcome
from niyanta.wire.objects import ObjectStore

__all__ = ["EventIntake"]

log = logging.getLogger(__name__)

_MOVES_ONLY = (
    messages.Started,
    messages.Completed,
    messages.Failed,
    messages.Refused,
    messages.Released,
    messages.Paused,
)
"""Events that write nothing but the workload's row and its history."""
_MOST_WAITING = 1000
"""Batches; while more would wait, their workers keep them."""
_BYTES_LIKE_ONE_MORE = 128 * 1024
"""Weigh as much as a batch, so that 128 MiB wait at the most, and a transaction takes 8 MiB or one message."""


class EventIntake:
    """Applies batches of events."""

    def __init__(
        self,
        mover: Mover,
        held_up: HeldUp,
        feed: ChangeFeed,
        directory: Directory,
        settings: CoordinatorSettings,
        metrics: Metrics,
        object_store: ObjectStore | None = None,
    ) -> None:
        self._mover = mover
        self._held_up = held_up
        self._feed = feed
        self._folder = EventFolder(settings, directory)
        self._object_store = object_store
        self._unneeded: asyncio.Queue[str] = asyncio.Queue()
        """Keys of objects whose checkpoints have been dropped, in committed transactions only."""
        self._checkpoints = CheckpointStore()
        self._checkpoints_kept = settings.checkpoints_kept
        self._logs = LogStore()
        self._encode = msgspec.msgpack.Encoder().encode

        def observe(batches: Sequence[Batch], seconds: float) -> None:
            now = time.time()
            lags = [now - at for batch in batches if (at := batch.began_at) is not None]
            metrics.events_committed([event.body for batch in batches for event in batch.events], seconds, lags)

        self._group = GroupCommit[Batch, BatchReply](
            self.commit,
            most=64,
            room=_MOST_WAITING,
            weigh=lambda batch: 1 + batch.size_bytes // _BYTES_LIKE_ONE_MORE,
            observe=observe,
        )

    async def run(self) -> None:
        """Apply until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._group.run())
            group.create_task(lasting(self._delete_unneeded))

    async def _delete_unneeded(self) -> None:
        """Delete objects beside the intake, so that a slow store holds up no event."""
        while True:
            key = await self._unneeded.get()
            if self._object_store is not None:
                await self._object_store.delete([key])

    async def start(self, doors: Doors) -> None:
        """Begin to answer workers."""
        await doors.open(MessageKind.EVENTS, self.receive)

    async def receive(self, payload: bytes, sender: Sender = ANYBODY) -> bytes:
        """Answer one batch. The broker's handler for the events subject."""
        try:
            batch = read_batch(payload)
        except UNREADABLE as exc:
            # Sent again it would be no better: its sender has to begin anew.
            facts = {"worker_id": sender.worker_id, "error": str(exc)[:200], "bytes": len(payload)}
            log.warning("intake.unreadable", extra=facts)
            return self._encode(BatchReply(ok=False, unknown_worker=True))
        if not sender.speaks_for(batch.worker_id, batch.incarnation):
            log.warning("intake.not_the_senders", extra={"worker_id": sender.worker_id})
            return self._encode(BatchReply(ok=False, unknown_worker=True))
        if self._group.is_full:
            return self._encode(BatchReply(ok=False))
        try:
            return self._encode(await self._group.submit(batch))
        except ServiceUnavailableError as exc:
            log.warning("intake.not_committed", extra={"worker_id": batch.worker_id, "error": str(exc)})
            return self._encode(BatchReply(ok=False))

    async def commit(self, batches: Sequence[Batch]) -> list[BatchReply | Exception]:
        """Apply batches in one transaction, as far as that goes; each gets its answer, or why it has none."""
        keys = _keys(batches)
        aside = await self._held_up.among(keys)
        try:
            return await self._commit_but(batches, aside)
        except LockNotFreeError:
            aside |= await self._held_up.look(key for key in keys if key[0] not in aside)
            return await self._commit_but(batches, aside)

    async def _commit_but(self, batches: Sequence[Batch], aside: frozenset[str]) -> list[BatchReply | Exception]:
        """Commit all but the events of some customers, which are to be sent again."""
        if not aside:
            return list(await self._commit_isolated(batches))
        prompt = [replace(b, events=[e for e in b.events if e.ref.customer_id not in aside]) for b in batches]
        replies = await self._commit_isolated(prompt)
        return [_with_later(batch, reply, aside) for batch, reply in zip(batches, replies, strict=True)]

    async def _commit_isolated(self, batches: Sequence[Batch]) -> list[BatchReply]:
        """Commit all together or, when that can't be done, whatever can."""
        try:
            return await self._commit_together(batches)
        except ServiceUnavailableError:
            raise
        except Exception:
            if len(batches) > 1:
                return [(await self._commit_isolated([batch]))[0] for batch in batches]
            (batch,) = batches
            if len(batch.events) > 1:
                parts = [(await self._commit_isolated([replace(batch, events=[e])]))[0] for e in batch.events]
                return [_merged(parts)]
            return await self._give_up(batch)

    async def _give_up(self, batch: Batch) -> list[BatchReply]:
        """An event that can't be applied fails its attempt; when not even that is possible, its worker stops it."""
        (event,) = batch.events
        log.exception("intake.event_failed", extra={"workload_id": event.ref.workload_id})
        if isinstance(event, Unreadable):
            return [BatchReply(ok=True, replies=[EventReply(event.ref, Outcome.FENCED)])]
        instead = Unreadable(event.ref, "an event of the attempt can't be applied; the service has logged why")
        return await self._commit_isolated([replace(batch, events=[instead])])

    async def _commit_together(self, batches: Sequence[Batch]) -> list[BatchReply]:
        replies: list[BatchReply] = []
        writes = Writes({})
        unneeded: list[str] = []

        def decide(changes: Mapping[Key, Change]) -> None:
            nonlocal replies, writes
            writes = Writes(changes)
            replies = [self._folder.fold(batch, writes) for batch in batches]

        async def besides(conn: Connection) -> None:
            nonlocal unneeded
            if writes.checkpoints:
                unneeded = await self._checkpoints.add(conn, writes.checkpoints, self._checkpoints_kept)
            if writes.logs:
                await self._logs.add(conn, writes.logs)

        keys = _keys(batches)
        only_moves = all(isinstance(event.body, _MOVES_ONLY) for batch in batches for event in batch.events)
        if only_moves and await self._mover.move_unlocked(keys, decide, lock_seconds=SHARED_LOCK_SECONDS):
            return replies
        # When somebody else was quicker with one of them: what was written is found to be applied now.
        await self._mover.move(keys, decide, pool=Pool.VITAL, besides=besides, lock_seconds=SHARED_LOCK_SECONDS)
        for key in unneeded:
            self._unneeded.put_nowait(key)
        if writes.logs:
            self._feed.announce(logged=sorted({(line.customer_id, line.workload_id) for line in writes.logs}))
        return replies


def _keys(batches: Iterable[Batch]) -> list[Key]:
    """The workloads that events are about; what names none is left out, and fenced by that."""
    refs = {event.ref for batch in batches for event in batch.events}
    return sorted({(ref.customer_id, ref.workload_id) for ref in refs if is_sane(ref)})


def _with_later(batch: Batch, reply: BatchReply, aside: frozenset[str]) -> BatchReply:
    """The answer to a batch of which the events of some customers weren't applied."""
    later = dict.fromkeys(event.ref for event in batch.events if event.ref.customer_id in aside)
    if not later:
        return reply
    if not batch.takes_later:
        return BatchReply(ok=False)  # to be sent again as a whole; what is applied is found to be
    return BatchReply(ok=True, replies=[*reply.replies, *(EventReply(ref, Outcome.LATER) for ref in later)])


def _merged(parts: Iterable[BatchReply]) -> BatchReply:
    """The answer to a batch whose events were committed one by one."""
    merged: dict[AttemptRef, EventReply] = {}
    for reply in (reply for part in parts for reply in part.replies):
        earlier = merged.get(reply.ref, reply)
        merged[reply.ref] = EventReply(
            reply.ref,
            Outcome.FENCED if Outcome.FENCED in (earlier.outcome, reply.outcome) else reply.outcome,
            max(earlier.checkpoint_sequence, reply.checkpoint_sequence),
            earlier.checkpoint_error or reply.checkpoint_error,
            earlier.pause_granted or reply.pause_granted,
        )
    return BatchReply(ok=True, replies=list(merged.values()))
