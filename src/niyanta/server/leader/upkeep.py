"""Upkeep: partitions are made ahead of time, and what has been kept long enough is forgotten. It runs on the leader.

No fencing is needed: all of it may run twice at once, and it changes nothing that anybody still works on. Deleting
goes in small batches with a pause as long as the batch took, so that it takes at most half of one connection.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from niyanta.errors import ServiceUnavailableError
from niyanta.server.leader.election import Election
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.server.store.retention import AUDIT, LOGS, SEALS, SEALS_KEPT_LONGER, RetentionStore, SweptCheckpoint
from niyanta.server.store.sessions import SessionStore

__all__ = ["DeleteObjects", "Upkeep", "UpkeepReport"]

log = logging.getLogger(__name__)

DeleteObjects = Callable[[Sequence[str]], Awaitable[None]]
"""Deletes checkpoints' objects by key; one that is gone already is no error."""

_PREPARE_ATTEMPTS = 20
_RETRY_SECONDS = 10.0
_OBJECT_SECONDS = 2.0
"""For the deletion of an object, while its row is locked: less than a transaction may be idle."""


@dataclass(slots=True)
class UpkeepReport:
    """What one round did."""

    partitions_made: int = 0
    partitions_dropped: list[str] = field(default_factory=list)
    workloads_forgotten: int = 0
    checkpoints_forgotten: int = 0
    keys_forgotten: int = 0


class Upkeep:
    """Keeps tables in shape while this coordinator leads.

    Args:
        database: Whose tables.
        election: Says whether this coordinator leads.
        settings: How long what is kept, and how often it is looked through.
        delete_objects: For checkpoints that lie in the object store, if there is one.
        batch_size: Rows that are deleted at once.

    Attributes:
        succeeded_at: Unix time at which a round last went through; None before.
    """

    def __init__(
        self,
        database: Database,
        election: Election,
        settings: CoordinatorSettings,
        delete_objects: DeleteObjects | None = None,
        *,
        batch_size: int = 500,
    ) -> None:
        self._election = election
        self._settings = settings
        self._delete_objects = delete_objects
        self._batch_size = batch_size
        self._store = RetentionStore(database)
        self._customers = CustomerStore(database)
        self._sessions = SessionStore(database)
        self.succeeded_at: float | None = None

    async def prepare(self) -> None:
        """Make the partitions that are missing, before anything is served: the system may have stood still for long.

        Raises:
            ServiceUnavailableError: The database is away, or locks didn't come free.
        """
        for attempt in range(_PREPARE_ATTEMPTS):
            try:
                await self._make_partitions()
            except ServiceUnavailableError:
                if attempt == _PREPARE_ATTEMPTS - 1:
                    raise
                await asyncio.sleep(0.1)
            else:
                return

    async def run(self) -> None:
        """Keep up until cancelled."""
        while True:
            epoch = await self._election.wait_elected()
            while self._election.epoch == epoch:
                pause = self._settings.upkeep_interval_seconds
                try:
                    report = await self.round(partial(self._leads, epoch))
                except ServiceUnavailableError as exc:
                    log.warning("upkeep.round_failed", extra={"error": str(exc)})
                    pause = min(pause, _RETRY_SECONDS)
                else:
                    self.succeeded_at = time.time()
                    log.info("upkeep.done", extra={"report": repr(report)})
                await asyncio.sleep(pause)

    def _leads(self, epoch: int) -> bool:
        return self._election.epoch == epoch

    async def round(self, go_on: Callable[[], bool] = lambda: True) -> UpkeepReport:
        """Do all that is due now.

        Args:
            go_on: Asked between batches; the round ends early when it says no.

        Raises:
            ServiceUnavailableError, TransactionConflictError: What is done is done; the next round does the rest.
        """
        settings = self._settings
        report = UpkeepReport(partitions_made=await self._make_partitions())
        audit_kept = timedelta(days=settings.audit_retention_days)
        for table, kept in (
            (LOGS, timedelta(days=settings.log_retention_days)),
            (AUDIT, audit_kept),
            (SEALS, audit_kept + SEALS_KEPT_LONGER),
        ):
            report.partitions_dropped += await self._store.drop_expired_partitions(table, kept)
        report.keys_forgotten = await self._in_batches(go_on, partial(self._store.forget_keys, self._batch_size))
        await self._in_batches(go_on, partial(self._customers.forget_tokens, self._batch_size))
        await self._in_batches(go_on, partial(self._sessions.forget, self._batch_size))
        await self._sweep_checkpoints(go_on, report)
        keep = timedelta(days=settings.workload_retention_days)
        now_ms = time.time_ns() // 1_000_000
        for customer_id in await self._store.customers_with_old_workloads(keep, now_ms):
            delete = partial(self._store.forget_workloads, customer_id, keep, now_ms, self._batch_size)
            report.workloads_forgotten += await self._in_batches(go_on, delete)
        return report

    async def _make_partitions(self) -> int:
        return sum([await self._store.make_partitions(table) for table in (LOGS, AUDIT, SEALS)])

    async def _in_batches(self, go_on: Callable[[], bool], delete: Callable[[], Awaitable[int]]) -> int:
        """Delete until a batch isn't full; gives how many went."""
        total = 0
        while go_on():
            began = time.monotonic()
            count = await delete()
            total += count
            if count < self._batch_size:
                break
            await asyncio.sleep(time.monotonic() - began)
        return total

    async def _sweep_checkpoints(self, go_on: Callable[[], bool], report: UpkeepReport) -> None:
        """Walk all checkpoints that are kept, and delete those that nothing can start from any more."""
        keep = timedelta(hours=self._settings.checkpoint_retention_hours)
        delete, place = self._delete_objects, ("", "", 0)
        while go_on():
            began = time.monotonic()
            found = await self._store.sweep_checkpoints(place, keep, self._batch_size)
            over = [c for c in found if c.is_over]
            if rows := [c for c in over if c.object_key is None]:
                report.checkpoints_forgotten += await self._store.forget_checkpoints(rows)
            # Without the object store's settings the rows are all that is known of the objects.
            if delete is not None:
                try:
                    await self._forget_with_objects(over, delete, report)
                except _TooSlowError:
                    log.warning("upkeep.objects_left_to_next_round")
                    delete = None
            if len(found) < self._batch_size:
                break
            place = found[-1].key
            await asyncio.sleep(time.monotonic() - began)

    async def _forget_with_objects(
        self, over: Sequence[SweptCheckpoint], delete: DeleteObjects, report: UpkeepReport
    ) -> None:
        for checkpoint in over:
            if checkpoint.object_key is not None:
                deletion = partial(_in_time, delete, checkpoint.object_key)
                report.checkpoints_forgotten += await self._store.forget_with_object(checkpoint, deletion)


class _TooSlowError(Exception):
    """The object store needs more time than a row may be locked for."""


async def _in_time(delete: DeleteObjects, key: str) -> None:
    try:
        async with asyncio.timeout(_OBJECT_SECONDS):
            await delete([key])
    except TimeoutError as exc:
        raise _TooSlowError from exc
