"""What watchers need of PostgreSQL: many workloads at once, and only what is new since they were read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from niyanta.domain.workload import Key, Status
from niyanta.server.store.logs import StoredLine, read_line
from niyanta.server.store.queries import Connection, Queries, Reader, Row

__all__ = ["LineSpan", "PastMove", "WatchStore", "WatchedState"]


class _Details(msgspec.Struct, frozen=True):
    to: str
    attempt: int
    version: int = 0
    error: str | None = None
    reason: str | None = None


class PastMove(msgspec.Struct, frozen=True):
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


class WatchedState(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of a workload: how it stands, and its moves since the reading before."""

    customer_id: str
    workload_id: str
    status: Status
    version: int
    generation: int
    event_sequence: int
    event_count: int
    progress_percent: int
    progress_message: str | None
    error_message: str | None
    completed_at: datetime | None
    result_json: str | None
    db_now: datetime
    """The database's time when it was read."""
    moves: list[PastMove]


_decode_moves = msgspec.json.Decoder(list[PastMove]).decode


def _moves(text: str | None) -> list[PastMove]:
    return _decode_moves(text) if text else []


def _read_keyed_line(row: Row) -> tuple[Key, StoredLine]:
    return (row["customer_id"], row["workload_id"]), read_line(row)


class _Stale(NamedTuple):
    customer_id: str
    workload_id: str


_queries = Queries("watching.sql")
_states = _queries.many("states", WatchedState, Reader(WatchedState, {"moves": _moves}))
_stale = _queries.many("stale", _Stale)
_lines = _queries.many("lines", tuple[Key, StoredLine], _read_keyed_line)


class WatchStore:
    """Queries for watchers. Every method takes the connection."""

    async def states(self, conn: Connection, workloads: Sequence[tuple[str, str, int]]) -> dict[Key, WatchedState]:
        """How (customer, workload, last event seen) stand, with the moves since; missing ones are left out."""
        found = await _states(
            conn,
            customer_ids=[w[0] for w in workloads],
            workload_ids=[w[1] for w in workloads],
            seen_events=[w[2] for w in workloads],
        )
        return {(state.customer_id, state.workload_id): state for state in found}

    async def stale(
        self, conn: Connection, workloads: Sequence[tuple[str, str, int, int, int | None]]
    ) -> Sequence[Key]:
        """Which of (customer, workload, version, generation, event sequence or None) are no longer so."""
        return await _stale(
            conn,
            customer_ids=[w[0] for w in workloads],
            workload_ids=[w[1] for w in workloads],
            versions=[w[2] for w in workloads],
            generations=[w[3] for w in workloads],
            sequences=[w[4] for w in workloads],
        )

    async def lines(self, conn: Connection, spans: Sequence[LineSpan], most: int) -> dict[Key, list[StoredLine]]:
        """The first ``most`` log lines of each span, in the order in which they were committed."""
        lines = await _lines(
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
        found: dict[Key, list[StoredLine]] = {}
        for key, line in lines:
            found.setdefault(key, []).append(line)
        return found
