"""Three coordinators on one database and a broker of three servers: any one may be lost, however it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Collection
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from chaos.fleet import Part

from niyanta.embedded import Nats
from support.cluster import (
    AWAY,
    Answer,
    Cluster,
    ClusteredNats,
    eventually,
    running_cluster,
    signal_engine,
    submission,
)
from support.pace import pace

pytestmark = pytest.mark.chaos

TAKEOVER_SECONDS = 6.0
HANDOVER_SECONDS = 1.0
SILENT_SECONDS = 6.0
"""Four for the pings that are missing, and two more where the next server that is tried is the silent one again."""


@contextlib.asynccontextmanager
async def submitting(cluster: Cluster, replicas: Collection[int]) -> AsyncIterator[list[Answer]]:
    """Submissions meanwhile, one after another by way of each of some coordinators."""
    answers: list[Answer] = []

    async def submit(via: int) -> None:
        while True:
            answers.append(await cluster.call("POST", "/workloads", submission(steps=1, pause_ms=1), via=via))
            await asyncio.sleep(0.2)

    tasks = [asyncio.create_task(submit(via)) for via in replicas]
    try:
        yield answers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def lose_leader(cluster: Cluster, fault: signal.Signals) -> float:
    """Strike the leader; gives how long it took until others scheduled. Submissions were served all the time."""
    leader = await cluster.leader()
    part = cluster.coordinators[leader]
    part.restart_seconds = AWAY
    others = {number for number, other in enumerate(cluster.coordinators) if other.process is not None} - {leader}
    via = min(others)

    async def another_leads() -> bool:
        return await cluster.leader() in others

    async with submitting(cluster, others) as answers:
        began = time.monotonic()
        part.signal(fault)
        await eventually(another_leads, 20 * pace(), "another coordinator leads")
        await cluster.until_status(await cluster.submit(via=via, steps=0), "COMPLETED", 15 * pace(), via=via)
        took = time.monotonic() - began
    if fault is not signal.SIGSTOP:
        await eventually(lambda: is_gone(part), 30.0, f"{part.name} has ended")
    assert answers
    assert {answer.status for answer in answers} == {202}
    await until_all_done(cluster, [answer.body["workload_id"] for answer in answers], via)
    return took


async def is_gone(part: Part) -> bool:
    return part.process is None


async def until_all_done(cluster: Cluster, ids: Collection[str], via: int) -> None:
    for workload_id in ids:
        await cluster.until_status(workload_id, "COMPLETED", 20 * pace(), via=via)


async def check_undisturbed(cluster: Cluster, ids: Collection[str], via: int) -> None:
    """They run on in their first attempt."""
    for workload_id in ids:
        answer = await cluster.call("GET", f"/workloads/{workload_id}", via=via)
        assert answer.status == 200
        assert [answer.body[name] for name in ("status", "generation", "retry_count")] == ["RUNNING", 1, 0]


@pytest.mark.timeout(300)
async def test_any_coordinator_and_any_server_of_the_broker_may_be_lost(tmp_path: Path) -> None:
    async with running_cluster(tmp_path / "c", coordinators=3, workers=2, brokers=3) as cluster:
        long = [await cluster.submit(steps=100_000, pause_ms=20) for _ in range(4)]
        for workload_id in long:
            await cluster.until_status(workload_id, "RUNNING", 20 * pace())

        # A leader that is frozen: it holds nothing that others need, and when it thaws it leads no more.
        frozen = await cluster.leader()
        assert await lose_leader(cluster, signal.SIGSTOP) < TAKEOVER_SECONDS + pace()
        await check_undisturbed(cluster, long, await cluster.leader())
        cluster.coordinators[frozen].signal(signal.SIGCONT)
        workload_id = await cluster.submit(via=frozen, steps=0)
        await cluster.until_status(workload_id, "COMPLETED", 15 * pace(), via=frozen)

        # A follower that is frozen takes its share of what workers send, and answers nothing.
        leader = await cluster.leader()
        follower = (leader + 1) % 3
        cluster.coordinators[follower].signal(signal.SIGSTOP)
        began = time.monotonic()
        ids = [await cluster.submit(via=leader, steps=2, pause_ms=1) for _ in range(12)]
        await until_all_done(cluster, ids, leader)
        assert time.monotonic() - began < TAKEOVER_SECONDS + pace()
        cluster.coordinators[follower].signal(signal.SIGCONT)

        # One that is told to stop hands over; one that is killed can't.
        assert await lose_leader(cluster, signal.SIGTERM) < HANDOVER_SECONDS + 0.5 * pace()
        await check_undisturbed(cluster, long, await cluster.leader())
        assert await lose_leader(cluster, signal.SIGKILL) < TAKEOVER_SECONDS + pace()
        last = await cluster.leader()
        await check_undisturbed(cluster, long, last)

        await lose_each_server(cluster, long, last)


async def lose_each_server(cluster: Cluster, long: Collection[str], via: int) -> None:
    """The servers of the broker that are in use are lost, killed and frozen, and all go on with the others."""
    for part, fault in (
        (cluster.workers[0], signal.SIGKILL),
        (cluster.workers[1], signal.SIGSTOP),
        (cluster.coordinators[via], signal.SIGSTOP),
        (cluster.coordinators[via], signal.SIGKILL),
    ):
        broker = await server_of(cluster, part)
        assert broker is not None
        signal_engine(broker, fault)
        # Whose server is silent moves to another within four seconds.
        await eventually(partial(has_moved, cluster, part, broker), SILENT_SECONDS + pace(), f"{part.name} has moved")
        ids = [await cluster.submit(via=via, steps=2, pause_ms=1) for _ in range(8)]
        await until_all_done(cluster, ids, via)
        if fault is signal.SIGSTOP:
            signal_engine(broker, signal.SIGCONT)
        else:
            await broker.wait_exit()
            await broker.start()
        await check_undisturbed(cluster, long, via)


async def server_of(cluster: Cluster, part: Part) -> Nats | None:
    """The server of the broker that a program is connected to, as that server says; a frozen one says nothing."""
    for broker in cluster.brokers:
        assert isinstance(broker, ClusteredNats)
        address = f"http://127.0.0.1:{broker.monitor_port}/connz"
        try:
            async with cluster.http.get(address, timeout=aiohttp.ClientTimeout(total=0.5)) as response:
                connections = (await response.json())["connections"]
        except (aiohttp.ClientError, TimeoutError):
            continue
        if any(connection.get("name") == part.name for connection in connections):
            return broker
    return None


async def has_moved(cluster: Cluster, part: Part, away: Nats) -> bool:
    return await server_of(cluster, part) not in (None, away)
