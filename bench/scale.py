"""A large system that does nothing: 50,000 customers, 10,000 lanes, 500 workers and 10,000 running workloads."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import psutil

from bench.agents import Agents
from bench.load import percentile
from bench.system import System, running_system

__all__ = ["measure"]

TYPE = "bench_held"


async def measure(quick: bool) -> dict[str, Any]:
    """What the coordinator costs while nothing happens, and how long a GET takes then."""
    customers, lanes, workers, running = (5_000, 1_000, 50, 1_000) if quick else (50_000, 10_000, 500, 10_000)
    async with running_system() as system:
        await _add_customers(system, customers)
        agents = Agents(system.credentials, TYPE, workers, -(-running // workers) + 2)
        await agents.start()
        try:
            ids = await _run(system, agents, running)
            await _add_lanes(system, lanes)
            await asyncio.sleep(5 if quick else 20)  # until the lanes are known to the scheduler
            cores = await _idle(system, 10 if quick else 30)
            api = system.api()
            streams = await api.connect()
            took = []
            for number in range(200 if quick else 2_000):
                began = time.perf_counter()
                status, answer = await api.call(streams, "GET", f"/workloads/{ids[number * 7 % len(ids)]}")
                took.append(time.perf_counter() - began)
                if status != 200:
                    raise RuntimeError(f"a GET answered {status}: {answer[:300]!r}")
            streams[1].close()
            return {
                "customers": customers,
                "lanes": lanes,
                "workers": workers,
                "running": agents.held,
                "beats_unanswered": agents.unanswered,
                "agents_taken_for_dead": agents.lost,
                "idle_percent_of_a_core": cores,
                **{f"get_p{n}_ms": round(percentile(took, n / 100) * 1000, 2) for n in (50, 95, 99)},
                "memory_mb": system.memory_mb(),
            }
        finally:
            await agents.stop()


async def _add_customers(system: System, count: int) -> None:
    async with system.connection.transaction():
        await system.connection.execute(
            "INSERT INTO customers (customer_id, name, tier) "
            "SELECT 'cust_bench' || lpad(n::text, 6, '0'), 'bench', 'standard' FROM generate_series(1, $1::int) n",
            count,
        )
        await system.connection.execute(
            "INSERT INTO customer_usage (customer_id) SELECT customer_id FROM customers ON CONFLICT DO NOTHING"
        )
    await system.connection.execute("VACUUM ANALYZE customers, customer_usage")


async def _run(system: System, agents: Agents, count: int) -> list[str]:
    """Have so many workloads run on the simulated agents; gives their ids."""
    api = system.api()
    streams = await api.connect()
    ids: list[str] = []
    while len(ids) < count:
        body = {"workloads": [{"workload_type": TYPE, "input_params": {}}] * min(1000, count - len(ids))}
        status, answer = await api.call(streams, "POST", "/workloads/batch", json.dumps(body).encode())
        if status != 202:
            raise RuntimeError(f"a batch answered {status}: {answer[:300]!r}")
        ids += [result["workload_id"] for result in json.loads(answer)["results"]]
    streams[1].close()
    query = "SELECT count(*) FROM workloads WHERE customer_id = $1 AND status = 'RUNNING'"
    deadline = time.monotonic() + 300
    while (found := await system.connection.fetchval(query, system.customer_id)) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {found} of {count} run; {agents.lost} agents were taken for dead")
        await asyncio.sleep(0.2)
    return ids


async def _add_lanes(system: System, count: int) -> None:
    """One workload each in so many placement classes, of many customers, that suit no worker."""
    async with system.connection.transaction():
        await system.connection.execute(
            """
            INSERT INTO workloads (customer_id, workload_id, workload_type, status, priority, input_params,
                                   affinity_rules, placement_key, queue_rank, created_at)
            SELECT 'cust_bench' || lpad((n % 2000 + 1)::text, 6, '0'), 'wl_7zz0' || lpad(n::text, 22, '0'), $1,
                   'PENDING', 0, '{}', json_build_object('hard_affinity', json_build_object('worker_tags',
                   json_build_object('no', n::text))), n, extract(epoch FROM now()) + n * 1e-3, now()
              FROM generate_series(1, $2::int) n
            """,
            TYPE,
            count,
        )
        await system.connection.execute(
            "UPDATE customer_usage u SET queued = c.queued FROM (SELECT customer_id, count(*) AS queued "
            "FROM workloads WHERE ready GROUP BY 1) c WHERE u.customer_id = c.customer_id"
        )
    await system.connection.execute("VACUUM ANALYZE workloads")


async def _idle(system: System, seconds: float) -> dict[str, float]:
    """Processor time by kind of process, in percent of a core."""
    before = _times(system)
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    passed = time.perf_counter() - began
    after = _times(system)
    return {name: round(100 * (after[name] - before.get(name, 0.0)) / passed, 1) for name in sorted(after)}


def _times(system: System) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, group in system.processes().items():
        for process in group:
            try:
                used = process.cpu_times()
            except psutil.Error:
                continue
            found[name] = found.get(name, 0.0) + used.user + used.system
    return found
