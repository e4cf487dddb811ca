"""Workers come to life by registering; operators list, drain and remove them."""

from __future__ import annotations

import logging
from datetime import datetime

import msgspec

from niyanta.domain.workers import DrainMode, OrderKind, RegisterRefusal, WorkerStatus
from niyanta.domain.workload import Actor
from niyanta.errors import NotFoundError, ServiceUnavailableError
from niyanta.server.fleet.admission import RefusedRegistrationError, read_registration
from niyanta.server.fleet.doors import ANYBODY, Doors, MessageKind, Sender
from niyanta.server.moves.commands import Commands
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.moves.losses import lose_workloads
from niyanta.server.moves.mover import Mover
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.database import Database, Pool, retried
from niyanta.server.store.lease import LeaseStore
from niyanta.server.store.workers import ListedWorker, RemovedWorker, StandingOrder, WorkerStore
from niyanta.wire.messages import Register, RegisterReply

__all__ = ["WorkerService"]

log = logging.getLogger(__name__)


class WorkerService:
    """The coordinator's side of a worker's life."""

    def __init__(
        self,
        database: Database,
        mover: Mover,
        commands: Commands,
        feed: ChangeFeed,
        settings: CoordinatorSettings,
    ) -> None:
        self._database = database
        self._mover = mover
        self._commands = commands
        self._feed = feed
        self._settings = settings
        self._workers = WorkerStore()
        self._leases = LeaseStore()
        self._encode = msgspec.msgpack.Encoder().encode

    async def start(self, doors: Doors) -> None:
        """Begin to answer workers."""
        await doors.open(MessageKind.REGISTER, self.register)

    async def register(self, payload: bytes, sender: Sender = ANYBODY) -> bytes | None:
        """Answer a `Register`."""
        try:
            worker = read_registration(payload)
            _check_grant(worker, sender)
        except RefusedRegistrationError as refused:
            facts = {"worker_id": sender.worker_id, "why": str(refused)[:1000]}
            log.warning("worker.registration_refused", extra=facts)
            return self._encode(RegisterReply(False, RegisterRefusal.INVALID, str(refused)))
        lease = self._settings.worker_lease_seconds
        try:
            status, order, epoch, now = await self._come_to_life(worker)
        except ServiceUnavailableError:
            return None
        if order is not None and order.kind is OrderKind.REMOVE:
            log.info("worker.refused_as_removed", extra={"worker_id": worker.worker_id})
            return self._encode(RegisterReply(False, RegisterRefusal.REMOVED, _removed(worker.worker_id, order)))
        if status is None:
            message = f"worker id '{worker.worker_id}' is in use by a live worker, or one whose work has yet to move"
            return self._encode(RegisterReply(False, RegisterRefusal.IN_USE, message))
        log.info(
            "worker.registered",
            extra={"worker_id": worker.worker_id, "capacity": worker.capacity, "status": status},
        )
        self._feed.announce(fleet=True)
        interval = self._settings.heartbeat_interval_seconds
        return self._encode(RegisterReply(True, "", "", interval, lease, epoch, int(now.timestamp() * 1000)))

    @retried
    async def _come_to_life(
        self, worker: Register
    ) -> tuple[WorkerStatus | None, StandingOrder | None, int, datetime]:
        """The worker's status from now on; without one, what was ordered for its id; the leader's epoch; the time."""
        async with self._database.connection(Pool.VITAL) as conn:
            status = await self._workers.register(conn, worker, self._settings.worker_lease_seconds)
            order = None if status else await self._workers.standing_order(conn, worker.worker_id)
            epoch = (await self._leases.current(conn)).epoch
            return status, order, epoch, await self._workers.time_now(conn)

    @retried
    async def page(
        self, status: str | None, most: int, *, skip: int = 0, after: str | None = None
    ) -> tuple[list[ListedWorker], int]:
        """A page of the fleet by id, and how many workers there are in all; see `WorkerStore.page`."""
        async with self._database.connection() as conn:
            return await self._workers.page(conn, status, most, skip=skip, after=after)

    @retried
    async def one(self, worker_id: str) -> ListedWorker:
        """One worker.

        Raises:
            NotFoundError: No worker with that id is known.
        """
        async with self._database.connection() as conn:
            found = await self._workers.one(conn, worker_id)
        if found is None:
            raise _unknown(worker_id)
        return found

    async def drain(self, worker_id: str, actor: Actor, mode: DrainMode = DrainMode.FINISH) -> None:
        """Take no new work on a worker's id until `undrain`; the mode says what becomes of what it runs.

        What moves is named in the answers to the worker's beats (`niyanta.server.fleet.beats`).

        Raises:
            NotFoundError: No live worker has that id.
        """
        incarnation = await self._mark_draining(worker_id, actor, mode)
        log.info("worker.drained", extra={"worker_id": worker_id, "actor_id": actor.id, "mode": mode})
        self._feed.announce(fleet=True)
        self._commands.drain((worker_id, incarnation))

    async def remove(self, worker_id: str, actor: Actor) -> None:
        """Take everything away from a worker, and don't let its id register until `undrain`.

        At once but for what is exclusive: that moves when the worker says that it has stopped, or when its lease is
        over, by which it has. The monitor sees to it.

        Raises:
            NotFoundError: No live worker has that id.
        """
        removed = await self._mark_removed(worker_id, actor)
        log.info("worker.removed", extra={"worker_id": worker_id, "actor_id": actor.id})
        self._feed.announce(fleet=True)
        reason = f"Worker '{worker_id}' was removed"
        try:
            await lose_workloads(
                self._mover,
                worker_id,
                removed.incarnation,
                actor,
                reason,
                died=False,
                but_types=removed.exclusive_types,
            )
        except ServiceUnavailableError as exc:
            # The worker is removed all the same, and the monitor takes away what a dead worker still holds.
            log.warning("worker.workloads_left_to_monitor", extra={"worker_id": worker_id, "error": str(exc)})

    @retried
    async def _mark_draining(self, worker_id: str, actor: Actor, mode: DrainMode) -> str:
        async with self._database.connection() as conn:
            incarnation = await self._workers.drain(conn, worker_id, mode, actor.id)
        if incarnation is None:
            raise NotFoundError(f"There is no live worker '{worker_id}'")
        return incarnation

    @retried
    async def _mark_removed(self, worker_id: str, actor: Actor) -> RemovedWorker:
        async with self._database.connection() as conn:
            removed = await self._workers.remove(conn, worker_id, actor.id)
            if removed is None:
                raise NotFoundError(f"There is no live worker '{worker_id}'")
            return removed

    async def undrain(self, worker_id: str, actor: Actor) -> WorkerStatus:
        """Take a drain or a removal back; gives the worker's status. Does nothing to one that is under neither.

        Raises:
            NotFoundError: No worker with that id is known.
        """
        status = await self._take_order_back(worker_id)
        log.info("worker.undrained", extra={"worker_id": worker_id, "actor_id": actor.id})
        self._feed.announce(fleet=True)
        return status

    @retried
    async def _take_order_back(self, worker_id: str) -> WorkerStatus:
        async with self._database.connection() as conn:
            status = await self._workers.undrain(conn, worker_id)
        if status is None:
            raise _unknown(worker_id)
        return status


def _check_grant(worker: Register, sender: Sender) -> None:
    """Refuse what the sender's join token doesn't give.

    Raises:
        RefusedRegistrationError: It isn't the worker that speaks, or wants what its token doesn't give.
    """
    if sender.grant is None:
        raise RefusedRegistrationError("its join token is revoked or expired")
    if not sender.speaks_for(worker.worker_id, worker.incarnation):
        raise RefusedRegistrationError("another worker is named than the one that the broker has let in")
    types = [handler.workload_type for handler in worker.handlers]
    if refusal := sender.grant.refusal(worker.worker_id, types, worker.tags):
        raise RefusedRegistrationError(refusal)


def _unknown(worker_id: str) -> NotFoundError:
    return NotFoundError(f"No worker '{worker_id}' is known")


def _removed(worker_id: str, order: StandingOrder) -> str:
    at = order.given_at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return (
        f"worker id '{worker_id}' was removed by an operator ({order.given_by}, {at}) and may not come back until "
        f"one runs: niyanta workers undrain {worker_id}"
    )
