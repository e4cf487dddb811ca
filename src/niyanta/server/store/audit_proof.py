"""What verifying the audit reads from PostgreSQL, all of it in one snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import NamedTuple

import msgspec

from niyanta.domain.audit_chain import ChainHead, Seal
from niyanta.server.store.queries import Connection, Queries

__all__ = ["AuditProofStore", "ChainState", "Miscount", "StoredEntry", "Unnumbered"]


class ChainState(msgspec.Struct, frozen=True, kw_only=True):
    """How far sealing has come."""

    sealed_to: int
    began_at: datetime
    db_now: datetime


class StoredEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One audit event of a known customer, whole."""

    workload_id: str
    event_id: int
    event_type: str
    occurred_at: datetime
    actor_type: str
    actor_id: str
    entry_number: int
    details_json: str


class Unnumbered(NamedTuple):
    """Events without a number."""

    before: int
    """From before there were seals."""
    later: int
    """That say they are from later, which can't be."""


class Miscount(msgspec.Struct, frozen=True, kw_only=True):
    """A workload whose events don't add up."""

    workload_id: str
    least: int
    greatest: int
    events: int
    event_count: int | None
    """What the workload says; None when it was forgotten."""


class _StoredHead(msgspec.Struct, frozen=True, kw_only=True):
    customer_id: str
    sequence: int
    events_total: int
    hash: bytes
    sealed_at: datetime


_queries = Queries("audit_proof.sql")
_chain_state = _queries.sole("chain_state", ChainState)
_heads = _queries.many("heads", _StoredHead)
_recorded_customers = _queries.many("recorded_customers", str)
_event_months = _queries.many("event_months", date, lambda row: row["month"])
_seals_after = _queries.many("seals_after", Seal)
_entries = _queries.stream("entries", StoredEntry)
_unnumbered = _queries.sole("unnumbered", Unnumbered)
_miscounted = _queries.many("miscounted", Miscount)

_SEALS_AT_ONCE = 200


class AuditProofStore:
    """Queries of one snapshot."""

    async def state(self, conn: Connection) -> ChainState:
        """How far sealing has come."""
        return await _chain_state(conn)

    async def heads(self, conn: Connection) -> dict[str, ChainHead]:
        """The end of each customer's chain."""
        found = await _heads(conn)
        return {h.customer_id: ChainHead(h.sequence, h.events_total, h.hash, h.sealed_at) for h in found}

    async def customers(self, conn: Connection) -> list[str]:
        """All that have events, seals or a head. From here on retention waits."""
        return await _recorded_customers(conn)

    async def months(self, conn: Connection) -> set[date]:
        """The months of which audit events are kept; to be asked after `customers`."""
        return set(await _event_months(conn))

    async def seals(self, conn: Connection, customer_id: str) -> AsyncIterator[Seal]:
        """A customer's seals in order."""
        after = 0
        while True:
            page = await _seals_after(conn, customer_id=customer_id, after=after, most=_SEALS_AT_ONCE)
            for seal in page:
                yield seal
            if len(page) < _SEALS_AT_ONCE:
                return
            after = page[-1].sequence

    def entries(self, conn: Connection, customer_id: str) -> AsyncIterator[StoredEntry]:
        """A customer's events in the order of their numbers."""
        return _entries(conn, customer_id=customer_id)

    async def unnumbered(self, conn: Connection, customer_id: str, began_at: datetime) -> Unnumbered:
        """How many events of a customer have no number."""
        return await _unnumbered(conn, customer_id=customer_id, began_at=began_at)

    async def miscounted(self, conn: Connection, customer_id: str, most: int) -> list[Miscount]:
        """Workloads of a customer whose events don't add up."""
        return await _miscounted(conn, customer_id=customer_id, most=most)
