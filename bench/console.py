"""What the console asks for all day, at a million workloads: lists by every filter, failures, and why one waits."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from bench.agents import Agents
from bench.load import Api, percentile
from bench.system import System, running_system
from niyanta.server.services.checking import placement_key

__all__ = ["measure"]

TYPE = "bench_held"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_OF_ID = " || ".join(
    f"substr('{_ALPHABET}', ((extract(epoch FROM at) * 1000)::bigint >> {5 * place} & 31)::int + 1, 1)"
    for place in reversed(range(10))
)
"""The ten letters that an id begins with (`niyanta.domain.ids`)."""
_FILL = f"""
INSERT INTO workloads (customer_id, workload_id, workload_type, status, priority, input_params, placement_key,
                       queue_rank, created_at, started_at, completed_at, progress_percent, ready, error_message)
SELECT $1, 'wl_' || {_TIME_OF_ID} || lpad(n::text, 16, '0'), 'bench_list_' || n % 8, status, n % 1000, '{{}}',
       1 + n % 8, n, at, CASE WHEN ended THEN at + interval '5 s' END,
       CASE WHEN ended THEN at + interval '60 s' END, CASE WHEN status = 'COMPLETED' THEN 100 ELSE 0 END,
       status = 'PENDING', CASE WHEN status = 'FAILED' THEN 'error' END
  FROM (SELECT n, now() - ($2 - n) * interval '1728 s' * (1000.0 / $2),
               (ARRAY['FAILED', 'CANCELLED', 'PENDING', 'COMPLETED'])[least(abs(hashint4(n)) % 10, 3) + 1]
          FROM generate_series(1, $2::int) n) x (n, at, status)
 CROSS JOIN LATERAL (SELECT status IN ('COMPLETED', 'FAILED', 'CANCELLED') AS ended) y
"""
_LABEL = (
    "SELECT customer_id, workload_id, 'team', 't' || priority % 10 FROM workloads",
    "SELECT customer_id, workload_id, 'env', CASE WHEN status = 'FAILED' THEN 'test' ELSE 'prod' END FROM workloads",
    "SELECT customer_id, workload_id, 'run', (queue_rank::int / 1000)::text FROM workloads WHERE priority % 10 = 3",
    "SELECT customer_id, workload_id, '', 'f' || queue_rank::int % 20 FROM workloads WHERE status = 'FAILED'",
)
_COUNT = (
    """INSERT INTO failure_hours
       SELECT customer_id, date_trunc('hour', completed_at, 'UTC'), 'f' || queue_rank::int % 20, 'bench_list_0',
              count(*), min(completed_at), max(completed_at), 'error'
         FROM workloads WHERE status = 'FAILED' GROUP BY 1, 2, 3""",
    """INSERT INTO workload_hours (customer_id, hour, workload_type, created)
       SELECT customer_id, date_trunc('hour', created_at, 'UTC'), workload_type, count(*)
         FROM workloads GROUP BY 1, 2, 3""",
)
_WAITING = """
INSERT INTO workloads (customer_id, workload_id, workload_type, status, priority, input_params, placement_key,
                       queue_rank, created_at)
SELECT $1, 'wl_7zz0' || lpad(n::text, 22, '0'), $2, 'PENDING', 0, '{}', $3, extract(epoch FROM now()) + n * 1e-3,
       now()
  FROM generate_series(1, $4::int) n
