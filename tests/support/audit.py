"""Audit events written as the service writes them, sealed at once, and verified."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg

from niyanta.domain.audit_chain import AuditKeys
from niyanta.domain.audit_checkpoints import AuditCheckpoint
from niyanta.server.leader.election import Election
from niyanta.server.leader.sealer import Sealer
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.services.audit_proof import AuditProof, ProofReport
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.audit_proof import AuditProofStore
from niyanta.server.store.audit_seals import AuditSealStore
from niyanta.server.store.database import Database
from niyanta.wire.broker import Broker
from niyanta.wire.subjects import Subjects

__all__ = ["EPOCH", "Record", "broken", "write"]

EPOCH = 7


async def write(
    conn: asyncpg.Connection,
    customer_id: str,
    workload_id: str,
    *event_ids: int,
    at: datetime | None = None,
    **details: object,
) -> None:
    """Events of a workload, in one statement."""
    await conn.execute(
        """INSERT INTO audit_events (customer_id, workload_id, event_id, event_type, occurred_at, actor_type,
                                     actor_id, details)
           SELECT $1, $2, unnest($3::int[]), 'workload.started', coalesce($4, clock_timestamp()), 'worker', 'w-é',
                  $5""",
        customer_id,
        workload_id,
        list(event_ids),
        at,
        json.dumps({"from": "SCHEDULED", "text": "naïve \u2028", **details}),
    )


class Record:
    """The audit of a database that is sealed when a test says so."""

    def __init__(self, database: Database, url: str, keys: AuditKeys | None = None, batch_size: int = 5_000) -> None:
        self.database = database
        self.keys = keys = keys or AuditKeys()
        self.settings = settings = CoordinatorSettings.from_environment(
            {}, database_url=url, nats_url="nats://unused"
        )
        self.election = Election(database, ChangeFeed(Broker("", name="test"), Subjects("test"), "me"), settings)
        self.store = AuditProofStore()
        self.sealer = Sealer(database, self.election, keys, batch_size=batch_size)

    async def lead(self, epoch: int = EPOCH) -> None:
        """Have the lease say so."""
        async with self.database.connection() as conn:
            await conn.execute(
                "UPDATE leader_lease SET epoch = $1, expires_at = now() + interval '1 hour', holder = 'me'", epoch
            )

    async def seal(self, epoch: int = EPOCH) -> int:
        """Seal all that is written by now, as soon as whatever else runs on the server lets it; gives how many."""
        count = 0
        seals = AuditSealStore()
        async with self.database.connection() as conn:
            newest = await seals.newest_entry(conn)
        async with asyncio.timeout(30):
            while True:
                count += await self.sealer.round(epoch)
                async with self.database.connection() as conn:
                    if await seals.sealed_to(conn) >= newest:
                        return count
                await asyncio.sleep(0.01)

    async def verify(
        self,
        checkpoints: Sequence[AuditCheckpoint] = (),
        *,
        customer_id: str | None = None,
        keys: AuditKeys | None = None,
        keep_days: int = 365,
    ) -> ProofReport:
        """What is found."""
        proof = AuditProof(self.database, self.keys if keys is None else keys, timedelta(days=keep_days))
        return await proof.verify(customer_id, checkpoints)


def broken(report: ProofReport) -> set[tuple[str, str, str, int]]:
    """What kind of break, whose, and of which event."""
    return {(found.kind.value, found.customer_id, found.workload_id, found.event_id) for found in report.breaks}
