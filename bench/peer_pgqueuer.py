"""pgqueuer as a yardstick: run by `bench.peers` with the interpreter of an environment of its own.

``worker URL`` does nothing with each job, as fast as it can, and prints how long a job that bears a time took to
begin. ``client URL COUNT`` submits from 32 tasks over a pool of 16 and waits until the queue is empty. ``idle URL
COUNT`` submits one job at a time. The clients print JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.queries import Queries

CLIENTS, POOL, BATCH, AT_ONCE = 32, 16, 50, 100
PAYLOAD = b"x" * 100
_LEFT = "SELECT count(*) FROM pgqueuer"


async def worker(url: str) -> None:
    connection = await asyncpg.connect(url)
    queuer = PgQueuer(AsyncpgDriver(connection))
    if not await queuer.qm.queries.has_table("pgqueuer"):
        await queuer.qm.queries.install()

    @queuer.entrypoint("noop")  # type: ignore[untyped-decorator]  # it isn't there when types are checked
    async def noop(job: Any) -> None:
        if job.payload and job.payload[:1] != b"x":
            print(time.time() - float(job.payload), flush=True)

    print("ready", flush=True)
    await queuer.qm.run(batch_size=BATCH, max_concurrent_tasks=AT_ONCE)


async def _empty(pool: Any) -> None:
    while await pool.fetchval(_LEFT):
        await asyncio.sleep(0.002)


async def client(url: str, count: int) -> dict[str, Any]:
    async with asyncpg.create_pool(url, min_size=POOL, max_size=POOL) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))
        left = count
        took: list[float] = []

        async def submit() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                began = time.perf_counter()
                await queries.enqueue("noop", PAYLOAD)
                took.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(submit() for _ in range(CLIENTS)))
        await _empty(pool)
        return {"rate": count / (time.perf_counter() - began), "ack_seconds": sorted(took)[count // 2]}


async def idle(url: str, count: int) -> dict[str, Any]:
    async with asyncpg.create_pool(url, min_size=2, max_size=2) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))
        took: list[float] = []
        for _ in range(count):
            began = time.perf_counter()
            await queries.enqueue("noop", str(time.time()).encode())
            took.append(time.perf_counter() - began)
            await _empty(pool)
        return {"ack_seconds": sorted(took)[count // 2]}


def main() -> None:
    role, url = sys.argv[1:3]
    if role == "worker":
        asyncio.run(worker(url))
    else:
        run = {"client": client, "idle": idle}[role]
        print(json.dumps(asyncio.run(run(url, int(sys.argv[3])))))


if __name__ == "__main__":
    main()
