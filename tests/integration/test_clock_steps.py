"""The wall clock of a coordinator steps, by seconds or by days: leases and time-outs don't go by it."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from niyanta.server.store.database import Pool
from niyanta.wire import messages
from support.system import System, beating, supported

HOUR = 3600.0


class Clock:
    """The process's wall clock, which can be made wrong."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wrong_by = 0.0
        right, right_ns = time.time, time.time_ns
        monkeypatch.setattr(time, "time", lambda: right() + self.wrong_by)
        monkeypatch.setattr(time, "time_ns", lambda: right_ns() + round(self.wrong_by * 1_000_000_000))


async def _lease(system: System) -> Any:
    database = system.coordinator.database
    assert database is not None
    async with database.connection(Pool.API) as conn:
        return tuple(*await conn.fetch("SELECT holder, epoch FROM leader_lease"))


@pytest.mark.hasty
@pytest.mark.parametrize("step", [2.0, -2.0, HOUR, -HOUR, 30 * 24 * HOUR, -30 * 24 * HOUR])
async def test_a_clock_that_steps_ends_no_lease_and_holds_nothing_up(
    system: System, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    clock = Clock(monkeypatch)
    worker = await system.worker()
    async with beating(worker):
        long = await system.submit(timeout_seconds=60)
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started(), messages.LogLine("INFO", "before", {}))
        lease = await _lease(system)
        for wrong_by in (step, 0.0):
            clock.wrong_by = wrong_by
            other = await system.submit()
            assignment = await worker.next_assignment()
            assert assignment.ref.workload_id == other
            await worker.report(assignment.ref, messages.Started(), messages.Completed(b"{}"))
            await system.until(other, "COMPLETED")
        await worker.report(ref, messages.LogLine("INFO", "after", {}))
        clock.wrong_by = step
        deadline = time.monotonic() + 2 * system.coordinator.settings.worker_lease_seconds
        while time.monotonic() < deadline:  # longer than every lease
            assert (await system.get(long))["status"] == "RUNNING"
            await asyncio.sleep(0.1)
        assert await system.audit(long) == ["created", "scheduled", "started"]
        assert await _lease(system) == lease
        _, body, _ = await system.call("GET", f"/workloads/{long}/logs")
        assert [line["message"] for line in body["logs"]] == ["before", "after"]


@pytest.mark.parametrize("step", [-HOUR, HOUR])
async def test_places_in_a_queue_go_by_the_databases_clock(
    system: System, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    await supported(system)
    first = await system.submit()
    Clock(monkeypatch).wrong_by = step
    second = await system.submit()
    dates = [datetime.fromisoformat((await system.get(each))["created_at"]) for each in (first, second)]
    assert dates[0] <= dates[1] < dates[0] + timedelta(minutes=1)
    worker = await system.worker(capacity=1)
    assert (await worker.next_assignment()).ref.workload_id == first
