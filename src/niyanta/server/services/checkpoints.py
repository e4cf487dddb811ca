"""What customers ask of their workloads' checkpoints: list, read, pin, and start from one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from msgspec import Meta

from niyanta.domain.limits import MAX_CHECKPOINT_SEQUENCE, MAX_PINNED_CHECKPOINTS
from niyanta.domain.workload import CheckpointMark
from niyanta.errors import (
    ConflictError,
    ConnectionFailedError,
    InvalidInputError,
    NotFoundError,
    ServiceUnavailableError,
)
from niyanta.server.services.workloads import WorkloadService
from niyanta.server.store.checkpoints import CheckpointStore, ListedCheckpoint, StoredCheckpoint
from niyanta.server.store.customers import Identity
from niyanta.server.store.database import Database, retried
from niyanta.server.store.workloads import WorkloadStore
from niyanta.wire.objects import DamagedObjectError, ObjectStore

__all__ = ["CheckpointCatalog", "ResumeRequest"]


class ResumeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Where to go on; ``{}`` or nothing for the last checkpoint."""

    from_checkpoint: (
        Annotated[
            int,
            Meta(
                description="The sequence of a kept checkpoint of the workload; its copy becomes the last.",
                extra_json_schema={"minimum": 1, "maximum": MAX_CHECKPOINT_SEQUENCE},
            ),
        ]
        | None
    ) = None


class CheckpointCatalog:
    """Use cases on the checkpoints of one customer's workloads."""

    def __init__(self, database: Database, workloads: WorkloadService, object_store: ObjectStore | None) -> None:
        self._database = database
        self._workloads = workloads
        self._object_store = object_store
        self._store = CheckpointStore()
        self._counts = WorkloadStore()

    @retried
    async def listed(self, identity: Identity, workload_id: str) -> list[ListedCheckpoint]:
        """Those that are kept, newest first.

        Raises:
            NotFoundError: The customer has no such workload.
        """
        await self._workloads.get(identity, workload_id)
        async with self._database.connection(customer_id=identity.customer_id) as conn:
            return await self._store.listed(conn, identity.customer_id, workload_id)

    async def startable(self, identity: Identity, workload_id: str, sequence: int) -> CheckpointMark:
        """One that an attempt can be sent back to.

        Raises:
            NotFoundError: The customer has no such workload.
            InvalidInputError: It isn't kept, or lies in the object store.
        """
        kept = await self.listed(identity, workload_id)
        last = kept[0].sequence if kept else 0
        usable = [c for c in kept if not c.in_object_store or c.sequence == last]
        for found in usable:
            if found.sequence == sequence:
                return CheckpointMark(sequence, found.progress_percent)
        raise InvalidInputError(
            f"There is no checkpoint {sequence} of this workload to start from",
            details={"field": "from_checkpoint", "allowed": [c.sequence for c in usable]},
        )

    async def read(self, identity: Identity, workload_id: str, sequence: int) -> StoredCheckpoint:
        """A checkpoint, checked; one in the object store is read with `pieces`.

        Raises:
            NotFoundError: The customer has no such workload, or it no such good checkpoint.
        """
        await self._workloads.get(identity, workload_id)
        return await self._read(identity, workload_id, sequence)

    @retried
    async def _read(self, identity: Identity, workload_id: str, sequence: int) -> StoredCheckpoint:
        async with self._database.connection(customer_id=identity.customer_id) as conn:
            found = await self._store.get(conn, identity.customer_id, workload_id, sequence)
        if found is None:
            raise _missing()
        return found

    async def pieces(self, object_key: str) -> AsyncIterator[bytes]:
        """What an object that a checkpoint names holds; not checked.

        Raises:
            NotFoundError: It is gone.
            ServiceUnavailableError: There is no object store, or it is away.
        """
        if self._object_store is None:
            raise ServiceUnavailableError("This coordinator has no object store, in which the checkpoint lies")
        try:
            return await self._object_store.read(object_key)
        except DamagedObjectError as exc:
            raise _missing() from exc
        except ConnectionFailedError as exc:
            raise ServiceUnavailableError(
                "The object store is away", details={"dependency": "object_store"}, retry_after_seconds=5
            ) from exc

    @retried
    async def pin(self, identity: Identity, workload_id: str, sequence: int, *, pinned: bool) -> ListedCheckpoint:
        """Keep a checkpoint for good, or no longer than others. Idempotent.

        Raises:
            NotFoundError: The customer has no such workload, or it no such checkpoint.
            ConflictError: The customer has as many pinned as there may be.
        """
        await self._workloads.get(identity, workload_id)
        customer_id = identity.customer_id
        async with self._database.transaction() as conn:
            if pinned:
                await self._counts.lock_counts(conn, customer_id)  # so that the bound is exact
            found = await self._store.set_pinned(conn, customer_id, workload_id, sequence, pinned=pinned)
            if found is None:
                raise _missing()
            if pinned:
                count = await self._store.count_pinned(conn, customer_id, MAX_PINNED_CHECKPOINTS + 1)
                if count > MAX_PINNED_CHECKPOINTS:
                    raise ConflictError(
                        f"{MAX_PINNED_CHECKPOINTS} checkpoints are pinned already; unpin one first",
                        details={"max_pinned_checkpoints": MAX_PINNED_CHECKPOINTS},
                    )
        return found


def _missing() -> NotFoundError:
    return NotFoundError("There is no such checkpoint")
