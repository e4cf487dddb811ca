"""The sealer: it chains audit events, so that nobody can change them later unseen. It runs on the leader.

**Order.** Each event is given a number as it is written, and events are sealed by number. Numbers come before
commits, so a smaller one may become visible after a greater one. So the sealer first notes the newest number that was
given, and then a transaction id of its own. Numbers are only given to transactions that have an id, so whoever holds
one up to the noted has a smaller id. Once all smaller ids have ended, what is there of these numbers is all there
will ever be, and it is sealed. Nothing that appends waits for any of this.

**Fencing.** Seals are stored by one statement that takes the lease's row with the epoch and moves the mark up to
which all is sealed from where this sealer read it. Of two leaders one stores, the other nothing. A batch is sealed
wholly or not at all.

**Failures.** The database is away: the next round goes on from the mark. A transaction that stays open holds up all
sealing (not what is written); the lag shows it. A leader of the release before this one seals nothing; the next one
of this does it all. After a restore the mark, the numbers and the chains are those of the backup, and fit together.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from niyanta.domain.audit_chain import AuditKeys, ChainHead, Seal
from niyanta.errors import ServiceUnavailableError
from niyanta.server.leader.election import Election
from niyanta.server.store.audit_seals import AuditSealStore, UnsealedRun
from niyanta.server.store.database import Database, Pool

__all__ = ["Sealer"]

log = logging.getLogger(__name__)

_ROUND_SECONDS = 1.0
_RETRY_SECONDS = 5.0


class Sealer:
    """Seals what was written while this coordinator leads.

    Args:
        database: Whose audit events.
        election: Says whether this coordinator leads.
        keys: What seals are made with.
        batch_size: Events that are read and sealed at once.
    """

    def __init__(self, database: Database, election: Election, keys: AuditKeys, *, batch_size: int = 5_000) -> None:
        self._database = database
        self._election = election
        self._keys = keys
        self._batch_size = batch_size
        self._store = AuditSealStore()
        self._noted: tuple[int, int] | None = None

    async def run(self) -> None:
        """Seal until cancelled."""
        while True:
            epoch = await self._election.wait_elected()
            while self._election.epoch == epoch:
                pause = _ROUND_SECONDS
                try:
                    await self.round(epoch)
                except ServiceUnavailableError as exc:
                    log.warning("sealer.round_failed", extra={"error": str(exc)})
                    pause = _RETRY_SECONDS
                await asyncio.sleep(pause)

    async def round(self, epoch: int) -> int:
        """Seal all that can be sealed now; gives how many events that were.

        Raises:
            ServiceUnavailableError, TransactionConflictError: What is sealed is sealed; the next round does the rest.
        """
        upto = await self._settled()
        sealed = 0
        while upto is not None:
            began = time.monotonic()
            count, is_all = await self._seal_batch(epoch, upto)
            sealed += count
            if is_all:
                break
            await asyncio.sleep(time.monotonic() - began)  # half of one connection at the most
        return sealed

    async def _settled(self) -> int | None:
        """The number up to which nothing can appear any more; None when that isn't known yet."""
        async with self._database.connection(Pool.VITAL) as conn:
            if self._noted is None:
                newest = await self._store.newest_entry(conn)  # before the horizon
                if newest == await self._store.sealed_to(conn):
                    return None
                self._noted = newest, await self._store.horizon(conn)
            newest, horizon = self._noted
            if await self._store.oldest_running(conn) < horizon:
                return None
        self._noted = None
        return newest

    async def _seal_batch(self, epoch: int, upto: int) -> tuple[int, bool]:
        """Seal the next events; gives how many, and whether there is nothing more to do."""
        async with self._database.connection(Pool.VITAL) as conn:
            after = await self._store.sealed_to(conn)
            if after >= upto:
                return 0, True
            runs = await self._store.unsealed_runs(conn, after, upto, self._batch_size)
        count = runs[0].read_count if runs else 0
        is_all = count < self._batch_size
        to = upto if is_all else runs[0].read_to
        seals = _chained(runs, self._keys, (after, to))
        async with self._database.transaction(Pool.VITAL) as conn:
            stored = await self._store.seal(conn, epoch, after, to, seals)
        return (count, is_all) if stored else (0, True)


def _chained(runs: Sequence[UnsealedRun], keys: AuditKeys, entries: tuple[int, int]) -> list[Seal]:
    """A seal for each run; of a customer's several each comes after the one before."""
    heads: dict[str, ChainHead] = {}
    seals = []
    for run in runs:
        seal = Seal.after(
            heads.get(run.customer_id, run.head),
            keys,
            customer_id=run.customer_id,
            month=run.month,
            entries=entries,
            event_count=run.event_count,
            content_sha256=run.content_sha256,
            manifest=run.manifest,
            now=run.db_now,
        )
        heads[run.customer_id] = seal.head
        seals.append(seal)
    return seals
