"""Throughput while workers are killed again and again, against none killed; on the defaults' timers."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from typing import Any

from bench.failover import agents_of
from bench.system import System, running_system

__all__ = ["measure"]

BODY: dict[str, Any] = {"workload_type": "bench_second", "input_params": {}}
WORKERS = 4
_BACKLOG = 1_500
_BETWEEN_SECONDS = 10.0


async def measure(quick: bool) -> dict[str, Any]:
    """Completions a second of workloads of a second each, on four workers that are started again when they end."""
    seconds = 30.0 if quick else 120.0
    async with running_system("bench.app:second", workers=WORKERS) as system:
        await _fill(system, _BACKLOG)
        async with asyncio.timeout(60):
            while await system.completed() < 100:
                await asyncio.sleep(0.2)
        none = await _rate(system, seconds)
        stopping = asyncio.Event()
        killing = asyncio.create_task(_kill_now_and_then(system, stopping))
        kills = await _rate(system, seconds)
        stopping.set()
        killed = await killing
        return {
            "seconds": seconds,
            "kills": killed,
            "completed_per_second_with_none": round(none, 1),
            "completed_per_second_with_kills": round(kills, 1),
            "with_kills_against_none": round(kills / none, 3),
        }


async def _fill(system: System, count: int) -> None:
    """Bring the backlog up to so many."""
    api = system.api()
    streams = await api.connect()
    while count > 0:
        body = json.dumps({"workloads": [BODY] * min(1000, count)}).encode()
        status, answer = await api.call(streams, "POST", "/workloads/batch", body)
        if status != 202:
            raise RuntimeError(f"a batch answered {status}: {answer[:300]!r}")
        count -= 1000
    streams[1].close()


async def _rate(system: System, seconds: float) -> float:
    """Completions a second while the backlog is kept up."""
    first, began = await system.completed(), time.perf_counter()
    query = "SELECT queued FROM customer_usage WHERE customer_id = $1"
    while time.perf_counter() - began < seconds:
        queued = await system.connection.fetchval(query, system.customer_id)
        if queued < _BACKLOG / 2:
            await _fill(system, _BACKLOG // 2)
        await asyncio.sleep(0.5)
    return (await system.completed() - first) / (time.perf_counter() - began)


async def _kill_now_and_then(system: System, stopping: asyncio.Event) -> int:
    chance, killed = random.Random(1), 0
    while not stopping.is_set():
        agents = sorted(agents_of(system).items())
        if agents:
            os.kill(chance.choice(agents)[1].pid, signal.SIGKILL)
            killed += 1
        try:
            async with asyncio.timeout(_BETWEEN_SECONDS):
                await stopping.wait()
        except TimeoutError:
            continue
    return killed
