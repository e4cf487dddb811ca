"""The feed of committed changes: to this process at once, to the other coordinators over the broker.

The feed is a hint, never the truth: what it tells can be lost, and whoever listens reads the database again from time
to time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from niyanta.domain.ids import milliseconds_of
from niyanta.domain.workload import ActorType, Cause, EventType, Key, Status
from niyanta.errors import ConnectionFailedError
from niyanta.server.moves.lost_changes import BEAT_SECONDS, LostChanges
from niyanta.server.store.states import Change
from niyanta.server.store.submissions import NewWorkload
from niyanta.wire.broker import Broker
from niyanta.wire.cancels import lasting
from niyanta.wire.changes import Changed, WorkloadChange
from niyanta.wire.subjects import Subjects

__all__ = ["ChangeFeed", "describe", "describe_created"]

log = logging.getLogger(__name__)


def describe(change: Change) -> WorkloadChange:
    """A committed change as the feed tells it."""
    before, after = change.before.state, change.state
    freed = before.status.is_held and not after.status.is_held
    waited = ran = held = None
    if after.status is Status.SCHEDULED and after.generation == 1 and after.scheduled_at is not None:
        created_ms = milliseconds_of(after.workload_id)
        waited = None if created_ms is None else max(0.0, after.scheduled_at.timestamp() - created_ms / 1000)
    elif after.status is Status.REDISTRIBUTING and freed and before.attempt_started_at is not None:
        held = max(0.0, (change.before.now - before.attempt_started_at).total_seconds())
    elif after.completed_at is not None and after.started_at is not None:
        ran = max(0.0, (after.completed_at - after.started_at).total_seconds())
    return WorkloadChange(
        customer_id=after.customer_id,
        workload_id=after.workload_id,
        version=after.version,
        status=after.status,
        generation=before.generation if freed else after.generation,
        workload_type=after.workload_type,
        worker_id=after.worker_id,
        progress_percent=after.progress_percent,
        message=after.progress_message,
        placement_key=after.placement_key if after.ready else 0,
        released_from=before.worker_id if freed else None,
        waited_seconds=waited,
        ran_seconds=ran,
        cause=change.cause if after.status is Status.REDISTRIBUTING else None,
        unscheduled=freed and any(event.type is EventType.UNSCHEDULED for event in change.events),
        held_seconds=held,
        misfit=after.placement_key != before.placement_key,
        taken_away=freed and _is_taken_away(change),
    )


def _is_taken_away(change: Change) -> bool:
    """Whether the worker lives, and hears of it only now: cancelled, or timed out."""
    if change.events[-1].actor.type is ActorType.WORKER or change.events[-1].type is EventType.UNSCHEDULED:
        return False
    died = change.state.death_streak > change.before.state.death_streak
    return not died and change.cause not in (Cause.WORKER_DIED, Cause.WORKER_REMOVED)


def describe_created(stored: Sequence[NewWorkload], assigned: Collection[Key] = ()) -> list[WorkloadChange]:
    """The first change of each, all alike, but that what isn't ``assigned`` waits in its lane."""
    begun = stored[0].created.state
    return [
        WorkloadChange(
            customer_id=new.customer_id,
            workload_id=new.workload_id,
            version=begun.version,
            status=begun.status,
            generation=begun.generation,
            workload_type=new.workload_type,
            placement_key=0 if new.key in assigned else new.placement_key,
            queue_rank=None if new.key in assigned else new.queue_rank,
        )
        for new in stored
    ]


