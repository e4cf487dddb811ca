"""Workloads' histories in PostgreSQL, as the moves wrote them; a table in slices of a month."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from niyanta.domain.workload import ActorType
from niyanta.server.store.partitions import Lifetime
from niyanta.server.store.queries import Connection, Queries

__all__ = ["AuditStore", "StoredAuditEvent"]

_SLACK = timedelta(days=31)


class StoredAuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One audit event of a known workload."""

    event_id: int
    event_type: str
    """One of `EventType`, or what a later release has besides."""
    occurred_at: datetime
    actor_type: ActorType
    actor_id: str
    details_json: str
    """A JSON object."""


_queries = Queries("audit_events.sql")
_audit = _queries.many("audit", StoredAuditEvent)


class AuditStore:
    """Queries on audit events. They are written by the statement that moves workloads."""

    async def page(
        self,
        conn: Connection,
        customer_id: str,
        workload_id: str,
        lifetime: Lifetime,
        *,
        after: int = 0,
        most: int = 1000,
    ) -> list[StoredAuditEvent]:
        """A workload's audit events after an ``event_id``, in order."""
        since, until = lifetime.with_slack(_SLACK)
        return await _audit(
            conn,
            customer_id=customer_id,
            workload_id=workload_id,
            after=after,
            since=since,
            until=until,
            most=most,
        )
