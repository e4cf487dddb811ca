"""The database is given up for its standby: what was acknowledged is there, and what runs goes on."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import asyncpg
import pytest

from support.cluster import Answer, running_cluster, signal_engine, submission
from support.pace import pace

pytestmark = pytest.mark.chaos

RECOVERY_SECONDS = 6.0
"""After the promotion: until a silent server is given up (4 s), and a connection to the other stands."""


@pytest.mark.timeout(300)
async def test_a_standby_takes_over_from_a_frozen_server(tmp_path: Path) -> None:
    async with running_cluster(tmp_path / "c", coordinators=2, workers=1, has_standby=True) as cluster:
        assert cluster.standby is not None
        long = await cluster.submit(steps=100_000, pause_ms=20)
        await cluster.until_status(long, "RUNNING", 15 * pace())
        answers: list[Answer] = []
        calls: set[asyncio.Task[None]] = set()

        async def submit(via: int) -> None:
            answers.append(await cluster.call("POST", "/workloads", submission(steps=0), via=via))

        async def go_on(seconds: float, *, until_served: bool = False) -> None:
            deadline, before = time.monotonic() + seconds, len(answers)
            while time.monotonic() < deadline:
                if until_served and {202} == {a.status for a in answers[-4:]} and len(answers) > before + 4:
                    return
                calls.update(asyncio.create_task(submit(via)) for via in (0, 1))
                await asyncio.sleep(0.2)
            assert not until_served, answers[-6:]

        await go_on(1.0)
        signal_engine(cluster.postgres, signal.SIGSTOP)
        await go_on(1.0)
        connection = await asyncpg.connect(cluster.standby.url)
        assert await connection.fetchval("SELECT pg_promote()")
        promoted = time.monotonic()
        await go_on(60, until_served=True)
        print("served after", time.monotonic() - promoted)
        await asyncio.gather(*calls)
        acknowledged = [answer.body["workload_id"] for answer in answers if answer.status == 202]
        print(sorted({a.status for a in answers}), max(a.seconds for a in answers), len(acknowledged))
        assert {answer.status for answer in answers} <= {202, 503}
        stored = {row["workload_id"] for row in await connection.fetch("SELECT workload_id FROM workloads")}
        await connection.close()
        assert set(acknowledged) <= stored
        for workload_id in acknowledged:
            await cluster.until_status(workload_id, "COMPLETED", 20 * pace())
        answer = await cluster.call("GET", f"/workloads/{long}")
        assert (answer.body["status"], answer.body["generation"]) == ("RUNNING", 1)
