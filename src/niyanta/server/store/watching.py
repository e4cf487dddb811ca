"""What watchers need of PostgreSQL: many workloads at once, and only what is new since they were read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from niyanta.server.store.database import Connection, Queries

__all__ = ["LineSpan", "Move", "WatchStore"]

_queries = Queries("watching.sql")


class _Details(msgspec.Struct, frozen=True):
    to: str
    attempt: int
    version: int = 0
    error: str | None = None
    reason: str | None = None


class Move(msgspec.Struct, frozen=True):
    """A move as the audit trail tells it."""

    event_id: int
    at: datetime
    details: _Details


class LineSpan(NamedTuple):
    """A part of a workload's log: the lines after one generation and sequence, up to another."""

    customer_id: str
    workload_id: str
    generation: int
    sequence: int
    last_generation: int
    last_sequence: int
    floor: datetime | None
    """None of the lines is older than this; None when that isn't known."""


_decode_moves = msgspec.json.Decoder(list[Move]).decode


class WatchStore:
    """Queries for watchers. Every method takes the connection."""

    async def states(
        self, conn: Connection, workloads: Sequence[tuple[str, str, int]]
    ) -> dict[tuple[str, str], tuple[Any, list[Move]]]:
        """The rows of (customer, workload, last event seen), each with the moves since; missing ones are left out."""
        rows = await _queries.states(
            conn,
            customer_ids=[w[0] for w in workloads],
            workload_ids=[w[1] for w in workloads],
            seen_events=[w[2] for w in workloads],
        )
        return {
            (row["customer_id"], row["workload_id"]): (row, _decode_moves(row["moves"]) if row["moves"] else [])
            for row in rows
        }

    async def stale(
        self, conn: Connection, workloads: Sequence[tuple[str, str, int, int, int | None]]
    ) -> list[tuple[str, str]]:
        """Which of (customer, workload, version, generation, event sequence or None) are no longer so."""
        rows = await _queries.stale(
            conn,
            customer_ids=[w[0] for w in workloads],
            workload_ids=[w[1] for w in workloads],
            versions=[w[2] for w in workloads],
            generations=[w[3] for w in workloads],
            sequences=[w[4] for w in workloads],
        )
        return [(row["customer_id"], row["workload_id"]) for row in rows]

    async def lines(self, conn: Connection, spans: Sequence[LineSpan], most: int) -> dict[tuple[str, str], list[Any]]:
        """The first ``most`` log lines of each span, in the order in which they were committed."""
        rows = await _queries.lines(
            conn,
            customer_ids=[s.customer_id for s in spans],
            workload_ids=[s.workload_id for s in spans],
            generations=[s.generation for s in spans],
            sequences=[s.sequence for s in spans],
            last_generations=[s.last_generation for s in spans],
            last_sequences=[s.last_sequence for s in spans],
            floors=[s.floor for s in spans],
            most=most,
        )
        found: dict[tuple[str, str], list[Any]] = {}
        for row in rows:
            found.setdefault((row["customer_id"], row["workload_id"]), []).append(row)
        return found
