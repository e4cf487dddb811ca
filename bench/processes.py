"""One coordinator process beside several, in the same run: rates, and CPU for each workload.

Both systems are there all the time, and have their turns in short rounds. Client, coordinators, worker and both
engines share the machine's cores, so two processes can't double what one does: what is left idle with one is to be
had. What more cores would bring is seen where each process of the coordinator is given a fifth of one, and all else
as much as it takes: then nothing but the coordinator is waited for.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.core import BODY, CONNECTIONS, NOWHERE, end_to_end, idle_latency
from bench.load import Api
from bench.system import System, running_system

__all__ = ["measure"]

COUNTS = (1, 2)
CPU_GROUPS = Path("/sys/fs/cgroup/cpu")
SHARE = 0.2
PERIOD_US = 20_000


async def measure(quick: bool) -> dict[str, Any]:
    """One process against two by turns: medians, their ratios, and the rates of each round."""
    rounds: dict[int, list[dict[str, float]]] = {count: [] for count in COUNTS}
    async with AsyncExitStack() as stack:
        systems = {
            count: await stack.enter_async_context(running_system(settings={"NIYANTA_PROCESSES": str(count)}))
            for count in COUNTS
        }
        for system in systems.values():
            await system.api().submit(BODY, CONNECTIONS, count=2_000)
            await system.until_idle()
        for _ in range(2 if quick else 6):
            for count, system in systems.items():
                rounds[count].append(await _round(system))
        narrow = await _narrow(systems, 2 if quick else 5)
    found = {
        count: {key: round(statistics.median(one[key] for one in ones), 2) for key in ones[0]}
        for count, ones in rounds.items()
    }
    one, two = (found[count] for count in COUNTS)
    return {
        "one": one,
        "two": two,
        "two_against_one": {key: round(two[key] / one[key], 3) for key in one},
        **narrow,
        "end_to_end_by_round": [
            " against ".join(str(each["end_to_end_per_second"]) for each in pair)
            for pair in zip(*reversed(rounds.values()), strict=True)
        ],
    }


async def _round(system: System) -> dict[str, float]:
    rate, cpu = await end_to_end(system, quick=True)
    idle = await idle_latency(system.api(), 60)
    submitted = await system.api().submit(NOWHERE, CONNECTIONS, count=4_000)
    reads = await _reads(system.api())
    await system.clear_queue()
    return {
        "end_to_end_per_second": rate,
        "cpu_us_per_workload": cpu["all"],
        "coordinator_us_per_workload": cpu["coordinator"],
        "submissions_per_second": submitted.count / submitted.seconds,
        "reads_per_second": reads,
        "submit_to_start_p50_ms": idle["submit_to_start_p50_ms"],
    }


async def _reads(api: Api, count: int = 6_000) -> float:
    """Of one workload over and over, per second."""
    workload_id = (await api.submit(NOWHERE, 1, count=1)).ids[0]
    left = count

    async def read() -> None:
        nonlocal left
        streams = await api.connect()
        while left > 0:
            left -= 1
            status, answer = await api.call(streams, "GET", f"/workloads/{workload_id}")
            if status != 200:
                raise RuntimeError(f"a read answered {status}: {answer[:300]!r}")
        streams[1].close()

    began = time.perf_counter()
    await asyncio.gather(*(read() for _ in range(CONNECTIONS)))
    return count / (time.perf_counter() - began)


async def _narrow(systems: dict[int, System], times: int) -> dict[str, Any]:
    """Rates where each process of the coordinator has a fifth of a core; nothing where that can't be arranged."""
    if not os.access(CPU_GROUPS / "cpu.cfs_quota_us", os.W_OK):
        return {}
    rates: dict[int, list[float]] = {count: [] for count in systems}
    with ExitStack() as held:
        for system in systems.values():
            for process in system.processes()["coordinator"]:
                held.enter_context(_held_to(SHARE, process.pid))
        for _ in range(times):
            for count, system in systems.items():
                began = time.perf_counter()
                await system.api().submit(BODY, 2 * CONNECTIONS, count=2_000)
                await system.until_idle()
                rates[count].append(2_000 / (time.perf_counter() - began))
    one, two = (statistics.median(found) for found in rates.values())
    return {
        "with_a_fifth_of_a_core_each": {"one": round(one), "two": round(two), "two_against_one": round(two / one, 3)}
    }


@contextmanager
def _held_to(share: float, pid: int) -> Iterator[None]:
    """A process has so much of a core, and no more."""
    group = CPU_GROUPS / f"niyanta-bench-{pid}"
    group.mkdir()
    try:
        (group / "cpu.cfs_period_us").write_text(f"{PERIOD_US}")
        (group / "cpu.cfs_quota_us").write_text(f"{round(share * PERIOD_US)}")
        (group / "cgroup.procs").write_text(f"{pid}")
        yield
    finally:
        (CPU_GROUPS / "cgroup.procs").write_text(f"{pid}")
        group.rmdir()
