"""The database or the broker is away, slow, half-open, locked or full: every request is answered, and work goes on.

In a run of all tests each outage takes seconds; `make storm` has them last a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import asyncpg
import pytest
from chaos.proxy import Proxy

from niyanta.embedded import Postgres
from niyanta.embedded.engine import Engine
from support.cluster import Answer, Cluster, eventually, running_cluster, signal_engine, submission
from support.pace import pace
from support.small_disk import SmallDiskPostgres

pytestmark = pytest.mark.chaos

IS_STORM = "NIYANTA_STORM_SECONDS" in os.environ
OUTAGE_SECONDS = float(os.environ.get("NIYANTA_STORM_SECONDS", "2"))
ANSWER_SECONDS = 20.0
"""No request takes longer, whatever is away."""
RECOVERY_SECONDS = 3.0
MOST_GROWTH_BYTES = 200 << 20

Outage = Callable[[Cluster], AbstractAsyncContextManager[None]]


@contextlib.asynccontextmanager
async def killed(cluster: Cluster, engine: Engine) -> AsyncIterator[None]:
    signal_engine(engine, signal.SIGKILL)
    await engine.wait_exit()
    try:
        yield
    finally:
        await engine.start()


@contextlib.asynccontextmanager
async def frozen(cluster: Cluster, engine: Engine) -> AsyncIterator[None]:
    signal_engine(engine, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_engine(engine, signal.SIGCONT)


def on_link(name: str, begin: Callable[[Proxy], object]) -> Outage:
    @contextlib.asynccontextmanager
    async def outage(cluster: Cluster) -> AsyncIterator[None]:
        begin(cluster.links[name])
        try:
            yield
        finally:
            cluster.links[name].heal()

    return outage


def slow(proxy: Proxy) -> None:
    proxy.to_server.delay_seconds = proxy.to_client.delay_seconds = 0.3


@contextlib.asynccontextmanager
async def locked(cluster: Cluster, table: str) -> AsyncIterator[None]:
    async with cluster.connection() as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


@contextlib.asynccontextmanager
async def crowded(cluster: Cluster) -> AsyncIterator[None]:
    """Others take every connection that the database has; those of coordinators are cut."""
    taken: list[asyncpg.Connection] = []
    async with cluster.connection() as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'niyanta-%'"
        )
        try:
            while True:
                try:
                    taken.append(await asyncpg.connect(cluster.postgres.url, timeout=10))
                except asyncpg.TooManyConnectionsError:
                    break
            yield
        finally:
            for each in taken:
                each.terminate()


OUTAGES: dict[str, Outage] = {
    "database killed": lambda cluster: killed(cluster, cluster.postgres),
    "database frozen": lambda cluster: frozen(cluster, cluster.postgres),
    "database cut off": on_link("database", Proxy.cut),
    "database slow": on_link("database", slow),
    "database hears nothing": on_link("database", lambda proxy: proxy.to_server.moving.clear()),
    "database is not heard": on_link("database", lambda proxy: proxy.to_client.moving.clear()),
    "links to the database reset": on_link("database", Proxy.reset),
    "workloads locked": lambda cluster: locked(cluster, "workloads"),
    "customers locked": lambda cluster: locked(cluster, "customers"),
    "no connection left": crowded,
    "broker killed": lambda cluster: killed(cluster, cluster.brokers[0]),
    "broker frozen": lambda cluster: frozen(cluster, cluster.brokers[0]),
    "broker cut off": on_link("broker", Proxy.cut),
    "broker slow": on_link("broker", slow),
    "broker hears nothing": on_link("broker", lambda proxy: proxy.to_server.moving.clear()),
    "broker is not heard": on_link("broker", lambda proxy: proxy.to_client.moving.clear()),
    "links to the broker reset": on_link("broker", Proxy.reset),
}


async def ask_everything(cluster: Cluster, workload_id: str, via: int) -> list[Answer]:
    """One request of each kind, all at once."""
    one = f"/workloads/{workload_id}"
    calls = [
        cluster.call("POST", "/workloads", submission(steps=1), via=via),
        cluster.call("POST", "/workloads/batch", {"workloads": [submission(steps=1)]}, via=via),
        cluster.call("GET", one, via=via),
        cluster.call("GET", "/workloads?limit=5", via=via),
        cluster.call("GET", f"{one}/audit", via=via),
        cluster.call("GET", f"{one}/logs", via=via),
        cluster.call("POST", f"{one}/resume", via=via),
        cluster.call("GET", "/workload-configs", via=via),
        cluster.call("POST", "/workload-configs", {"workload_type": "outage"}, via=via),
        cluster.call("GET", "/customer", via=via),
        cluster.call("GET", "/customer/stats", via=via),
        cluster.call("GET", "/admin/workers", via=via, key="admin"),
        cluster.call("GET", "/admin/customers", via=via, key="admin"),
        cluster.call("GET", "/health", via=via),
        cluster.call("GET", "/ready", via=via),
    ]
    return await asyncio.gather(*calls)


def check_answers(name: str, answers: list[Answer]) -> None:
    wrong = [
        answer
        for answer in answers
        if not (200 <= answer.status < 500 or answer.status == 503)
        or answer.seconds > ANSWER_SECONDS + pace()
        or (answer.status == 503 and "Retry-After" not in answer.headers and not says_why(answer))
    ]
    assert wrong == [], name


def says_why(answer: Answer) -> bool:
    """Whether a 503 needs no ``Retry-After``: a probe's, or one that mustn't be repeated blindly."""
    if answer.what == "GET /ready":
        return True
    return bool(answer.body["error"].get("details", {}).get("outcome") == "unknown")


async def is_whole(cluster: Cluster) -> bool:
    replicas = range(len(cluster.coordinators))
    return all([(await cluster.call("GET", "/ready", via=via)).status == 200 for via in replicas])


async def run_through(cluster: Cluster, name: str, long: list[str]) -> None:
    """One outage: what is asked meanwhile is answered, and afterwards everything is soon as it was."""
    answers: list[Answer] = []
    async with OUTAGES[name](cluster):
        deadline = time.monotonic() + OUTAGE_SECONDS
        rounds = []
        while time.monotonic() < deadline:
            rounds += [asyncio.create_task(ask_everything(cluster, long[0], via)) for via in (0, 1)]
            await asyncio.sleep(1.0)
        if "slow" in name:
            await asyncio.wait(rounds)
    began = time.monotonic()
    await eventually(lambda: is_whole(cluster), RECOVERY_SECONDS + pace(), f"ready after {name}")
    workload_id = ""
    while not workload_id:
        answer = await cluster.call("POST", "/workloads", submission(steps=0), via=1)
        workload_id = answer.body["workload_id"] if answer.status == 202 else ""
        await asyncio.sleep(0.05)
    await cluster.until_status(workload_id, "COMPLETED", 10 * pace(), via=1)
    took = time.monotonic() - began
    for each in rounds:
        answers += await each
    slowest = max(answer.seconds for answer in answers)
    print(f"{name}: works after {took:.1f} s, slowest answer {slowest:.1f} s")  # `make storm` shows it
    check_answers(name, answers)


@contextlib.asynccontextmanager
async def both_killed(cluster: Cluster) -> AsyncIterator[None]:
    async with killed(cluster, cluster.postgres), killed(cluster, cluster.brokers[0]):
        yield


OUTAGES["both killed"] = both_killed
QUICK = ("database frozen", "database is not heard", "workloads locked", "no connection left", "broker hears nothing")
"""Those that a run of all tests has time for; killed engines have tests of their own there."""


def memory_bytes(cluster: Cluster) -> list[int]:
    return [part.process.memory_info().rss for part in cluster.coordinators if part.process is not None]


@pytest.mark.timeout(7200)
async def test_every_request_is_answered_and_work_goes_on(tmp_path: Path) -> None:
    postgres = Postgres(tmp_path / "pg", extra_settings={"shared_buffers": "64MB", "max_connections": "60"})
    async with running_cluster(tmp_path / "c", coordinators=2, workers=2, proxied=True, postgres=postgres) as cluster:
        long = [await cluster.submit(kind, steps=100_000, pause_ms=20) for kind in ("chaos_inline", "chaos_steps")]
        for workload_id in long:
            await cluster.until_status(workload_id, "RUNNING", 15 * pace())
        before = memory_bytes(cluster)
        for name in OUTAGES if IS_STORM else QUICK:
            await run_through(cluster, name, long)
            for workload_id in long:
                found = await cluster.until_status(workload_id, "RUNNING", 5 * pace())
                assert (found["generation"], found["retry_count"]) == (1, 0), name
        after = memory_bytes(cluster)
        assert len(after) == len(before) == 2, "no coordinator has ended"
        assert max(now - then for now, then in zip(after, before, strict=True)) < MOST_GROWTH_BYTES


@pytest.mark.timeout(600)
async def test_a_full_disk_loses_nothing_and_stops_nothing_that_runs(tmp_path: Path) -> None:
    postgres = SmallDiskPostgres(tmp_path / "pg", "192m")
    async with running_cluster(tmp_path / "c", coordinators=1, workers=1, postgres=postgres) as cluster:
        long = await cluster.submit(steps=100_000, pause_ms=20, every=1000)
        await cluster.until_status(long, "RUNNING", 15 * pace())
        assert postgres.fill() > 0
        answers: list[Answer] = []
        try:
            # There is room in files that are there already: it has to be used up.
            deadline = time.monotonic() + 60 * pace()
            while not any(answer.status == 503 for answer in answers[-8:]):
                assert time.monotonic() < deadline, "the disk is never full"
                calls = [cluster.call("POST", "/workloads", submission(steps=0, fat="x" * 100_000)) for _ in range(8)]
                answers += await asyncio.gather(*calls)
            answers += await ask_everything(cluster, long, 0)
        finally:
            postgres.filler.unlink()
        check_answers("full disk", answers)
        await eventually(lambda: is_whole(cluster), RECOVERY_SECONDS + pace(), "ready after a full disk")
        for answer in answers:
            if answer.status == 202 and answer.what == "POST /workloads":
                await cluster.until_status(answer.body["workload_id"], "COMPLETED", 20 * pace())
        found = await cluster.until_status(long, "RUNNING", 5 * pace())
        assert (found["generation"], found["retry_count"]) == (1, 0)