"""


async def measure(quick: bool) -> dict[str, Any]:
    """Times of whole requests over one connection, in milliseconds: the service's own time is less."""
    workloads, rounds = (20_000, 20) if quick else (1_000_000, 200)
    async with running_system() as system:
        await _fill(system, workloads)
        api = system.api()
        lists = {name: await _pages(api, path, rounds) for name, path in _paths(workloads)}
        asked = [f"/failures?limit=50{more}" for more in ("", "&order_by=count", "&workload_type=bench_list_0")]
        failures = await _times(api, asked * (rounds // 3))
        return {
            "workloads": workloads,
            "lists": lists,
            "failures": failures,
            "explain": await _explain(system, api, workloads, rounds),
        }


async def _fill(system: System, count: int) -> None:
    connection = system.connection
    await connection.execute(_FILL, system.customer_id, count)
    for labels in _LABEL:
        await connection.execute(f"INSERT INTO workload_labels {labels}")
    for statement in _COUNT:
        await connection.execute(statement)
    await connection.execute("VACUUM ANALYZE")


def _paths(workloads: int) -> Iterator[tuple[str, str]]:
    now = datetime.now(UTC)
    day = f"&created_after={_moment(now - timedelta(days=3))}&created_before={_moment(now - timedelta(days=2))}"
    yield "everything", ""
    yield "status", "&status=FAILED"
    yield "type", "&workload_type=bench_list_3"
    for order_by in ("priority", "status", "workload_type", "progress_percent", "started_at", "completed_at"):
        yield f"by_{order_by}", f"&order_by={order_by}"
    yield "a_day", day
    yield "a_day_and_status", f"{day}&status=COMPLETED"
    yield "id_prefix", "&q=wl_01"
    yield "label_on_a_tenth", "&label=team:t3"
    yield "label_on_most", "&label=env:prod"
    yield "label_on_few", f"&label=run:{workloads // 2000}"
    yield "two_labels", "&label=env:prod&label=team:t3"
    yield "two_labels_never_together", "&label=run:1&label=team:t4"
    yield "label_and_status", "&label=team:t3&status=FAILED"
    yield "label_and_status_never_together", "&label=env:prod&status=FAILED"
    yield "label_and_type", "&label=env:prod&workload_type=bench_list_3"
    yield "label_and_a_day", f"&label=team:t3{day}"
    yield "fingerprint", "&fingerprint=f7"
    yield "fingerprint_and_type", "&fingerprint=f7&workload_type=bench_list_7"


def _moment(at: datetime) -> str:
    return quote(at.isoformat())


async def _pages(api: Api, filters: str, rounds: int) -> dict[str, float]:
    """Every other page is the first, with the total; the others follow it by its cursor."""
    streams = await api.connect()
    took: list[float] = []
    cursor: str | None = None
    for _ in range(rounds):
        more = "" if cursor is None else f"&cursor={cursor}"
        seconds, body = await _timed(api, streams, f"/workloads?limit=50{filters}{more}")
        took.append(seconds)
        cursor = None if cursor is not None else body["pagination"]["next_cursor"]
    streams[1].close()
    return _figures(took)


async def _times(api: Api, paths: list[str]) -> dict[str, float]:
    streams = await api.connect()
    took = [(await _timed(api, streams, path))[0] for path in paths]
    streams[1].close()
    return _figures(took)


async def _timed(api: Api, streams: Any, path: str) -> tuple[float, dict[str, Any]]:
    began = time.perf_counter()
    status, answer = await api.call(streams, "GET", path)
    took = time.perf_counter() - began
    if status != 200:
        raise RuntimeError(f"{path} answered {status}: {answer[:300]!r}")
    return took, json.loads(answer)


def _figures(took: list[float]) -> dict[str, float]:
    return {f"p{n}_ms": round(percentile(took, n / 100) * 1000, 2) for n in (50, 95)}


async def _explain(system: System, api: Api, waiting: int, rounds: int) -> dict[str, float]:
    """Why one of so many waits, behind workers that are full."""
    agents = Agents(system.credentials, TYPE, 3, 5)
    await agents.start()
    try:
        place = placement_key(TYPE, None)
        await system.connection.execute(_WAITING, system.customer_id, TYPE, place, waiting)
        await system.connection.execute(
            "UPDATE customer_usage SET queued = queued + $2 WHERE customer_id = $1", system.customer_id, waiting
        )
        await system.connection.execute("VACUUM ANALYZE workloads")
        async with asyncio.timeout(60):
            while agents.held < 15:
                await asyncio.sleep(0.1)
        numbers = random.Random(1).sample(range(100, waiting), rounds)
        return await _times(api, [f"/workloads/wl_7zz0{number:022}/explain" for number in numbers])
    finally:
        await agents.stop()
