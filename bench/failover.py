"""How long a workload is without a worker after ``kill -9`` of its agent, with the default timers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import time
from typing import Any

import psutil

from bench.load import Api
from bench.system import System, running_system

__all__ = ["measure"]


async def measure(quick: bool) -> dict[str, Any]:
    """Seconds from the kill to RUNNING on another worker."""
    async with running_system("bench.app:slow", workers=3) as system:
        times = [await _kill_once(system) for _ in range(1 if quick else 5)]
    return {
        "kill_to_running_elsewhere_seconds": {
            "median": round(statistics.median(times), 2),
            "longest": round(max(times), 2),
            "samples": len(times),
        }
    }


async def _kill_once(system: System) -> float:
    api = system.api()
    streams = await api.connect()
    _, answer = await api.call(
        streams, "POST", "/workloads", json.dumps({"workload_type": "bench_sleep", "input_params": {}}).encode()
    )
    workload_id = json.loads(answer)["workload_id"]
    running = await _until(api, streams, workload_id, lambda w: w["status"] == "RUNNING")
    agent = _agent(system, running["worker_id"])
    killed = time.perf_counter()
    os.kill(agent.pid, signal.SIGKILL)
    await _until(
        api, streams, workload_id, lambda w: w["status"] == "RUNNING" and w["generation"] > running["generation"]
    )
    seconds = time.perf_counter() - killed
    await api.call(streams, "POST", f"/workloads/{workload_id}/cancel", b"{}")
    streams[1].close()
    async with asyncio.timeout(60):  # the killed worker is started again; the next round wants the fleet whole
        query = (
            "SELECT count(*) FROM workers WHERE status = 'HEALTHY' AND last_heartbeat > now() - interval '4 seconds'"
        )
        while await system.connection.fetchval(query) < 3:
            await asyncio.sleep(0.2)
    return seconds


async def _until(api: Api, streams: Any, workload_id: str, holds: Any) -> dict[str, Any]:
    version = 0
    while True:
        _, found = await api.call(streams, "GET", f"/workloads/{workload_id}?wait_seconds=20&version={version}")
        workload: dict[str, Any] = json.loads(found)
        if holds(workload):
            return workload
        version = workload["version"]


def _agent(system: System, worker_id: str) -> psutil.Process:
    """The agent with this id, which its log names."""
    for name, pid in json.loads((system.data_dir / "processes.json").read_text()).items():
        log = system.data_dir / "logs" / f"{name}.log"
        if name.startswith("worker-") and worker_id in log.read_text():
            return psutil.Process(pid)
    raise RuntimeError(f"no process is {worker_id}")
