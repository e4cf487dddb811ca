"""Two limiters on one database, asked as fast as they answer: what they accept together, in every window."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import cast

import pytest

from niyanta.server.access.rate_limits import RateLimiter
from niyanta.server.directory import Directory
from niyanta.server.store.customers import Customer, CustomerStore
from niyanta.server.store.database import Database


class _One:
    """A directory of one customer."""

    def __init__(self, customer: Customer) -> None:
        self._customer = customer

    async def customer(self, customer_id: str) -> Customer:
        return self._customer


@contextlib.asynccontextmanager
async def limiters(database_url: str, rate: float, burst: int) -> AsyncIterator[list[RateLimiter]]:
    """Two replicas' limiters for ``cust_r``."""
    databases = [await Database.open(database_url) for _ in range(2)]
    limits = {"rate_limit_per_sec": rate, "burst": burst}
    customer = await CustomerStore(databases[0]).create_customer("r", "cust_r", "free", limits)
    found = [RateLimiter(database, cast(Directory, _One(customer))) for database in databases]
    running = [asyncio.create_task(limiter.run()) for limiter in found]
    try:
        yield found
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.gather(*(database.close() for database in databases))


@pytest.mark.parametrize(("rate", "burst"), [(1.0, 5), (10.0, 50), (50.0, 200), (50.0, 20), (200.0, 1000)])
async def test_all_replicas_together_accept_what_one_may(database_url: str, rate: float, burst: int) -> None:
    async with limiters(database_url, rate, burst) as found:
        accepted: list[tuple[float, float]] = []  # when it was answered, and asked
        refused = 0
        began = time.monotonic()

        async def ask(limiter: RateLimiter) -> None:
            nonlocal refused
            # At least until the bucket is empty, however slow the machine.
            while time.monotonic() - began < 1.5 or not refused:
                asked = time.monotonic()
                _, refusal = await limiter.take("cust_r")
                if refusal is None:
                    accepted.append((time.monotonic(), asked))
                else:
                    refused += 1
                    await asyncio.sleep(0.002)

        async with asyncio.timeout(60):
            await asyncio.gather(*(ask(limiter) for limiter in found for _ in range(8)))
        seconds = time.monotonic() - began
    accepted.sort()
    assert burst * 0.9 <= len(accepted) <= (burst + rate * seconds) * 1.1
    for first in range(0, len(accepted), 7):
        earliest = accepted[first][1]
        for count, (answered, asked) in enumerate(accepted[first:], 1):
            earliest = min(earliest, asked)
            assert count <= (burst + rate * (answered - earliest)) * 1.1 + 1
