"""How long workloads are without a worker after ``kill -9`` of their agent, with the default timers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psutil

from bench.load import Api, percentile
from bench.system import System, running_system

__all__ = ["agents_of", "measure"]

WORKERS = 4
_EACH_ROUND = 2 * WORKERS
NOWHERE = {
    "workload_type": "bench_sleep",
    "input_params": {},
    "affinity_rules": {"hard_affinity": {"worker_id": "no-such-worker"}},
}


async def measure(quick: bool) -> dict[str, Any]:
    """Seconds from the kill to RUNNING on another worker, on a quiet system and under all load that the API takes.

    Where nobody starts the killed one again until then, and where its supervisor does, at once.
    """
    count = 1 if quick else 8
    found: dict[str, Any] = {}
    async with running_system("bench.app:slow", workers=WORKERS) as system:
        found["gone"] = _figures(await _rounds(system, count, supervised=False))
        found["started_again"] = _figures(await _rounds(system, count, supervised=True))
        until = asyncio.Event()
        load = asyncio.create_task(_load(system, until))
        try:
            found["gone_under_load"] = _figures(await _rounds(system, count, supervised=False))
            found["started_again_under_load"] = _figures(await _rounds(system, count, supervised=True))
        finally:
            until.set()
            found["submitted_meanwhile"] = await load
        found["coordinator_warned_of"] = _warnings(system)
    return {"kill_to_running_elsewhere_seconds": found}


def _warnings(system: System) -> dict[str, int]:
    """How often the coordinator's log warns of what: a loss that was noticed late has its reason there."""
    lines = (system.data_dir / "logs" / "coordinator.log").read_text().splitlines()
    said = [json.loads(line) for line in lines if line.startswith("{")]
    return dict(Counter(line["event"] for line in said if line["level"] in ("warning", "error")))


def _figures(times: list[float]) -> dict[str, Any]:
    return {
        "median": round(statistics.median(times), 2),
        "p99": round(percentile(times, 0.99), 2),
        "longest": round(max(times), 2),
        "samples": len(times),
    }


async def _load(system: System, until: asyncio.Event) -> int:
    """Submissions that no worker may take, one after another on 16 connections; gives how many."""
    count = 0
    while not until.is_set():
        count += (await system.api().submit(NOWHERE, 16, count=2_000)).count
    return count


async def _rounds(system: System, count: int, *, supervised: bool) -> list[float]:
    return [seconds for _ in range(count) for seconds in await _kill_once(system, supervised=supervised)]


async def _kill_once(system: System, *, supervised: bool) -> list[float]:
    """Fill the fleet, kill the agent that holds the most, and give how long each of its workloads was away."""
    await _until_whole(system)
    api = system.api()
    streams = await api.connect()
    body = json.dumps({"workloads": [{"workload_type": "bench_sleep", "input_params": {}}] * _EACH_ROUND}).encode()
    _, answer = await api.call(streams, "POST", "/workloads/batch", body)
    ids = [result["workload_id"] for result in json.loads(answer)["results"]]
    running = [await _until(api, streams, each, lambda w: w["status"] == "RUNNING") for each in ids]
    agents = agents_of(system)
    holders = [w["worker_id"] for w in running]
    victim = max((h for h in holders if h in agents), key=holders.count)
    lost = [w for w in running if w["worker_id"] == victim]
    # Room for what is lost on the others: the killed one may be back only later.
    for workload in [w for w in running if w["worker_id"] != victim][: len(lost)]:
        await api.call(streams, "POST", f"/workloads/{workload['workload_id']}/cancel", b"{}")
    with contextlib.nullcontext() if supervised else _held(system):
        killed = time.perf_counter()
        os.kill(agents[victim].pid, signal.SIGKILL)
        seconds = await asyncio.gather(*(_away(system, workload, killed) for workload in lost))
    for workload in running:
        await api.call(streams, "POST", f"/workloads/{workload['workload_id']}/cancel", b"{}")
    streams[1].close()
    return list(seconds)


@contextlib.contextmanager
def _held(system: System) -> Iterator[None]:
    """The supervisor, which would start what is killed again, stands still."""
    supervisor = json.loads((system.data_dir / "processes.json").read_text())["dev"]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)


async def _away(system: System, workload: dict[str, Any], killed: float) -> float:
    api = system.api()
    streams = await api.connect()
    await _until(
        api,
        streams,
        workload["workload_id"],
        lambda w: w["status"] == "RUNNING" and w["generation"] > workload["generation"],
    )
    streams[1].close()
    return time.perf_counter() - killed


async def _until_whole(system: System) -> None:
    """Wait until the whole fleet is there, the killed one started again."""
    query = "SELECT count(*) FROM workers WHERE status = 'HEALTHY' AND last_heartbeat > now() - interval '4 seconds'"
    async with asyncio.timeout(120):
        while await system.connection.fetchval(query) < WORKERS:
            await asyncio.sleep(0.2)


async def _until(api: Api, streams: Any, workload_id: str, holds: Any) -> dict[str, Any]:
    version = 0
    while True:
        _, found = await api.call(streams, "GET", f"/workloads/{workload_id}?wait_seconds=20&version={version}")
        workload: dict[str, Any] = json.loads(found)
        if holds(workload):
            return workload
        version = workload["version"]


def agents_of(system: System) -> dict[str, psutil.Process]:
    """The agents that run, by the ids that their logs name last."""
    found: dict[str, psutil.Process] = {}
    for name, pid in json.loads((system.data_dir / "processes.json").read_text()).items():
        if not name.startswith("worker-"):
            continue
        lines = (system.data_dir / "logs" / f"{name}.log").read_text().splitlines()
        said = [json.loads(line) for line in lines if '"worker.registered"' in line]
        if said and psutil.pid_exists(pid):
            found[said[-1]["worker_id"]] = psutil.Process(pid)
    return found
