"""What customers ask of their workloads: read, list, history, cancel, resume."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from niyanta.domain import transitions
from niyanta.domain.limits import MAX_REASON_LENGTH
from niyanta.domain.transitions import IllegalMoveError
from niyanta.domain.workload import Actor, ActorType, CheckpointMark, Key, Move, Status, WorkloadState
from niyanta.errors import ApiError, ConflictError, InvalidStateError
from niyanta.server.moves.commands import Commands
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.moves.mover import Mover
from niyanta.server.services.estimator import Estimator
from niyanta.server.services.explaining import Explainer, Explanation
from niyanta.server.services.moving import Verb, attempt_of, missing, move_one, wrong_state
from niyanta.server.store.audit_events import AuditStore, StoredAuditEvent
from niyanta.server.store.checkpoints import CheckpointStore
from niyanta.server.store.customers import Identity
from niyanta.server.store.database import Database, retried
from niyanta.server.store.list_query import ListQuery
from niyanta.server.store.listing import ListingStore, Slice, Total
from niyanta.server.store.partitions import Lifetime
from niyanta.server.store.queries import Connection
from niyanta.server.store.states import Change
from niyanta.server.store.stored_workload import StoredWorkload
from niyanta.server.store.workloads import WorkloadStore

__all__ = ["CancelRequest", "Outlook", "WorkloadService"]


class CancelRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The optional body of a cancellation."""

    reason: Annotated[str, Meta(max_length=MAX_REASON_LENGTH)] | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """Why a workload waits, when it will start or end, what is at risk; None where that can't be told."""

    pending_reason: str | None
    estimated_start_at: datetime | None
    estimated_completion_at: datetime | None
    seconds_since_checkpoint: float | None
    """Of one that runs: what would be done again if its worker were lost now."""


