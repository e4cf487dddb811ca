"""Checkpoints of the audit's chains, written once a day to where the database can't reach. It runs on the leader.

Two leaders may both write one; each is good by itself.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from niyanta.domain.audit_chain import AuditKeys
from niyanta.domain.audit_checkpoints import AuditCheckpoint
from niyanta.errors import ConnectionFailedError, ServiceUnavailableError
from niyanta.server.leader.election import Election
from niyanta.server.store.audit_seals import AuditSealStore
from niyanta.server.store.database import Database, Pool
from niyanta.wire.objects import ObjectStore

__all__ = ["AUDIT_FOLDER", "AuditExport", "read_checkpoints", "take_checkpoint", "write_checkpoint"]

log = logging.getLogger(__name__)

AUDIT_FOLDER = "audit-checkpoints/"
"""Where in the store they lie."""

_EVERY_SECONDS = 86_400.0
_LOOK_SECONDS = 60.0


async def take_checkpoint(database: Database, made_at: datetime, restored: str | None = None) -> AuditCheckpoint:
    """Where chains end now.

    Args:
        database: Whose.
        made_at: Now.
        restored: Why chains have gone back since the checkpoint before, if they have.
    """
    async with database.connection(Pool.VITAL) as conn:
        return AuditCheckpoint(made_at, await AuditSealStore().heads(conn), restored)


async def read_checkpoints(store: ObjectStore, keys: AuditKeys) -> list[AuditCheckpoint]:
    """All that were written to a store.

    Raises:
        DamagedCheckpointError: One isn't what was written.
        ConnectionFailedError: The store is away.
    """
    return [AuditCheckpoint.decode(raw, keys) for raw in (await store.read_folder(AUDIT_FOLDER)).values()]


class AuditExport:
    """Writes one a day while this coordinator leads.

    Args:
        database: Whose chains.
        election: Says whether this coordinator leads.
        store: Where they go; None: nowhere.
        keys: What they are made with.
    """

    def __init__(self, database: Database, election: Election, store: ObjectStore | None, keys: AuditKeys) -> None:
        self._database = database
        self._election = election
        self._store = store
        self._keys = keys

    async def run(self) -> None:
        """Write one whenever the last is a day old, until cancelled."""
        while True:
            await self._election.wait_elected()
            try:
                await self.round()
            except (ServiceUnavailableError, ConnectionFailedError) as exc:
                log.warning("audit_export.failed", extra={"error": str(exc)})
            await asyncio.sleep(_LOOK_SECONDS)

    async def round(self) -> AuditCheckpoint | None:
        """Write one if it is due; gives it.

        Raises:
            ServiceUnavailableError, ConnectionFailedError: The next round tries again.
        """
        if self._store is None:
            return None
        seals = AuditSealStore()
        async with self._database.connection(Pool.VITAL) as conn:
            due = await seals.export_due(conn, _EVERY_SECONDS)
        if due is None:
            return None
        made = await write_checkpoint(self._database, self._store, self._keys, due)
        async with self._database.connection(Pool.VITAL) as conn:
            await seals.note_export(conn, due)
        log.info("audit_export.written", extra={"file": made.file_name, "chains": len(made.heads)})
        return made


async def write_checkpoint(
    database: Database, store: ObjectStore, keys: AuditKeys, made_at: datetime, restored: str | None = None
) -> AuditCheckpoint:
    """Take one and write it.

    Raises:
        ServiceUnavailableError, ConnectionFailedError: It isn't written.
    """
    made = await take_checkpoint(database, made_at.astimezone(UTC), restored)
    await store.write(AUDIT_FOLDER + made.file_name, made.encode(keys))
    return made
