"""Rows for the store's tests, written straight to the tables: many, and with every kind of tie and gap."""

from __future__ import annotations

from typing import Any, cast

import asyncpg

from niyanta.server.store.queries import Connection

__all__ = ["ExplainFirst", "add_customer", "add_workloads", "whole"]

_FILL = """
INSERT INTO workloads (customer_id, workload_id, workload_type, status, priority, input_params, placement_key,
                       queue_rank, created_at, started_at, completed_at, incarnation, worker_id, progress_percent,
                       ready, paused_at)
SELECT $1, 'wl_' || lpad(to_hex(i), 26, '0'), 'type_' || abs(hashint4(i)) % 4, status, abs(hashint4(i + 7)) % 5, '{}',
       1, i, at, CASE WHEN has_started THEN at + interval '5 s' END,
       CASE WHEN status IN ('COMPLETED', 'FAILED', 'CANCELLED')
            THEN at + abs(hashint4(i + 3)) % 100 * interval '10 s' END,
       CASE WHEN status IN ('SCHEDULED', 'RUNNING') THEN 'inc' END,
       CASE WHEN status IN ('SCHEDULED', 'RUNNING') THEN 'w1' END,
       CASE WHEN status = 'COMPLETED' THEN 100 WHEN has_started THEN abs(hashint4(i + 1)) % 4 * 25 ELSE 0 END,
       status IN ('PENDING', 'REDISTRIBUTING'), CASE WHEN status = 'PAUSED' THEN at END
  FROM (SELECT i, now() - ($2 - i) / 7 * interval '700 s' AS at,
               CASE WHEN i % 40 = 0 THEN 'RUNNING' WHEN i % 41 = 0 THEN 'SCHEDULED'
                    ELSE (ARRAY['PENDING', 'PENDING', 'PAUSED', 'REDISTRIBUTING', 'COMPLETED', 'COMPLETED', 'FAILED',
                                'CANCELLED'])[abs(hashint4(i + 2)) % 8 + 1] END AS status,
               abs(hashint4(i + 5)) % 3 > 0 AS lucky
          FROM generate_series(1, $2::int) i) x
 CROSS JOIN LATERAL (SELECT status IN ('RUNNING', 'PAUSED', 'COMPLETED', 'REDISTRIBUTING')
                            OR status IN ('FAILED', 'CANCELLED') AND lucky AS has_started) y
"""

_HOURS = """
INSERT INTO workload_hours
SELECT customer_id, date_trunc('hour', created_at, 'UTC'), workload_type, count(*),
       count(*) FILTER (WHERE status = 'COMPLETED'), count(*) FILTER (WHERE status = 'FAILED'),
       count(*) FILTER (WHERE status = 'CANCELLED'),
       coalesce(sum(extract(epoch FROM completed_at - started_at)) FILTER (WHERE status = 'COMPLETED'), 0),
       coalesce(sum(extract(epoch FROM completed_at - started_at)), 0)
  FROM workloads WHERE customer_id = $1 GROUP BY 1, 2, 3
"""


def whole(conn: Connection) -> asyncpg.Connection:
    """A connection with all that the driver gives it; the stores know a part."""
    return cast("asyncpg.Connection", conn)


async def add_customer(conn: Connection, customer_id: str) -> None:
    await conn.execute("INSERT INTO customers (customer_id, name, tier) VALUES ($1, $1, 'enterprise')", customer_id)
    await conn.execute("INSERT INTO customer_usage (customer_id) VALUES ($1)", customer_id)


async def add_workloads(conn: Connection, customer_id: str, count: int) -> None:
    """Workloads of four types in every status, seven at a time created together, with their hours."""
    await conn.execute(_FILL, customer_id, count)
    await conn.execute(_HOURS, customer_id)
    await conn.execute("ANALYZE")


class ExplainFirst:
    """A connection that explains a query before it runs it."""

    def __init__(self, conn: asyncpg.Connection) -> None:
        self._conn = conn
        self.plan = ""
        self.rows_read = 0

    async def fetch(self, sql: str, *args: Any) -> Any:
        lines = await self._conn.fetch(f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) {sql}", *args)
        self.plan = "\n".join(line[0] for line in lines)
        for line in self.plan.splitlines():
            if " Scan" in line and "on workloads" in line and "rows=" in line:
                loops = int(line.split("loops=")[1].rstrip(")"))
                self.rows_read += round(float(line.split("rows=")[1].split()[0]) * loops)
        return await self._conn.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Any) -> Any:
        rows = await self.fetch(sql, *args)
        return rows[0] if rows else None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)
