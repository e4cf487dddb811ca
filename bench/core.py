"""The core: submissions, end-to-end throughput, idle latency, memory, and all of it over a growing backlog."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from datetime import datetime
from typing import Any

from bench.load import Api, percentile
from bench.system import TYPE, System, running_system

__all__ = ["measure"]

BODY: dict[str, Any] = {"workload_type": TYPE, "input_params": {}}
NOWHERE = {**BODY, "affinity_rules": {"hard_affinity": {"worker_id": "no-such-worker"}}}
CONNECTIONS = 32


async def measure(quick: bool) -> dict[str, Any]:
    """All of them, on one system."""
    async with running_system() as system:
        api = system.api()
        await api.submit(BODY, CONNECTIONS, count=2_000)
        await system.until_idle()
        found: dict[str, Any] = {"memory_idle_mb": system.memory_mb()}
        found["idle"] = await idle_latency(api, 100 if quick else 500)
        found["rest_submissions_per_second"] = await submissions(system, quick)
        found["end_to_end_per_second"], found["cpu_us_per_workload"] = await end_to_end(system, quick)
        found["by_backlog"] = await by_backlog(system, quick)
        rates = [row["completed_per_second"] for row in found["by_backlog"].values()]
        found["throughput_at_largest_backlog_against_smallest"] = round(rates[-1] / rates[0], 3)
        return found


async def idle_latency(api: Api, samples: int) -> dict[str, float]:
    """From the submit call to the handler's first line, one at a time, and the acknowledgement alone.

    Where the slowest fiftieth has spent its time, beside the middle fifth: until the service took it, until the
    statement that assigns it began, from there (commit, push, start) to the handler's first line.
    """
    streams = await api.connect()
    to_start: list[float] = []
    to_ack: list[float] = []
    stages: list[tuple[float, ...]] = []
    body = json.dumps(BODY).encode()
    for _ in range(samples):
        sent_wall, sent = time.time(), time.perf_counter()
        _, answer = await api.call(streams, "POST", "/workloads", body)
        to_ack.append(time.perf_counter() - sent)
        workload_id = json.loads(answer)["workload_id"]
        while True:
            _, found = await api.call(streams, "GET", f"/workloads/{workload_id}?wait_seconds=10")
            workload = json.loads(found)
            if workload["status"] == "COMPLETED":
                break
        began = workload["result_data"]["began"]
        to_start.append(began - sent_wall)
        created, assigned = (
            datetime.fromisoformat(workload[at]).timestamp() for at in ("created_at", "scheduled_at")
        )
        stages.append((began - sent_wall, created - sent_wall, assigned - created, began - assigned))
    streams[1].close()
    stages.sort()
    parts = {"middle": stages[samples * 2 // 5 : samples * 3 // 5], "slowest": stages[-max(1, samples // 50) :]}
    return {
        f"{name}_{label}_ms": round(percentile(values, share) * 1000, 2)
        for name, values in (("submit_to_start", to_start), ("acknowledgement", to_ack))
        for label, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    } | {
        f"{name}_{stage}_ms": round(statistics.fmean(taken) * 1000, 2)
        for name, rows in parts.items()
        for stage, taken in zip(("to_start", "taken", "assigned", "started"), zip(*rows, strict=True), strict=True)
    }


async def submissions(system: System, quick: bool) -> int:
    """Single submissions that no worker may take, 32 connections, per second; median of three."""
    rates = []
    for _ in range(1 if quick else 3):
        load = await system.api().submit(NOWHERE, CONNECTIONS, count=5_000 if quick else 10_000)
        rates.append(load.count / load.seconds)
        await system.clear_queue()
    return round(statistics.median(rates))


async def end_to_end(system: System, quick: bool) -> tuple[int, dict[str, int]]:
    """Single submissions over REST until the last is committed COMPLETED, per second; median of three.

    And what one of them costs in CPU, in microseconds by kind of process: a figure that depends less on what
    else runs on the machine.
    """
    rates = []
    rounds, count = (1, 5_000) if quick else (3, 15_000)
    used = system.cpu_seconds()
    for _ in range(rounds):
        began = time.perf_counter()
        await system.api().submit(BODY, 2 * CONNECTIONS, count=count)
        await system.until_idle()
        rates.append(count / (time.perf_counter() - began))
    cost = {
        name: round((seconds - used.get(name, 0.0)) / (rounds * count) * 1e6)
        for name, seconds in system.cpu_seconds().items()
    }
    return round(statistics.median(rates)), {**cost, "all": sum(cost.values())}


async def by_backlog(system: System, quick: bool) -> dict[str, Any]:
    """Throughput and memory while the backlog stays at its size: as many are submitted as have completed."""
    found: dict[str, Any] = {}
    window = 4.0 if quick else 12.0
    for series, backlog in enumerate([1_000, 20_000] if quick else [1_000, 100_000, 1_000_000]):
        await system.clear_queue()
        await system.fill_queue(backlog + 1000, series)  # a thousand of them are on the worker at any time
        rate, memory = await _steady(system, window)
        found[str(backlog)] = {"completed_per_second": round(rate), "memory_mb": memory}
    await system.clear_queue()
    return found


async def _steady(system: System, seconds: float) -> tuple[float, dict[str, float]]:
    """Completions per second while batches put back into the queue what has left it.

    The time begins with the first: what was put into the queue without a word is found after up to three seconds.
    """
    api = system.api()
    streams = await api.connect()
    first = before = await system.completed()
    async with asyncio.timeout(60):
        while first == before:
            await asyncio.sleep(0.01)
            first = await system.completed()
    began = time.perf_counter()
    submitted = done = 0
    while time.perf_counter() - began < seconds:
        done = await system.completed() - first
        missing = min(1000, done - submitted)
        if missing < 100:
            await asyncio.sleep(0.01)
            continue
        body = json.dumps({"workloads": [BODY] * missing}).encode()
        status, answer = await api.call(streams, "POST", "/workloads/batch", body)
        if status != 202:
            raise RuntimeError(f"a batch answered {status}: {answer[:300]!r}")
        submitted += missing
    memory = system.memory_mb()
    done = await system.completed() - first
    streams[1].close()
    return done / (time.perf_counter() - began), memory
