"""Fairness on a running system: small customers beside one with a huge queue, and run-seconds within a tier."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from typing import Any

from bench.load import Api, percentile
from bench.system import System, running_system
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database

__all__ = ["measure"]

TYPE = "bench_given"
_RATES = {"rate_limit_per_sec": 100_000, "burst": 100_000, "max_queue_depth": 100_000}


async def measure(quick: bool) -> dict[str, Any]:
    """Both figures, each on a system of its own with one worker of forty slots."""
    small, backlog, window = (20, 1_000, 30.0) if quick else (99, 10_000, 120.0)
    async with running_system("bench.app:given") as system:
        keys = await _customers(system, small + 1, max_concurrent_workloads=100)
        big, others = next(iter(keys)), dict(list(keys.items())[1:])
        alone = await _waits(system, others)
        await _submit(system, keys[big], [_body(random.Random(n).uniform(0.2, 1.0)) for n in range(backlog)])
        beside = await _waits(system, others)
        query = "SELECT queued FROM customer_usage WHERE customer_id = $1"
        still = await system.connection.fetchval(query, big)
    async with running_system("bench.app:given") as system:
        index, seconds = await _jain(system, window)
    return {
        "small_customers": small,
        "backlog_of_the_big_one": backlog,
        "still_queued_of_it_at_the_end": still,
        "wait_p95_alone_seconds": round(percentile(alone, 0.95), 3),
        "wait_p95_beside_seconds": round(percentile(beside, 0.95), 3),
        "beside_against_alone": round(percentile(beside, 0.95) / percentile(alone, 0.95), 3),
        "jain_index_within_a_tier": round(index, 4),
        "run_seconds_by_customer": [round(each) for each in seconds],
    }


async def _customers(system: System, count: int, **limits: float) -> dict[str, str]:
    """Customers of one tier, and a key of each."""
    database = await Database.open(system.credentials["database_url"], api_connections=1, vital_connections=1)
    try:
        store, keys = CustomerStore(database), {}
        for number in range(count):
            name = f"cust_fair{number:03}"
            await store.create_customer(name, name, "standard")
            await store.update_customer(name, **_RATES, **limits)
            keys[name] = (await store.create_key(name, "bench"))[1]
    finally:
        await database.close()
    await asyncio.sleep(1.5)  # the coordinators learn of them within a second
    return keys


def _body(seconds: float) -> dict[str, Any]:
    return {"workload_type": TYPE, "input_params": {"seconds": round(seconds, 3)}}


async def _submit(system: System, key: str, bodies: Sequence[dict[str, Any]]) -> list[str]:
    api = Api(system.credentials["base_url"], key)
    streams = await api.connect()
    ids: list[str] = []
    for first in range(0, len(bodies), 1000):
        body = json.dumps({"workloads": bodies[first : first + 1000]}).encode()
        status, answer = await api.call(streams, "POST", "/workloads/batch", body)
        if status != 202:
            raise RuntimeError(f"a batch answered {status}: {answer[:300]!r}")
        ids += [result["workload_id"] for result in json.loads(answer)["results"]]
    streams[1].close()
    return ids


async def _waits(system: System, keys: dict[str, str]) -> list[float]:
    """How long the workloads of these wait for their start: three bursts each, so that they queue by themselves."""
    ids: list[str] = []
    chance = random.Random(7)
    for _ in range(3):
        bursts = [
            _submit(system, key, [_body(chance.uniform(0.2, 1.0)) for _ in range(chance.randint(2, 6))])
            for key in keys.values()
        ]
        for made in await asyncio.gather(*bursts):
            ids += made
        await _until_ended(system, ids)
    query = "SELECT extract(epoch FROM started_at - created_at)::float FROM workloads WHERE workload_id = ANY($1)"
    return [row[0] for row in await system.connection.fetch(query, ids)]


async def _until_ended(system: System, ids: Sequence[str]) -> None:
    query = "SELECT count(*) FROM workloads WHERE workload_id = ANY($1) AND completed_at IS NULL"
    async with asyncio.timeout(600):
        while await system.connection.fetchval(query, ids):
            await asyncio.sleep(0.1)


async def _jain(system: System, window: float) -> tuple[float, list[float]]:
    """Ten customers whose workloads take from one second to eight: Jain's index of what they ran, and that."""
    keys = await _customers(system, 10, max_concurrent_workloads=1_000)
    chance = random.Random(3)
    usual = {name: 8.0 ** (number / 9) for number, name in enumerate(keys)}

    async def keep_up() -> None:
        query = "SELECT queued FROM customer_usage WHERE customer_id = $1"
        while True:
            for name, key in keys.items():
                if await system.connection.fetchval(query, name) < 100:
                    await _submit(system, key, [_body(usual[name] * chance.uniform(0.7, 1.3)) for _ in range(200)])
            await asyncio.sleep(0.25)

    keeping = asyncio.create_task(keep_up())
    try:
        await asyncio.sleep(window / 4)  # until all of them have a past
        began = time.time()
        await asyncio.sleep(window)
        ended = time.time()
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    query = """
        SELECT customer_id, sum(extract(epoch FROM
                   least(coalesce(completed_at, to_timestamp($2)), to_timestamp($2))
                   - greatest(started_at, to_timestamp($1))))::float
          FROM workloads
         WHERE customer_id LIKE 'cust_fair%' AND started_at < to_timestamp($2)
           AND coalesce(completed_at, to_timestamp($2)) > to_timestamp($1)
         GROUP BY 1 ORDER BY 1
    """
    had = [row[1] for row in await system.connection.fetch(query, began, ended)]
    return sum(had) ** 2 / (len(had) * sum(each**2 for each in had)), had
