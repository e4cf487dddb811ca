"""What watchers need of PostgreSQL: many workloads at once, and only what is new since they were read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from niyanta.server.store.database import Connection, Queries

__all__ = ["LinePlace", "Move", "WatchStore"]

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


class LinePlace(NamedTuple):
    """A place in a workload's log: after the line with this generation and sequence."""

    customer_id: str
    workload_id: str
    generation: int
    sequence: int
    floor: datetime | None
    """No line after the place is older than this; None when that isn't known."""


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

    async def lines(
        self, conn: Connection, places: Sequence[LinePlace], most: int
    ) -> dict[tuple[str, str], list[Any]]:
        """The next ``most`` log lines of each workload, in the order in which they were committed."""
        rows = await _queries.lines(
            conn,
            customer_ids=[p.customer_id for p in places],
            workload_ids=[p.workload_id for p in places],
            generations=[p.generation for p in places],
            sequences=[p.sequence for p in places],
            floors=[p.floor for p in places],
            most=most,
        )
        found: dict[tuple[str, str], list[Any]] = {}
        for row in rows:
            found.setdefault((row["customer_id"], row["workload_id"]), []).append(row)
        return found
