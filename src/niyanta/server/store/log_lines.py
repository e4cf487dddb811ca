"""Workloads' log lines in PostgreSQL; a table in slices of a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from niyanta.server.store.partitions import Lifetime
from niyanta.server.store.queries import Connection, Queries

__all__ = ["LogStore", "NewLogLine", "StoredLogLine"]

_SLACK = timedelta(days=2)


class NewLogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One log line. (workload, generation, sequence, logged_at) names it, so that a resend adds nothing."""

    customer_id: str
    workload_id: str
    generation: int
    sequence: int
    logged_at: datetime
    level: str
    message: str
    details_json: str


class StoredLogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One log line of a known workload."""

    generation: int
    sequence: int
    logged_at: datetime
    level: str
    """DEBUG, INFO, WARN or ERROR."""
    message: str
    details_json: str
    """A JSON object."""


_queries = Queries("log_lines.sql")
_add_logs = _queries.run("add_logs")
_logs = _queries.many("logs", StoredLogLine)


class LogStore:
    """Queries on log lines. Every method takes the connection."""

    async def add(self, conn: Connection, lines: Sequence[NewLogLine]) -> None:
        """Append log lines."""
        await _add_logs(
            conn,
            customer_ids=[line.customer_id for line in lines],
            workload_ids=[line.workload_id for line in lines],
            generations=[line.generation for line in lines],
            sequences=[line.sequence for line in lines],
            logged_ats=[line.logged_at for line in lines],
            levels=[line.level for line in lines],
            messages=[line.message for line in lines],
            details=[line.details_json for line in lines],
        )

    async def page(
        self,
        conn: Connection,
        customer_id: str,
        workload_id: str,
        lifetime: Lifetime,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        most: int = 1000,
    ) -> list[StoredLogLine]:
        """Log lines after ``since`` up to ``until``, oldest first."""
        earliest, latest = lifetime.with_slack(_SLACK)
        return await _logs(
            conn,
            customer_id=customer_id,
            workload_id=workload_id,
            since=earliest if since is None else max(since, earliest),
            until=latest if until is None else min(until, latest),
            most=most,
        )
