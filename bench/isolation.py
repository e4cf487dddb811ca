"""Attempts in processes of their own, the default: throughput on eight slots, and one after another."""

from __future__ import annotations

import json
import statistics
import time
from typing import Any

import psutil

from bench.load import Api, percentile
from bench.system import System, running_system

__all__ = ["measure"]


async def measure(quick: bool) -> dict[str, Any]:
    """All of them, on one system with one worker of eight slots; with a process for each attempt, and with few."""
    async with running_system("bench.app:isolated") as system:
        await one_by_one(system.api(), "bench_isolated", 20)
        own = await of_type(system, "bench_isolated", quick)
        own["warm_process_pss_mb"] = warm_process_mb(system)
        await one_by_one(system.api(), "bench_reused", 20)
        return {**own, "with_reuse": await of_type(system, "bench_reused", quick)}


async def of_type(system: System, workload_type: str, quick: bool) -> dict[str, Any]:
    """Throughput and latency of one workload type."""
    return {
        "completed_per_second": await throughput(system, workload_type, 200 if quick else 1_000, 1 if quick else 3),
        **await one_by_one(system.api(), workload_type, 50 if quick else 200),
    }


def _body(workload_type: str) -> dict[str, Any]:
    return {"workload_type": workload_type, "input_params": {}}


async def throughput(system: System, workload_type: str, count: int, rounds: int) -> float:
    """From the first submission until the last is committed COMPLETED, per second; the median of the rounds."""
    rates = []
    for _ in range(rounds):
        began = time.perf_counter()
        await system.api().submit(_body(workload_type), 8, count=count)
        await system.until_idle()
        rates.append(count / (time.perf_counter() - began))
    return round(statistics.median(rates), 1)


async def one_by_one(api: Api, workload_type: str, samples: int) -> dict[str, float]:
    """From the submit call until the caller knows of the end, while nothing else runs."""
    streams = await api.connect()
    body = json.dumps(_body(workload_type)).encode()
    took: list[float] = []
    for _ in range(samples):
        sent = time.perf_counter()
        _, answer = await api.call(streams, "POST", "/workloads", body)
        path = f"/workloads/{json.loads(answer)['workload_id']}?wait_seconds=10"
        while json.loads((await api.call(streams, "GET", path))[1])["status"] != "COMPLETED":
            pass
        took.append(time.perf_counter() - sent)
    streams[1].close()
    return {f"submit_to_completed_p{n}_ms": round(percentile(took, n / 100) * 1000, 1) for n in (50, 95)}


def warm_process_mb(system: System) -> float | None:
    """What a process that waits for its attempt has to itself, shared pages in proportion; None when none waits."""
    waiting = [
        process.memory_full_info().pss / 1e6
        for process in psutil.Process(system.pid).children(recursive=True)
        if process.name() == "niyanta-runner"
    ]
    return round(statistics.median(waiting), 1) if waiting else None
