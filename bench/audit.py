"""What sealing costs where audit events are appended: the numbers that they get, beside a table without them.

Each round appends to both in turn, a hundred events a transaction, as a batch of moves does; the median counts.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from asyncpg import Connection

from bench.system import running_system

__all__ = ["measure"]

_APPEND = """
INSERT INTO {table} (customer_id, workload_id, event_id, event_type, occurred_at, actor_type, actor_id, details)
SELECT 'bench', 'wl_' || $1::text || '_' || n, 1, 'SUBMITTED', now(), 'user', 'bench', '{{"status": "PENDING"}}'
  FROM generate_series(1, $2::int) n
"""
_PLAIN = """
CREATE TABLE bench_audit (LIKE audit_events INCLUDING CONSTRAINTS INCLUDING STORAGE,
    PRIMARY KEY (customer_id, workload_id, event_id, occurred_at)) PARTITION BY RANGE (occurred_at);
ALTER TABLE bench_audit ALTER COLUMN entry_number DROP DEFAULT;
CREATE TABLE bench_audit_all PARTITION OF bench_audit DEFAULT;
"""
_EVENTS = 100


async def measure(quick: bool) -> dict[str, Any]:
    """Milliseconds for each transaction, and what the seals cost behind the writers' backs."""
    async with running_system() as system:
        await system.connection.execute(_PLAIN)
        took = await _appended(system.connection, 200 if quick else 1_000)
        began = time.perf_counter()
        newest = await system.connection.fetchval("SELECT max(entry_number) FROM audit_events")
        while await system.connection.fetchval("SELECT sealed_to FROM audit_sealing") < newest:
            await system.connection.execute("SELECT pg_sleep(0.02)")
        waited = time.perf_counter() - began
    with_numbers, without = (statistics.median(each) for each in took)
    return {
        "events_a_transaction": _EVENTS,
        "append_ms": round(1000 * with_numbers, 3),
        "append_without_numbers_ms": round(1000 * without, 3),
        "costs_percent": round(100 * (with_numbers / without - 1), 1),
        "sealed_after_the_last_seconds": round(waited, 2),
    }


async def _appended(connection: Connection, rounds: int) -> tuple[list[float], list[float]]:
    took: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for place, table in enumerate(("audit_events", "bench_audit")):
            began = time.perf_counter()
            await connection.execute(_APPEND.format(table=table), str(number), _EVENTS)
            took[place].append(time.perf_counter() - began)
    return took
