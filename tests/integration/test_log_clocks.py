"""A log is read in the order in which it was written, however far apart its workers' clocks are."""

from __future__ import annotations

import asyncio

import pytest

from niyanta.client import AsyncClient
from niyanta.client.models import LogLine
from niyanta.wire import messages
from support.system import System, beating

MINUTE = 60.0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(0.0, -40 * MINUTE, id="the second behind"),
        pytest.param(50 * MINUTE, 0.0, id="the first ahead"),
        pytest.param(-90 * MINUTE, 30.0, id="the first far behind"),
        pytest.param(2.5, -2.5, id="a little"),
        pytest.param(0.0, 0.0, id="none"),
    ],
)
async def test_following_loses_and_doubles_no_line(system: System, first: float, second: float) -> None:
    shown: list[str] = []
    async with AsyncClient(system.keys["cust_a"], system.url("")) as client:
        worker = await system.worker("w1")
        workload_id = await system.submit()
        worker.clock_ahead_seconds = first

        async def follow() -> None:
            nonlocal shown
            async for line in client.workloads.iterate_logs(workload_id, follow=True):
                shown += [line.message]

        async def seen(count: int) -> None:
            async with asyncio.timeout(30):
                while len(shown) < count:
                    await asyncio.sleep(0.02)

        following = asyncio.create_task(follow())
        async with beating(worker):
            ref = (await worker.next_assignment()).ref
            await worker.report(ref, messages.Started())
            for batch in range(3):
                await worker.report(ref, *(messages.LogLine("INFO", f"1.{batch}.{n}") for n in range(40)))
                await seen(40 * (batch + 1))
            await worker.report(ref, messages.Released("moving"))
            await worker.beat(leaving=True)
        other = await system.worker("w2")
        other.clock_ahead_seconds = second
        async with beating(other):
            ref = (await other.next_assignment()).ref
            await other.report(ref, messages.Started())
            for batch in range(3):
                await other.report(ref, *(messages.LogLine("INFO", f"2.{batch}.{n}") for n in range(40)))
            await other.report(ref, messages.LogLine("INFO", "the last word"), messages.Completed(b"{}"))
        await asyncio.wait_for(following, 30)
        written = [f"{attempt}.{batch}.{n}" for attempt in (1, 2) for batch in range(3) for n in range(40)]
        assert shown == [*written, "the last word"]
        assert texts([line async for line in client.workloads.iterate_logs(workload_id)]) == shown
        newest = [line async for line in client.workloads.iterate_logs(workload_id, order="desc")]
        assert texts(newest) == shown[::-1]
        assert texts(list(await client.workloads.logs(workload_id, tail=50))) == shown[-50:]


def texts(lines: list[LogLine]) -> list[str]:
    return [line.message for line in lines]
