"""Three coordinators on one database and a broker of three servers: any one of them may be lost, however it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.cluster import AWAY, Answer, Cluster, eventually, pace, running_cluster, signal_engine, submission

pytestmark = pytest.mark.chaos

TAKEOVER_SECONDS = 6.0
HANDOVER_SECONDS = 1.0


@contextlib.asynccontextmanager
async def submitting(cluster: Cluster, *replicas: int) -> AsyncIterator[list[Answer]]:
    """Submissions meanwhile, one after another by way of each of some coordinators."""
    answers: list[Answer] = []

    async def submit(via: int) -> None:
        while True:
            answers.append(await cluster.call("POST", "/workloads", submission(steps=1, pause_ms=1), via=via))
            await asyncio.sleep(0.1)

    tasks = [asyncio.create_task(submit(via)) for via in replicas]
    try:
        yield answers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_taken_over(cluster: Cluster, before: int, since: float, seconds: float) -> float:
    """Wait for another epoch and for a workload that it schedules; gives how long that took."""
    others = [number for number in range(3) if number != before and cluster.coordinators[number].process is not None]
    epoch = await cluster.epoch()

    async def another_leads() -> bool:
        return await cluster.leader() in others

    await eventually(another_leads, seconds + 5 * pace(), "another coordinator leads")
    workload_id = await cluster.submit(via=others[0], steps=1, pause_ms=1)
    await cluster.until_status(workload_id, "COMPLETED", 5 * pace(), via=others[0])
    assert await cluster.epoch() >= epoch
    return time.monotonic() - since


@pytest.mark.timeout(300)
async def test_whoever_leads_may_be_lost(tmp_path: Path) -> None:
    async with running_cluster(tmp_path / "c", coordinators=3, workers=2, brokers=3) as cluster:
        long = [await cluster.submit(steps=100_000, pause_ms=20) for _ in range(4)]
        for workload_id in long:
            await cluster.until_status(workload_id, "RUNNING", 10 * pace())
        took = {}
        for fault in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM):
            leader = await cluster.leader()
            part = cluster.coordinators[leader]
            part.restart_seconds = AWAY
            others = [number for number in range(3) if number != leader]
            async with submitting(cluster, *others) as answers:
                since = time.monotonic()
                part.signal(fault)
                took[fault.name] = await until_taken_over(cluster, leader, since, TAKEOVER_SECONDS)
            print(fault.name, took[fault.name], len(answers), {a.status for a in answers}, max(a.seconds for a in answers))
            for workload_id in long:
                found = await cluster.until_status(workload_id, "RUNNING", 5, via=others[0])
                assert (found["generation"], found["retry_count"]) == (1, 0), fault
            part.signal(signal.SIGCONT)
            await part.revive()
            await cluster.until_ready(30 * pace())
        print(took)
        assert 0
