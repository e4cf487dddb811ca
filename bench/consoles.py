"""Many open consoles on one coordinator: what they cost it in memory, and when each has heard what happened."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from bench.load import Api, percentile
from bench.system import TYPE, System, running_system

__all__ = ["measure"]

SETTING = "NIYANTA_MAX_LIVE_FEEDS_PER_CUSTOMER"
PAGES = (
    "/workloads?limit=100",
    "/customer",
    "/customer/stats?start_date={today}&end_date={today}",
    "/workload-types",
)
"""What a console asks for as it is opened, beside its live feed."""
TOGETHER = 50


class Console:
    """One that is open: a connection that it asks over, and one on which it hears."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.heard: dict[str, float] = {}
        """When it was told that a workload has completed, by its id."""

    async def open(self, stack: AsyncExitStack) -> asyncio.StreamReader:
        """Show a page, and leave both connections open until the stack ends."""
        asking = await self._api.connect()
        stack.callback(asking[1].close)
        today = datetime.now(UTC).date()
        for path in (page.format(today=today) for page in PAGES):
            status, answer = await self._api.call(asking, "GET", path)
            if status != 200:
                raise RuntimeError(f"{path} answered {status}: {answer[:300]!r}")
        reader, writer = await self._api.listen("/workloads/events")
        stack.callback(writer.close)
        return reader

    async def hear(self, reader: asyncio.StreamReader) -> None:
        """Note what is told, for ever."""
        while line := await reader.readline():
            if line.startswith(b"data:") and b'"COMPLETED"' in line:
                at = line.index(b"wl_")
                self.heard.setdefault(line[at : at + 29].decode(), time.perf_counter())


async def measure(quick: bool) -> dict[str, Any]:
    """The coordinator's resident memory before, with all open, and once each has been told of some workloads."""
    count, told = (200, 50) if quick else (1_000, 300)
    async with running_system(settings={SETTING: str(count)}) as system, AsyncExitStack() as stack:
        api = system.api()
        await api.submit({"workload_type": TYPE, "input_params": {}}, 32, count=2_000)
        await system.until_idle()
        before = system.memory_mb()["coordinator"]
        consoles = [Console(api) for _ in range(count)]
        readers: list[asyncio.StreamReader] = []
        for first in range(0, count, TOGETHER):
            readers += await asyncio.gather(*(each.open(stack) for each in consoles[first : first + TOGETHER]))
        opened = system.memory_mb()["coordinator"]
        async with asyncio.TaskGroup() as group:
            pairs = zip(consoles, readers, strict=True)
            hearing = [group.create_task(console.hear(reader)) for console, reader in pairs]
            ended = await _run(system, api, told)
            spread = await _until_heard(consoles, ended)
            after = system.memory_mb()["coordinator"]
            for task in hearing:
                task.cancel()
        return {
            "consoles": count,
            "memory_mb": {"before": before, "open": opened, "after_news": after},
            "memory_of_consoles_mb": round(max(opened, after) - before, 1),
            "workloads_told_of": told,
            "last_console_after_first_ms": {
                f"p{share}": round(percentile(spread, share / 100) * 1000, 1) for share in (50, 95)
            },
        }


async def _run(system: System, api: Api, count: int) -> list[str]:
    load = await api.submit({"workload_type": TYPE, "input_params": {}}, 8, count=count)
    await system.until_idle()
    return load.ids


async def _until_heard(consoles: list[Console], ids: list[str]) -> list[float]:
    """By workload, seconds from the first console that heard of its end to the last."""
    async with asyncio.timeout(60):
        while not all(len(console.heard) >= len(ids) for console in consoles):
            await asyncio.sleep(0.1)
    moments = ([console.heard[workload_id] for console in consoles] for workload_id in ids)
    return [max(each) - min(each) for each in moments]
