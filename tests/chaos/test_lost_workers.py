"""How soon a workload runs again whose worker was killed, also while the API is busy."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from support.cluster import AWAY, Cluster, running_cluster
from support.pace import pace

pytestmark = pytest.mark.chaos

ROUNDS = int(os.environ.get("NIYANTA_STORM_ROUNDS", "1"))
ELSEWHERE_SECONDS = 12.0
RESTARTED_SECONDS = 3.0


async def lose_worker(cluster: Cluster, kind: str, comes_back_after: float) -> float:
    """Kill the worker of a running workload; gives how long it took until that ran again."""
    workload_id = await cluster.submit(kind, steps=100_000, pause_ms=20)
    found = await cluster.until_status(workload_id, "RUNNING", 15 * pace())
    worker = next(part for part in cluster.workers if part.name == found["worker_id"])
    worker.restart_seconds = comes_back_after
    began = time.monotonic()
    worker.signal(signal.SIGKILL)
    again = await cluster.until(
        workload_id, lambda now: now["generation"] == 2 and now["status"] == "RUNNING", 40 * pace()
    )
    took = time.monotonic() - began
    assert again["retry_count"] == 1
    assert (await cluster.call("POST", f"/workloads/{workload_id}/cancel")).status == 200
    await worker.revive()
    await cluster.until_ready(20 * pace())
    return took


@pytest.mark.timeout(3600)
async def test_a_workload_runs_again_soon_after_its_worker_was_killed(tmp_path: Path) -> None:
    async with running_cluster(tmp_path / "c", coordinators=1, workers=2) as cluster:
        busy = asyncio.create_task(read_on(cluster))
        try:
            for kind in ("chaos_inline", "chaos_steps"):
                restarted = [await lose_worker(cluster, kind, 0.0) for _ in range(ROUNDS)]
                print(f"{kind}: started again after {max(restarted):.1f} s at most")
                # Its interpreter has to start, too, which takes as long as the machine takes.
                assert max(restarted) < RESTARTED_SECONDS + 2 * pace()
            elsewhere = [await lose_worker(cluster, "chaos_steps", AWAY) for _ in range(ROUNDS)]
            print(f"runs elsewhere after {max(elsewhere):.1f} s at most")
            assert max(elsewhere) < ELSEWHERE_SECONDS + pace()
        finally:
            busy.cancel()
            await asyncio.gather(busy, return_exceptions=True)


async def read_on(cluster: Cluster) -> None:
    """Keep the API busy."""
    while True:
        calls = [cluster.call("GET", "/workloads?limit=50") for _ in range(8)]
        assert {answer.status for answer in await asyncio.gather(*calls)} <= {200, 503}
