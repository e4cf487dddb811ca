"""What customers ask of their workloads: read, list, cancel, pause, resume, logs, history."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from niyanta.domain import transitions
from niyanta.domain.placement import explain
from niyanta.domain.transitions import Actor, IllegalMove, PausePhase, Status, WorkloadState
from niyanta.errors import (
    ApiError,
    ConnectionFailedError,
    InvalidStateError,
    NotFoundError,
    ServiceUnavailableError,
)
from niyanta.server.directory import Directory
from niyanta.server.moves.feed import ChangeFeed, describe
from niyanta.server.services.estimator import Estimator
from niyanta.server.services.occupancy import Occupancy
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.audit_events import AuditStore, StoredAuditEvent
from niyanta.server.store.customers import Identity
from niyanta.server.store.database import Database, TransactionConflictError, retried
from niyanta.server.store.listing import ListingStore, ListQuery, Total, WorkloadSummary
from niyanta.server.store.partitions import Lifetime
from niyanta.server.store.states import Change, affinity_from_json
from niyanta.server.store.workloads import StoredWorkload, WorkloadStore
from niyanta.wire.broker import Broker
from niyanta.wire.messages import AttemptRef, CancelAttempt, Command, PauseAttempt, WithdrawPause
from niyanta.wire.subjects import Subjects

__all__ = ["CancelRequest", "Outlook", "WorkloadService"]

log = logging.getLogger(__name__)

_ENDING_SECONDS = 12.0
"""How long a granted pause may take to end its attempt: five seconds' grace for the processes, and some."""


class CancelRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The optional body of a cancellation."""

    reason: Annotated[str, Meta(max_length=1000)] | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """Why a workload waits, and when it will start or end; None where it doesn't apply or can't be told."""

    pending_reason: str | None
    estimated_start_at: datetime | None
    estimated_completion_at: datetime | None


class WorkloadService:
    """Use cases on one customer's workloads. A foreign workload is exactly as missing as one that never was."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        subjects: Subjects,
        feed: ChangeFeed,
        directory: Directory,
        estimator: Estimator,
        settings: CoordinatorSettings,
    ) -> None:
        self._database = database
        self._broker = broker
        self._subjects = subjects
        self._feed = feed
        self._directory = directory
        self._estimator = estimator
        self._occupancy = Occupancy(database, directory)
        self._settings = settings
        self._store = WorkloadStore()
        self._audit = AuditStore()
        self._listing = ListingStore()

    @retried
    async def get(self, identity: Identity, workload_id: str) -> StoredWorkload:
        """One workload.

        Raises:
            NotFoundError: The customer has no such workload.
        """
        async with self._database.connection() as conn:
            row = await self._store.get(conn, identity.customer_id, workload_id)
        if row is None:
            raise _missing()
        return row

    async def wait(self, identity: Identity, workload_id: str, seconds: float, version: int | None) -> StoredWorkload:
        """One workload, once its version has changed (or passed ``version``) or the time is up."""
        deadline = time.monotonic() + seconds
        with self._feed.watch(identity.customer_id, workload_id) as changed:
            row = await self.get(identity, workload_id)
            seen = row.version if version is None else version
            while row.version <= seen and not row.status.is_terminal:
                changed.clear()
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                try:
                    # The feed may lose a hint, so look now and then all the same.
                    async with asyncio.timeout(min(left, 5.0)):
                        await changed.wait()
                except TimeoutError:
                    pass
                row = await self.get(identity, workload_id)
        return row

    async def outlook(self, row: StoredWorkload) -> Outlook:
        """What is to be said of a workload's future; figures about a second old."""
        return Outlook(
            await self.pending_reason(row), await self._estimator.start(row), await self._estimator.completion(row)
        )

    async def pending_reason(self, row: StoredWorkload) -> str | None:
        """Why a queued workload hasn't started; None for any other."""
        status = row.status
        if not status.is_queued:
            return None
        if row.available_at is not None and not row.ready:
            return "waiting for the back-off after a failed attempt to end"
        customer = await self._directory.customer(row.customer_id)
        if customer.status != "active":
            return "the customer is suspended"
        rules = affinity_from_json(row.affinity_rules)
        if reason := explain(await self._occupancy.views(), row.workload_type, rules):
            return reason
        if customer.running >= customer.max_concurrent_workloads:
            return f"{customer.running} of {customer.max_concurrent_workloads} concurrent workloads are running"
        return "waiting for its turn"

    @retried
    async def list_page(self, query: ListQuery) -> tuple[list[WorkloadSummary], bool, Total | None]:
        """A page: its workloads, whether there are more, and the total when the page isn't found by a cursor."""
        async with self._database.connection() as conn:
            rows = await self._listing.page(conn, query)
            total = await self._listing.total(conn, query) if query.after is None else None
        return rows[: query.limit], len(rows) > query.limit, total

    async def audit(
        self, identity: Identity, workload_id: str, *, after: int, limit: int
    ) -> tuple[list[StoredAuditEvent], bool]:
        """The workload's history after an ``event_id``, in order, and whether there is more."""
        lifetime = Lifetime.of(await self.get(identity, workload_id))
        async with self._database.connection() as conn:
            rows = await self._audit.page(
                conn, identity.customer_id, workload_id, lifetime, after=after, most=limit + 1
            )
        return rows[:limit], len(rows) > limit

    async def cancel(self, identity: Identity, workload_id: str, reason: str | None) -> Change:
        """Cancel, at once and for good; the worker is told and ends its processes.

        Raises:
            NotFoundError: The customer has no such workload.
            InvalidStateError: It is terminal already.
        """
        actor = Actor("user", identity.actor_id)
        change = await self._change(
            identity,
            workload_id,
            "cancel",
            lambda c: transitions.cancel(c.state, c.before.now, actor, reason),
        )
        await self._tell_cancelled(change)
        return change

    async def cancel_together(
        self, identity: Identity, workload_ids: Sequence[str], reason: str | None
    ) -> dict[str, WorkloadState | ApiError]:
        """Cancel several in one transaction; gives what became of each, by its id. Those that can't be stay as is.

        Raises:
            ServiceUnavailableError: The database is away; whether they were cancelled may be unknown.
        """
        actor = Actor("user", identity.actor_id)
        keys = [(identity.customer_id, workload_id) for workload_id in workload_ids]
        for _ in range(5):
            outcomes: dict[str, WorkloadState | ApiError] = {workload_id: _missing() for workload_id in workload_ids}
            changes: list[Change] = []
            try:
                async with self._database.transaction() as conn:
                    for locked in (await self._store.lock(conn, keys)).values():
                        change = Change.begin(locked)
                        try:
                            change.then(transitions.cancel(change.state, locked.now, actor, reason))
                        except IllegalMove:
                            outcomes[locked.state.workload_id] = _wrong_state("cancel", locked.state.status)
                            continue
                        changes.append(change)
                        outcomes[locked.state.workload_id] = change.state
                    await self._store.apply(conn, changes)
            except TransactionConflictError:
                continue
            if changes:
                self._feed.announce([describe(change) for change in changes])
            for change in changes:
                await self._tell_cancelled(change)
            return outcomes
        raise ServiceUnavailableError("The database is too busy; try again", retry_after_seconds=1)

    async def _tell_cancelled(self, change: Change) -> None:
        before = change.before.state
        if before.status.is_held and before.worker_id is not None:
            await self._tell(before.worker_id, CancelAttempt(_ref(change), "cancelled"))

    async def resume(self, identity: Identity, workload_id: str) -> Change:
        """Put a paused workload back into the queue, to go on from its checkpoint.

        Raises:
            NotFoundError: The customer has no such workload.
            InvalidStateError: It isn't PAUSED.
        """
        actor = Actor("user", identity.actor_id)
        return await self._change(
            identity, workload_id, "resume", lambda c: transitions.resume(c.state, c.before.now, actor)
        )

    async def pause(self, identity: Identity, workload_id: str, wait_seconds: float | None = None) -> StoredWorkload:
        """Checkpoint, stop, free the slot; returns the PAUSED workload.

        The pause is committed with the checkpoint: when the time is up, or the caller is cancelled, it is withdrawn
        and the workload goes on, unless the checkpoint came first, in which case it ends PAUSED.

        Args:
            identity: Who asks.
            workload_id: Of the workload.
            wait_seconds: How long to wait for the checkpoint; no longer than the settings allow.

        Raises:
            NotFoundError: The customer has no such workload.
            InvalidStateError: It isn't RUNNING, or ended meanwhile.
            ServiceUnavailableError: No checkpoint in time; the workload goes on running.
        """
        with self._feed.watch(identity.customer_id, workload_id) as changed:
            change = await self._change(identity, workload_id, "pause", lambda c: transitions.request_pause(c.state))
            ref = _ref(change)
            worker_id = change.state.worker_id or ""
            most = self._settings.pause_wait_seconds
            waiting = most if wait_seconds is None else min(most, wait_seconds)
            try:
                await self._tell(worker_id, PauseAttempt(ref))
                deadline = time.monotonic() + waiting
                row = await self._await_pause(identity, workload_id, ref, worker_id, changed, deadline)
            except asyncio.CancelledError:
                # Nobody waits for it any more, so a later checkpoint must not pause the workload.
                with contextlib.suppress(ApiError):
                    await self._withdraw(identity, workload_id, worker_id, ref)
                raise
            if row is None:
                if await self._withdraw(identity, workload_id, worker_id, ref):
                    raise ServiceUnavailableError(
                        "The workload gave no checkpoint in time; it was not paused and goes on running",
                        details={"waited_seconds": round(waiting, 3)},
                        retry_after_seconds=5,
                    )
                ending = time.monotonic() + _ENDING_SECONDS
                row = await self._await_pause(identity, workload_id, ref, worker_id, changed, ending)
        if row is None:
            raise ServiceUnavailableError(
                "The workload has saved its checkpoint but has not ended yet; look again", retry_after_seconds=2
            )
        return row

    async def _await_pause(
        self,
        identity: Identity,
        workload_id: str,
        ref: AttemptRef,
        worker_id: str,
        changed: asyncio.Event,
        deadline: float,
    ) -> StoredWorkload | None:
        """The PAUSED workload; None when the time is up."""
        while True:
            changed.clear()
            row = await self.get(identity, workload_id)
            status = row.status
            if status is Status.PAUSED:
                return row
            if status.is_terminal:
                raise _wrong_state("pause", status)
            if row.generation != ref.generation or status is not Status.RUNNING:
                raise ServiceUnavailableError(
                    "The workload's worker was lost while pausing; the workload goes on elsewhere",
                    details={"current_status": status.value},
                    retry_after_seconds=2,
                )
            if row.pause_phase is None:
                return None
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            try:
                async with asyncio.timeout(min(left, 2.0)):
                    await changed.wait()
            except TimeoutError:
                if row.pause_phase is PausePhase.REQUESTED and time.monotonic() < deadline:
                    await self._tell(worker_id, PauseAttempt(ref))  # the first may have been lost

    async def _withdraw(self, identity: Identity, workload_id: str, worker_id: str, ref: AttemptRef) -> bool:
        """Take the pause back; False when it was granted already, or is moot."""
        try:
            change = await self._change(identity, workload_id, "pause", lambda c: transitions.withdraw_pause(c.state))
        except InvalidStateError:
            return False
        if change.state.pause_phase is not None or change.state.status is not Status.RUNNING:
            return False
        await self._tell(worker_id, WithdrawPause(ref))
        return True

    async def _change(
        self,
        identity: Identity,
        workload_id: str,
        verb: str,
        move: Callable[[Change], transitions.Move],
    ) -> Change:
        key = (identity.customer_id, workload_id)
        for _ in range(5):
            try:
                async with self._database.transaction() as conn:
                    locked = (await self._store.lock(conn, [key])).get(key)
                    if locked is None:
                        raise _missing()
                    change = Change.begin(locked)
                    try:
                        change.then(move(change))
                    except IllegalMove as exc:
                        raise _wrong_state(verb, locked.state.status) from exc
                    await self._store.apply(conn, [change])
            except TransactionConflictError:
                continue
            if not change.is_empty:
                self._feed.announce([describe(change)])
            return change
        raise ServiceUnavailableError("The database is too busy; try again", retry_after_seconds=1)

    async def _tell(self, worker_id: str, command: Command) -> None:
        try:
            await self._broker.publish(self._subjects.worker(worker_id), msgspec.msgpack.encode(command))
        except ConnectionFailedError:
            # What is committed stands; the worker learns of it from the reply to its next beat or batch.
            log.warning("workloads.command_not_sent", extra={"worker_id": worker_id})


def _ref(change: Change) -> AttemptRef:
    state = change.before.state
    return AttemptRef(state.customer_id, state.workload_id, state.generation)


def _missing() -> NotFoundError:
    return NotFoundError("There is no such workload")


_NEEDS = {"cancel": "one that has not ended", "pause": "one that is RUNNING", "resume": "one that is PAUSED"}


def _wrong_state(verb: str, status: Status) -> InvalidStateError:
    return InvalidStateError(
        f"Cannot {verb} a workload that is {status.value}; {verb} takes {_NEEDS[verb]}",
        details={"current_status": status.value},
    )