class WorkloadService:
    """Use cases on one customer's workloads. A foreign workload is exactly as missing as one that never was."""

    def __init__(
        self,
        database: Database,
        mover: Mover,
        commands: Commands,
        feed: ChangeFeed,
        estimator: Estimator,
        explainer: Explainer,
    ) -> None:
        self._database = database
        self._mover = mover
        self._commands = commands
        self._feed = feed
        self._estimator = estimator
        self._explainer = explainer
        self._store = WorkloadStore()
        self._audit = AuditStore()
        self._listing = ListingStore()
        self._checkpoints = CheckpointStore()

    @retried
    async def get(self, identity: Identity, workload_id: str) -> StoredWorkload:
        """One workload.

        Raises:
            NotFoundError: The customer has no such workload.
        """
        async with self._database.connection(customer_id=identity.customer_id) as conn:
            workload = await self._store.get(conn, identity.customer_id, workload_id)
        if workload is None:
            raise missing()
        return workload

    async def wait(self, identity: Identity, workload_id: str, seconds: float, version: int | None) -> StoredWorkload:
        """One workload, once its version has changed (or passed ``version``) or the time is up."""
        deadline = time.monotonic() + seconds
        with self._feed.watch(identity.customer_id, workload_id) as changed:
            workload = await self.get(identity, workload_id)
            seen = workload.version if version is None else version
            while workload.version <= seen and not workload.status.is_terminal:
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
                workload = await self.get(identity, workload_id)
        return workload

    async def outlook(self, workload: StoredWorkload) -> Outlook:
        """What is to be said of a workload's future; figures about a second old."""
        return Outlook(
            await self._explainer.pending_reason(workload),
            await self._estimator.start(workload),
            await self._estimator.completion(workload),
            await self._seconds_since_checkpoint(workload),
        )

    @retried
    async def _seconds_since_checkpoint(self, workload: StoredWorkload) -> float | None:
        """Since this attempt's last checkpoint, or since it began when it has saved none."""
        if workload.status is not Status.RUNNING or workload.attempt_started_at is None:
            return None
        since = workload.attempt_started_at
        if workload.checkpoint_sequence:
            async with self._database.connection(customer_id=workload.customer_id) as conn:
                saved_at = await self._checkpoints.saved_at(
                    conn, workload.customer_id, workload.workload_id, workload.checkpoint_sequence
                )
            since = max(since, saved_at or since)
        return max(0.0, (workload.db_now - since).total_seconds())

    async def explain(self, identity: Identity, workload_id: str) -> Explanation:
        """Why it waits, where it runs, or how it ended.

        Raises:
            NotFoundError: The customer has no such workload.
        """
        return await self._explainer.explain(await self.get(identity, workload_id))

    @retried
    async def list_page(self, query: ListQuery) -> tuple[Slice, Total | None]:
        """A page, and the total when it isn't found by a cursor."""
        async with self._database.connection(customer_id=query.customer_id) as conn:
            found = await self._listing.slice(conn, query)
            if query.after is not None:
                return found, None
            if found.next is None and query.offset == 0:
                return found, Total(len(found.workloads), True)
            return found, await self._listing.total(conn, query, found.counts)

    async def audit(
        self, identity: Identity, workload_id: str, *, after: int, limit: int
    ) -> tuple[list[StoredAuditEvent], bool]:
        """The workload's history after an ``event_id``, in order, and whether there is more."""
        lifetime = Lifetime.of(await self.get(identity, workload_id))
        async with self._database.connection(customer_id=identity.customer_id) as conn:
            found = await self._audit.page(
                conn, identity.customer_id, workload_id, lifetime, after=after, most=limit + 1
            )
        return found[:limit], len(found) > limit

    async def cancel(self, identity: Identity, workload_id: str, reason: str | None) -> Change:
        """Cancel, at once and for good; the worker is told and ends its processes.

        Raises:
            NotFoundError: The customer has no such workload.
            InvalidStateError: It is terminal already.
        """
        actor = Actor(ActorType.USER, identity.actor_id)
        change = await move_one(
            self._mover,
            identity,
            workload_id,
            Verb.CANCEL,
            lambda c: transitions.cancel(c.state, c.before.now, actor, reason),
        )
        self._tell_cancelled(change)
        return change

    async def cancel_together(
        self, identity: Identity, workload_ids: Sequence[str], reason: str | None, *, only: Status | None = None
    ) -> dict[str, WorkloadState | ApiError]:
        """Cancel several in one transaction; gives what became of each, by its id. Those that can't be stay as is.

        Args:
            identity: Whose they must be.
            workload_ids: Which.
            reason: For people.
            only: Those that are no longer of this status stay, too.

        Raises:
            ServiceUnavailableError: The database is away; whether they were cancelled may be unknown.
        """
        actor = Actor(ActorType.USER, identity.actor_id)

        def decide(changes: Mapping[Key, Change]) -> None:
            for change in changes.values():
                if only in (None, change.state.status):
                    with contextlib.suppress(IllegalMoveError):
                        change.then(transitions.cancel(change.state, change.before.now, actor, reason))

        changes = await self._mover.move([(identity.customer_id, each) for each in workload_ids], decide)
        outcomes: dict[str, WorkloadState | ApiError] = {workload_id: missing() for workload_id in workload_ids}
        for (_, workload_id), change in changes.items():
            if not change.is_empty:
                outcomes[workload_id] = change.state
                self._tell_cancelled(change)
            elif only is None or change.state.status.is_terminal:
                outcomes[workload_id] = wrong_state(Verb.CANCEL, change.state.status)
            else:
                status = change.state.status.value
                outcomes[workload_id] = InvalidStateError(
                    f"The workload is {status} by now; only what is {only.value} was to be cancelled",
                    details={"current_status": status},
                )
        return outcomes

    def _tell_cancelled(self, change: Change) -> None:
        before = change.before.state
        if before.status.is_held and before.worker_id is not None:
            self._commands.cancel((before.worker_id, before.incarnation or ""), attempt_of(change), "cancelled")

    async def resume(self, identity: Identity, workload_id: str, back_to: CheckpointMark | None = None) -> Change:
        """Put a paused workload back into the queue, to go on from its last checkpoint or from another.

        Args:
            identity: Whose it must be.
            workload_id: Which.
            back_to: A checkpoint that it has; None: its last. A copy of it becomes the last.

        Raises:
            NotFoundError: The customer has no such workload.
            InvalidStateError: It isn't PAUSED.
            ConflictError: The checkpoint was dropped this moment.
        """
        actor = Actor(ActorType.USER, identity.actor_id)
        copied_as = 0

        def decide(change: Change) -> Move:
            nonlocal copied_as
            copied_as = change.state.checkpoint_sequence + 1
            again = back_to if back_to is not None and back_to.sequence < copied_as - 1 else None
            return transitions.resume(change.state, change.before.now, actor, back_to=again)

        async def copy(conn: Connection) -> None:
            if back_to is None or back_to.sequence >= copied_as - 1:
                return
            if not await self._checkpoints.copy_within(
                conn, identity.customer_id, workload_id, back_to.sequence, copied_as
            ):
                raise ConflictError("The checkpoint was dropped this moment", details={"field": "from_checkpoint"})

        return await move_one(self._mover, identity, workload_id, Verb.RESUME, decide, besides=copy)
