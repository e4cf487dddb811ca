"""The API's figures: batches, lists and reads over many workloads, authentication."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from bench.load import Api, percentile
from bench.system import TYPE, System, running_system
from niyanta.server.access.identity import Authenticator
from niyanta.server.access.tokens import TokenVerifier
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.server.store.sessions import SessionStore
from niyanta.wire.broker import Broker
from niyanta.wire.subjects import Subjects

__all__ = ["measure"]

_ITEM: dict[str, Any] = {
    "workload_type": TYPE,
    "input_params": {},
    "affinity_rules": {"hard_affinity": {"worker_id": "no-such-worker"}},
}
_LISTS = (
    "",
    "&status=COMPLETED",
    "&status=PENDING&workload_type=" + TYPE,
    "&order_by=priority&order=asc",
    "&order_by=completed_at",
    "&order_by=started_at&order=asc",
    "&offset=500",
)


async def measure(quick: bool) -> dict[str, Any]:
    """All of them, on one system."""
    async with running_system() as system:
        found: dict[str, Any] = {"batch_submission_workloads_per_second": await _batches(system, quick)}
        await system.clear_queue()
        found["authentication_microseconds"] = await _authentication(system)
        found["reads_by_workloads"] = {}
        for series, size in enumerate([20_000, 100_000] if quick else [100_000, 1_000_000]):
            await system.clear_queue()
            await system.connection.execute("DELETE FROM workloads WHERE status = 'COMPLETED'")
            await _fill_completed(system, size, series)
            found["reads_by_workloads"][str(size)] = await _reads(system, 40 if quick else 150)
        return found


async def _batches(system: System, quick: bool) -> int:
    """Batches of 1,000 over four connections."""
    api = system.api()
    body = json.dumps({"workloads": [_ITEM] * 1000}).encode()
    left = 12 if quick else 60

    async def run() -> None:
        nonlocal left
        streams = await api.connect()
        while left > 0:
            left -= 1
            status, answer = await api.call(streams, "POST", "/workloads/batch", body)
            if status != 202 or json.loads(answer)["rejected"]:
                raise RuntimeError(f"a batch answered {status}: {answer[:300]!r}")
        streams[1].close()

    count, began = left * 1000, time.perf_counter()
    await asyncio.gather(*(run() for _ in range(4)))
    return round(count / (time.perf_counter() - began))


async def _fill_completed(system: System, size: int, series: int) -> None:
    await system.connection.execute(
        """
        INSERT INTO workloads (customer_id, workload_id, workload_type, status, priority, input_params, placement_key,
                               queue_rank, created_at, started_at, completed_at, progress_percent, result_json, ready)
        SELECT $1, 'wl_0' || $3::text || lpad(n::text, 24, '0'), $2 || (n % 5)::text, 'COMPLETED', n % 100, '{}',
               1, 0, at, at, at + interval '1 second', 100, '{}', false
          FROM generate_series(1, $4::int) n, LATERAL (SELECT now() - n * interval '1 second' AS at) times
        """,
        system.customer_id,
        TYPE,
        str(series),
        size,
    )
    await system.connection.execute("VACUUM ANALYZE workloads")


async def _reads(system: System, samples: int) -> dict[str, float]:
    api = system.api()
    streams = await api.connect()
    ids = await system.connection.fetch(
        "SELECT workload_id FROM workloads WHERE customer_id = $1 ORDER BY workload_id LIMIT 200", system.customer_id
    )
    lists = [await _timed(api, streams, f"/workloads?limit=50{more}") for _ in range(samples) for more in _LISTS]
    gets = [await _timed(api, streams, f"/workloads/{ids[n % len(ids)]['workload_id']}") for n in range(samples * 5)]
    streams[1].close()
    return {
        f"{name}_{label}_ms": round(percentile(values, share) * 1000, 2)
        for name, values in (("list", lists), ("get", gets))
        for label, share in (("p50", 0.5), ("p95", 0.95))
    }


async def _timed(api: Api, streams: Any, path: str) -> float:
    began = time.perf_counter()
    status, answer = await api.call(streams, "GET", path)
    if status != 200:
        raise RuntimeError(f"{path} answered {status}: {answer[:300]!r}")
    return time.perf_counter() - began


async def _authentication(system: System) -> float:
    """What a request pays for a key that is known already."""
    database = await Database.open(system.credentials["database_url"], api_connections=1, vital_connections=1)
    try:
        settings = CoordinatorSettings.from_environment(
            {}, database_url=system.credentials["database_url"], nats_url=system.credentials["nats_url"]
        )
        feed = ChangeFeed(Broker(settings.nats_url, name="bench"), Subjects(), "bench")
        authenticator = Authenticator(CustomerStore(database), SessionStore(database), TokenVerifier(settings), feed)
        header = f"Bearer {system.credentials['api_key']}"
        asking = asyncio.create_task(authenticator.run())
        await authenticator.identify(header)
        count, began = 20_000, time.perf_counter()
        for _ in range(count):
            await authenticator.identify(header)
        seconds = time.perf_counter() - began
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        return round(seconds / count * 1e6, 2)
    finally:
        await database.close()
