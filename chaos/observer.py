"""Looks at the database past every proxy: snapshots while a run lasts, and all of the history when it is over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from chaos.fleet import CUSTOMERS, Fleet
from chaos.history import History, Move, Row, Sample, read_traces

__all__ = ["Observer"]

_OF_CUSTOMERS = """
SELECT c.customer_id,
       count(w.status) FILTER (WHERE w.status IN ('SCHEDULED', 'RUNNING')) AS held,
       count(w.status) FILTER (WHERE w.status IN ('PENDING', 'REDISTRIBUTING')) AS queued,
       count(w.status) FILTER (WHERE w.status = 'PENDING' AND w.generation = 0) AS untried,
       max(u.running) AS counted_held, max(u.queued) AS counted_queued
  FROM customers c
  LEFT JOIN customer_usage u USING (customer_id)
  LEFT JOIN workloads w ON w.customer_id = c.customer_id
       AND w.status IN ('PENDING', 'REDISTRIBUTING', 'SCHEDULED', 'RUNNING')
 GROUP BY c.customer_id
"""
_OF_WORKERS = """
SELECT f.worker_id, f.capacity,
       count(w.status) AS held
  FROM workers f
  LEFT JOIN workloads w ON w.incarnation = f.incarnation AND w.worker_id = f.worker_id
 GROUP BY f.worker_id, f.capacity
"""
_OPEN = """
SELECT workload_id, status, version, available_at > now() AS backing_off FROM workloads
 WHERE status NOT IN ('COMPLETED', 'FAILED', 'CANCELLED', 'PAUSED')
"""
_STEP = re.compile(r"step (\d+)")


class Observer:
    """Reads what is stored.

    Attributes:
        stalls: Moments at which this process itself got no turn for over two seconds, and for how long: then the
            machine was too busy, for the system under test too.
    """

    def __init__(self, fleet: Fleet, history: History) -> None:
        self._fleet = fleet
        self._history = history
        self._offset = time.monotonic() - time.time()
        self.stalls: list[tuple[float, float]] = []

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        connection = await asyncpg.connect(self._fleet.database_url, timeout=5, command_timeout=60)
        try:
            yield connection
        finally:
            connection.terminate()

    async def watch(self) -> None:
        """Take snapshots until cancelled; while the database is away there are none."""
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                async with self._connection() as connection:
                    while True:
                        await self._sample(connection)
                        await asyncio.sleep(0.5)
            await asyncio.sleep(0.5)

    async def watch_itself(self) -> None:
        """Notice when this process gets no turn."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.25)
            now = time.monotonic()
            if now - last > 2.25:
                self.stalls.append((last, now - last))
            last = now

    async def _sample(self, connection: asyncpg.Connection[Any]) -> None:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            customers = await connection.fetch(_OF_CUSTOMERS)
            workers = await connection.fetch(_OF_WORKERS)
        now = time.monotonic()
        for row in customers:
            limits = CUSTOMERS.get(row["customer_id"])
            if limits is None:
                continue
            sample = Sample(
                now,
                row["customer_id"],
                held=row["held"],
                most_held=int(limits["max_concurrent_workloads"]),
                untried=row["untried"],
                most_queued=int(limits["max_queue_depth"]),
                counted_held=row["counted_held"] or 0,
                queued=row["queued"],
                counted_queued=row["counted_queued"] or 0,
            )
            self._history.samples.append(sample)
        for row in workers:
            self._history.samples.append(Sample(now, row["worker_id"], row["held"], row["capacity"]))

    async def open_workloads(self) -> dict[str, tuple[str, int, bool]]:
        """Status, version and whether it waits out a back-off, of each that should move on by itself."""
        async with self._connection() as connection:
            rows = await connection.fetch(_OPEN)
        return {row["workload_id"]: (row["status"], row["version"], bool(row["backing_off"])) for row in rows}

    async def collect(self) -> None:
        """Read everything that is stored into the history."""
        async with self._connection() as connection:
            for row in await connection.fetch("SELECT * FROM audit_events WHERE event_type LIKE 'workload.%'"):
                self._history.moves.append(self._move(row))
            for row in await connection.fetch("SELECT * FROM workloads"):
                self._history.rows.append(_row(row))
            query = "SELECT workload_id, generation, message FROM workload_logs ORDER BY generation, sequence"
            for row in await connection.fetch(query):
                if found := _STEP.fullmatch(row["message"]):
                    key = (row["workload_id"], row["generation"])
                    self._history.logged.setdefault(key, []).append(int(found[1]))
        self._history.traces.extend(read_traces(self._fleet.traces))

    def _move(self, row: Any) -> Move:
        details = json.loads(row["details"])
        return Move(
            row["customer_id"],
            row["workload_id"],
            row["event_id"],
            row["event_type"].removeprefix("workload."),
            row["occurred_at"].timestamp() + self._offset,
            details.get("from"),
            details.get("to"),
            details["attempt"],
            details["version"],
            details.get("worker_id"),
            details.get("checkpoint_sequence") or 0,
            str(details.get("reason") or ""),
            str(details.get("error") or ""),
        )


def _row(row: Any) -> Row:
    params = json.loads(row["input_params"])
    return Row(
        row["customer_id"],
        row["workload_id"],
        row["workload_type"],
        row["status"],
        row["version"],
        row["generation"],
        row["event_count"],
        row["checkpoint_sequence"],
        params.get("token"),
        (params.get("mishap") or {}).get("kind", ""),
    )
