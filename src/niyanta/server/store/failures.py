"""Failures in PostgreSQL: what workloads FAILED of, by the fingerprint of their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from niyanta.domain.fingerprints import MESSAGE_LENGTH, fingerprint
from niyanta.domain.limits import MAX_FAILURE_SAMPLES
from niyanta.domain.workload import WorkloadState
from niyanta.server.store.queries import Connection, Queries

__all__ = ["FAILURE_ORDERS", "MOST_ROWS", "FailureQuery", "FailureStore", "StoredFailures"]

FAILURE_ORDERS = ("last_seen_at", "count")
"""Each the greatest first."""
MOST_ROWS = 20_000
"""Of the hours' figures that one answer is made of."""
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
"""asyncpg sends these two as -infinity and infinity."""


@dataclass(frozen=True, slots=True)
class FailureQuery:
    """Which failures to tell of."""

    customer_id: str
    since: datetime | None = None
    """Whole hours: from the one that has this time."""
    until: datetime | None = None
    """To the one that has this time."""
    workload_type: str | None = None
    order_by: str = "last_seen_at"
    """One of `FAILURE_ORDERS`."""
    limit: int = 50


class StoredFailures(msgspec.Struct, frozen=True, kw_only=True):
    """Workloads that FAILED with errors of one fingerprint."""

    fingerprint: str
    failed: int
    first_at: datetime
    last_at: datetime
    workload_types: list[str]
    message: str
    """Of the last one."""
    workload_ids: list[str]
    """Some, the newest first, whenever they failed."""
    counted_since: datetime | None
    """The figures begin with this hour, as there are too many of them; None: with the time that was asked for."""


_queries = Queries("failures.sql")
_add_failures = _queries.run("add_failures")
_failures = _queries.many("failures", StoredFailures)


class FailureStore:
    """Queries on failures. Every method takes the connection."""

    async def add(self, conn: Connection, states: Sequence[WorkloadState]) -> None:
        """Keep what workloads have FAILED of, in the transaction that moves them there."""
        messages = [(state.error_message or "")[:MESSAGE_LENGTH] for state in states]
        await _add_failures(
            conn,
            customer_ids=[state.customer_id for state in states],
            workload_ids=[state.workload_id for state in states],
            workload_types=[state.workload_type for state in states],
            fingerprints=[fingerprint(message) for message in messages],
            failed_ats=[state.completed_at for state in states],
            messages=messages,
        )

    async def list(self, conn: Connection, query: FailureQuery) -> list[StoredFailures]:
        """Failures by fingerprint, and one more than the limit when there are more."""
        return await _failures(
            conn,
            customer_id=query.customer_id,
            since=query.since or _EARLIEST,
            until=query.until or _LATEST,
            workload_type=query.workload_type,
            by_count=query.order_by == "count",
            rows=MOST_ROWS,
            most=query.limit + 1,
            samples=MAX_FAILURE_SAMPLES,
        )
