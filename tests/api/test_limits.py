"""Rate limits: exact, the same on all replicas together, and honest about when to come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from niyanta.server.coordinator import Coordinator
from niyanta.server.store.queries import Connection
from niyanta.server.store.rate_buckets import Granted, RateBucketStore, Wanted
from system import System


async def customer(system: System, **limits: Any) -> str:
    """A customer with these limits; gives its key's name."""
    tier = limits.pop("tier", "free")
    await system.customers.create_customer("cust_r", "cust_r", tier, limits)
    system.keys["cust_r"] = (await system.customers.create_key("cust_r", "test"))[1]
    return "cust_r"


async def ask(system: System, via: Coordinator | None = None) -> tuple[int, Any, Any]:
    found: tuple[int, Any, Any] = await system.call("GET", "/workloads", key="cust_r", via=via)
    return found


async def test_the_free_tier_is_exact_and_counts_down(system: System) -> None:
    await customer(system)
    began = time.time()
    for number in range(100):
        status, body, headers = await ask(system)
        passed = time.time() - began
        assert headers["X-RateLimit-Limit"] == "1"
        assert 4 - number <= int(headers["X-RateLimit-Remaining"]) <= max(0, 4 - number + passed)
        assert began < int(headers["X-RateLimit-Reset"]) <= time.time() + 6
        if status == 429:
            break
    assert 5 <= number <= 5 + passed
    assert headers["X-RateLimit-Remaining"] == "0"
    assert headers["Retry-After"] == "1"
    assert body["error"]["code"] == "RATE_LIMITED"
    assert body["error"]["message"] == "Rate limit exceeded. Retry after 1 seconds."
    assert body["error"]["details"] == {"limit": 1, "window_seconds": 60, "retry_after": 1}
    assert body["error"]["request_id"]


async def test_requests_at_once_are_counted_exactly(system: System) -> None:
    await customer(system, rate_limit_per_sec=0.01, burst=7)
    answers = await asyncio.gather(*(ask(system) for _ in range(30)))
    accepted = [headers for status, _, headers in answers if status == 200]
    assert sorted(int(headers["X-RateLimit-Remaining"]) for headers in accepted) == list(range(7))
    for status, body, headers in answers:
        if status == 429:
            assert 90 <= int(headers["Retry-After"]) <= 100
            assert body["error"]["details"]["limit"] == 0.01
            assert headers["X-RateLimit-Limit"] == "0.01"
            assert int(headers["X-RateLimit-Reset"]) > time.time() + 600


@pytest.mark.parametrize(("rate", "burst"), [(1.0, 1), (0.5, 1), (2.5, 3)])
async def test_a_lone_request_after_the_wait_succeeds(system: System, rate: float, burst: int) -> None:
    await customer(system, rate_limit_per_sec=rate, burst=burst)
    for _ in range(2):
        while True:
            status, _, headers = await ask(system)
            if status == 429:
                break
        await asyncio.sleep(int(headers["Retry-After"]))
        assert (await ask(system))[0] == 200


async def test_two_replicas_share_one_bucket(system: System) -> None:
    await customer(system, rate_limit_per_sec=0.01, burst=9)
    async with system.another_coordinator() as other:
        answers = await asyncio.gather(*(ask(system, via) for via in (system.coordinator, other) for _ in range(15)))
    assert sorted(status for status, _, _ in answers) == [200] * 9 + [429] * 21


async def test_unused_stock_is_put_back(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("niyanta.server.access.rate_limits.STOCK_SECONDS", 1000.0)
    monkeypatch.setattr("niyanta.server.access.rate_limits.KEEP_SECONDS", -1.0)
    await customer(system, rate_limit_per_sec=0.01, burst=500)
    for number in range(4):  # each takes ten tokens more than it uses
        _, _, headers = await ask(system)
        assert headers["X-RateLimit-Remaining"] == str(499 - number)


async def test_a_busy_customer_costs_few_queries(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    await customer(system, tier="enterprise")
    takes = 0
    take = RateBucketStore.take

    async def counted(store: RateBucketStore, conn: Connection, wanted: Sequence[Wanted]) -> list[Granted]:
        nonlocal takes
        takes += 1
        return await take(store, conn, wanted)

    monkeypatch.setattr(RateBucketStore, "take", counted)
    for _ in range(100):
        assert (await ask(system))[0] == 200
    assert 1 <= takes <= 25


async def test_new_limits_hold_at_once(system: System) -> None:
    await customer(system)
    await ask(system)
    body = {"limits": {"rate_limit_per_sec": 100, "burst": 400}}
    status, _, _ = await system.call("PATCH", "/admin/customers/cust_r", body, key="admin")
    assert status == 200
    _, _, headers = await ask(system)
    assert headers["X-RateLimit-Limit"] == "100"


async def test_headers_come_with_errors_too_and_never_for_admins(system: System) -> None:
    await customer(system)
    for method, path in (("GET", "/workloads/none"), ("GET", "/workloads?x=1"), ("GET", "/admin/workers")):
        status, _, headers = await system.call(method, path, key="cust_r")
        assert status in (400, 403, 404)
        assert headers["X-RateLimit-Remaining"]
    for _ in range(10):
        status, _, headers = await system.call("GET", "/admin/workers", key="admin")
        assert status == 200
        assert "X-RateLimit-Limit" not in headers
    for path in ("/health", "/ready"):
        for _ in range(10):
            _, _, headers = await system.call("GET", path, key="cust_r")
            assert "X-RateLimit-Limit" not in headers


async def test_one_customers_flood_leaves_anothers_bucket_alone(system: System) -> None:
    await customer(system)
    answers = await asyncio.gather(*(ask(system) for _ in range(100)))
    assert sum(status == 200 for status, _, _ in answers) <= 10
    status, _, headers = await system.call("GET", "/workloads", key="cust_b")
    assert (status, headers["X-RateLimit-Remaining"]) == (200, "999")
