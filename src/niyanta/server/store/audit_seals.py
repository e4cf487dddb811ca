"""Seals over audit events in PostgreSQL: what is to be sealed, and what has been."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from niyanta.domain.audit_chain import ZERO_HASH, ChainHead, Seal
from niyanta.domain.audit_checkpoints import CheckpointHead
from niyanta.server.store.queries import Connection, Queries

__all__ = ["AuditSealStore", "UnsealedRun"]


class UnsealedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one customer and month that are to be sealed together, and the chain's end that they come after."""

    customer_id: str
    month: date
    event_count: int
    content_sha256: bytes
    manifest: str
    sequence: int
    events_total: int
    head_hash: bytes | None
    sealed_at: datetime | None
    db_now: datetime
    read_count: int
    """Events in all runs that were read together."""
    read_to: int
    """The greatest number of them."""

    @property
    def head(self) -> ChainHead:
        """The end of the customer's chain as it is stored."""
        return ChainHead(self.sequence, self.events_total, self.head_hash or ZERO_HASH, self.sealed_at)


class _HeadOfCustomer(msgspec.Struct, frozen=True, kw_only=True):
    customer_id: str
    sequence: int
    events_total: int
    hash: str


_queries = Queries("audit_seals.sql")
_newest_entry = _queries.sole("newest_entry", int)
_horizon = _queries.sole("horizon", int)
_oldest_running = _queries.sole("oldest_running", int)
_sealed_to = _queries.sole("sealed_to", int)
_unsealed_runs = _queries.many("unsealed_runs", UnsealedRun)
_seal = _queries.sole("seal", int)
_lag = _queries.sole("lag", float)
_heads = _queries.many("heads", _HeadOfCustomer)
_export_due = _queries.one("export_due", datetime, lambda row: row["db_now"])
_note_export = _queries.run("note_export")


class AuditSealStore:
    """Queries of the sealer."""

    async def newest_entry(self, conn: Connection) -> int:
        """The last number that an event was given."""
        return await _newest_entry(conn)

    async def horizon(self, conn: Connection) -> int:
        """A transaction id that is greater than those of all who have been given a number so far."""
        return await _horizon(conn)

    async def oldest_running(self, conn: Connection) -> int:
        """The smallest transaction id that is still under way."""
        return await _oldest_running(conn)

    async def sealed_to(self, conn: Connection) -> int:
        """The number up to which all events are sealed."""
        return await _sealed_to(conn)

    async def unsealed_runs(self, conn: Connection, after: int, upto: int, most: int) -> list[UnsealedRun]:
        """The next ``most`` events with numbers after one and up to another, by customer and month."""
        return await _unsealed_runs(conn, after=after, upto=upto, most=most)

    async def seal(self, conn: Connection, epoch: int, after: int, upto: int, seals: Sequence[Seal]) -> bool:
        """Store seals over all events with these numbers; False when another leads or was first."""
        stored = await _seal(
            conn,
            epoch=epoch,
            after=after,
            upto=upto,
            customer_ids=[s.customer_id for s in seals],
            sequences=[s.sequence for s in seals],
            months=[s.month for s in seals],
            event_counts=[s.event_count for s in seals],
            events_totals=[s.events_total for s in seals],
            contents=[s.content_sha256 for s in seals],
            manifests=[s.manifest for s in seals],
            previous_hashes=[s.previous_hash for s in seals],
            previous_ats=[s.previous_at for s in seals],
            hashes=[s.hash for s in seals],
            key_ids=[s.key_id for s in seals],
            sealed_ats=[s.sealed_at for s in seals],
        )
        return stored > 0

    async def lag_seconds(self, conn: Connection) -> float:
        """How old the oldest event is that isn't sealed; 0 when all are."""
        return await _lag(conn)

    async def heads(self, conn: Connection) -> dict[str, CheckpointHead]:
        """The end of each customer's chain."""
        found = await _heads(conn)
        return {h.customer_id: CheckpointHead(h.sequence, h.events_total, h.hash) for h in found}

    async def export_due(self, conn: Connection, every_seconds: float) -> datetime | None:
        """The present moment, if the last checkpoint was written longer ago than that."""
        return await _export_due(conn, every_seconds=every_seconds)

    async def note_export(self, conn: Connection, exported_at: datetime) -> None:
        """A checkpoint of that moment is written."""
        await _note_export(conn, exported_at=exported_at)
