"""How long an answer takes tells nobody whether an id is somebody else's or was never issued."""

from __future__ import annotations

import random
import time

from support.system import System, supported

PAIRS = 300


async def slower(system: System, one: str, other: str) -> int:
    """Of `PAIRS` pairs of requests right after another, in how many the first took longer."""

    async def seconds(path: str) -> float:
        began = time.perf_counter()
        await system.call("GET", path, key="cust_b")
        return time.perf_counter() - began

    order = random.Random(7)
    count = 0
    for _ in range(PAIRS):
        first = order.random() < 0.5
        paths = (one, other) if first else (other, one)
        took = [await seconds(path) for path in paths]
        count += (took[0] > took[1]) is first
    return count


async def test_a_foreign_id_is_answered_as_soon_as_one_never_issued(system: System) -> None:
    """Neighbours in time meet the same machine, so which is the slower one is a coin's toss: 150, give or take 9."""
    await supported(system)
    theirs, own = await system.submit("cust_a"), await system.submit("cust_b")
    never = theirs[:-6] + "zz0zz0"
    await system.customers.update_customer("cust_b", rate_limit_per_sec=1_000_000)
    for path in ("/workloads/{}", "/workloads/{}/audit", "/workloads/{}/logs"):
        count = await slower(system, path.format(theirs), path.format(never))
        assert PAIRS // 2 - 55 < count < PAIRS // 2 + 55, (path, count)  # six times what chance does
    # That the toss sees a difference where there is one: what is there takes longer.
    assert await slower(system, f"/workloads/{own}", f"/workloads/{never}") > PAIRS // 2 + 55
