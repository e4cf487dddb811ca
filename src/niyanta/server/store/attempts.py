"""What attempts leave behind in PostgreSQL: checkpoints, log lines, history."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import zstandard

from niyanta.server.store.database import Connection, Queries

__all__ = ["AttemptStore", "Lifetime", "LogRow", "NewCheckpoint", "StoredCheckpoint"]

_queries = Queries("attempts.sql")
_AUDIT_SLACK = timedelta(days=31)
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NewCheckpoint:
    """A checkpoint to keep; ``data`` is uncompressed, or None when ``object_key`` names where it lies."""

    customer_id: str
    workload_id: str
    sequence: int
    generation: int
    encoding: str
    data: bytes | None
    object_key: str | None
    size_bytes: int
    sha256: bytes
    progress_percent: int


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A whole, checked checkpoint."""

    sequence: int
    encoding: str
    data: bytes
    """Empty when ``object_key`` names where it lies; whoever fetches that checks it."""
    object_key: str | None
    size_bytes: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class LogRow:
    """One log line. (workload, generation, sequence, logged_at) names it, so that a resend adds nothing."""

    customer_id: str
    workload_id: str
    generation: int
    sequence: int
    logged_at: datetime
    level: str
    message: str
    details_json: str


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a workload was there: which partitions of logs and history can have something of it."""

    created_at: datetime
    completed_at: datetime | None

    @classmethod
    def of(cls, row: Any) -> Lifetime:
        """From a workload's row."""
        return cls(row["created_at"], row["completed_at"])

    def with_slack(self, slack: timedelta) -> tuple[datetime, datetime]:
        """The first and the last moment, with room for clocks that differ."""
        earliest = max(self.created_at, _EARLIEST) - slack
        return earliest, _LATEST if self.completed_at is None else self.completed_at + slack


class AttemptStore:
    """Queries on checkpoints and audit events, and the writing of logs."""

    async def add_checkpoints(self, conn: Connection, checkpoints: Sequence[NewCheckpoint]) -> list[str]:
        """Compress and keep; only the last ten of a workload stay. Gives the object keys of those dropped."""
        compressor = zstandard.ZstdCompressor(level=3)
        rows = await _queries.add_checkpoints(
            conn,
            customer_ids=[c.customer_id for c in checkpoints],
            workload_ids=[c.workload_id for c in checkpoints],
            sequences=[c.sequence for c in checkpoints],
            generations=[c.generation for c in checkpoints],
            encodings=[c.encoding for c in checkpoints],
            datas=[None if c.data is None else compressor.compress(c.data) for c in checkpoints],
            object_keys=[c.object_key for c in checkpoints],
            sizes=[c.size_bytes for c in checkpoints],
            hashes=[c.sha256 for c in checkpoints],
            progress=[c.progress_percent for c in checkpoints],
        )
        return [row["object_key"] for row in rows if row["object_key"] is not None]

    async def newest_good_checkpoint(
        self, conn: Connection, customer_id: str, workload_id: str, up_to: int
    ) -> StoredCheckpoint | None:
        """The newest checkpoint up to a sequence whose length and SHA-256 are right; None when none is."""
        rows = await _queries.checkpoints(conn, customer_id=customer_id, workload_id=workload_id, up_to=up_to)
        for row in rows:
            data = b""
            if row["object_key"] is None:
                try:
                    data = zstandard.ZstdDecompressor().decompress(
                        row["data"], max_output_size=row["size_bytes"] or 1
                    )
                except zstandard.ZstdError:
                    continue
                if len(data) != row["size_bytes"] or hashlib.sha256(data).digest() != row["sha256"]:
                    continue
            return StoredCheckpoint(
                row["sequence"], row["encoding"], data, row["object_key"], row["size_bytes"], row["sha256"]
            )
        return None

    async def add_logs(self, conn: Connection, lines: Sequence[LogRow]) -> None:
        """Append log lines."""
        await _queries.add_logs(
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

    async def audit(
        self,
        conn: Connection,
        customer_id: str,
        workload_id: str,
        lifetime: Lifetime,
        *,
        after: int = 0,
        most: int = 1000,
    ) -> list[Any]:
        """A workload's audit events after an ``event_id``, in order."""
        since, until = lifetime.with_slack(_AUDIT_SLACK)
        return list(
            await _queries.audit(
                conn,
                customer_id=customer_id,
                workload_id=workload_id,
                after=after,
                since=since,
                until=until,
                most=most,
            )
        )