class ChangeFeed:
    """Publishes what this coordinator commits, and hands on what any coordinator committed."""

    def __init__(self, broker: Broker, subjects: Subjects, origin: str) -> None:
        self._broker = broker
        self._subjects = subjects
        self._origin = origin
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Changed).decode
        self._outgoing: asyncio.Queue[Changed] = asyncio.Queue(maxsize=10_000)
        self._watchers: dict[tuple[str, str], set[asyncio.Event]] = {}
        self.listeners: list[Callable[[Changed], None]] = []
        self.on_moved: list[Callable[[Sequence[Change]], None]] = []
        """Called with what this coordinator has committed, whole."""
        self.on_lost: list[Callable[[], None]] = []
        """Called when something that another coordinator told may not have arrived."""
        self._lost = LostChanges()
        self._number = 0

    async def start(self) -> None:
        """Begin to hear the others."""
        await self._broker.serve(self._subjects.changed, self._received)

    async def _received(self, payload: bytes) -> None:
        changed = self._decode(payload)
        if changed.origin != self._origin:
            self._hand_on(changed)
            if self._lost.note(changed.origin, changed.number, asyncio.get_running_loop().time()):
                self._tell_lost()
            if changed.is_last:
                self._lost.forget(changed.origin)

    def _tell_lost(self) -> None:
        for listener in self.on_lost:
            listener()

    def announce(
        self,
        changes: Sequence[WorkloadChange] = (),
        *,
        fleet: bool = False,
        customers: Sequence[str] = (),
        logged: Sequence[tuple[str, str]] = (),
        lanes: Sequence[tuple[str, int]] = (),
        lingering: Sequence[tuple[str, int]] = (),
        lease_is_free: bool = False,
    ) -> None:
        """Tell of a commit. Call after it, never before."""
        changed = Changed(
            origin=self._origin,
            changes=list(changes),
            fleet=fleet,
            customers=list(customers),
            logged=list(logged),
            lanes=list(lanes),
            lingering=list(lingering),
            lease_is_free=lease_is_free,
        )
        self._hand_on(changed)
        try:
            self._outgoing.put_nowait(changed)
        except asyncio.QueueFull:
            log.warning("changes.dropped")
            self._number += 1  # so that the others notice

    def moved(self, changes: Sequence[Change]) -> None:
        """Tell who listens here of moves that this coordinator has committed."""
        for tell in self.on_moved:
            tell(changes)

    def _hand_on(self, changed: Changed) -> None:
        for listener in self.listeners:
            listener(changed)
        if self._watchers:
            for change in changed.changes:
                for event in self._watchers.get((change.customer_id, change.workload_id), ()):
                    event.set()

    @property
    def watcher_count(self) -> int:
        """How many wait for some workload's changes."""
        return sum(len(watchers) for watchers in self._watchers.values())

    @contextmanager
    def watch(self, customer_id: str, workload_id: str) -> Iterator[asyncio.Event]:
        """An event that is set at each change of one workload; the holder clears it."""
        key = (customer_id, workload_id)
        event = asyncio.Event()
        self._watchers.setdefault(key, set()).add(event)
        try:
            yield event
        finally:
            watchers = self._watchers[key]
            watchers.discard(event)
            if not watchers:
                del self._watchers[key]

    async def run(self) -> None:
        """Publish until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(lasting(self._publish))
            group.create_task(lasting(self._beat))

    async def leave(self) -> None:
        """Tell what is still to be told, after `run` has ended, and that nothing follows."""
        while not self._outgoing.empty():
            await self._send(self._together(self._outgoing.get_nowait()))
        await self._send(Changed(self._origin, is_last=True))

    async def _publish(self) -> None:
        while True:
            await self._send(self._together(await self._outgoing.get()))

    async def _send(self, changed: Changed) -> None:
        self._number += 1
        try:
            await self._broker.publish(
                self._subjects.changed, self._encode(msgspec.structs.replace(changed, number=self._number))
            )
        except ConnectionFailedError:
            log.debug("changes.not_published")

    async def _beat(self) -> None:
        """Say something now and then, and notice who doesn't."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            if self._outgoing.empty():
                self._outgoing.put_nowait(Changed(self._origin))
            if self._lost.fell_silent(asyncio.get_running_loop().time()):
                self._tell_lost()

    def _together(self, first: Changed) -> Changed:
        """What waits to be told, as one message."""
        changes, fleet, customers = list(first.changes), first.fleet, list(first.customers)
        lease_is_free = first.lease_is_free
        logged, lanes, lingering = list(first.logged), list(first.lanes), list(first.lingering)
        while not self._outgoing.empty() and len(changes) + len(logged) < 1000:
            more = self._outgoing.get_nowait()
            changes += more.changes
            fleet |= more.fleet
            customers += more.customers
            logged += more.logged
            lanes += more.lanes
            lingering += more.lingering
            lease_is_free |= more.lease_is_free
        return Changed(
            origin=self._origin,
            changes=changes,
            fleet=fleet,
            customers=customers,
            logged=logged,
            lanes=lanes,
            lingering=lingering,
            lease_is_free=lease_is_free,
        )
