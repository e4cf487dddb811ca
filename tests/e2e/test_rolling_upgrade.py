"""Workers with a new version of their handlers replace those with the old one, while work for both goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.system import System, running_system

_APP = """
import asyncio
from dataclasses import dataclass
from niyanta import Context, SyncContext, Worker

worker = Worker(capacity=2)


@dataclass
class Params:
    {field}: str


@worker.workload("process")
def process(ctx: SyncContext, params: Params) -> dict:
    return {{"did": params.{field}, "by": "{field}", "for": ctx.customer_id}}


@worker.workload("inline", isolation="inline")
async def inline(ctx: Context, params: Params) -> dict:
    await asyncio.sleep(0)
    return {{"did": params.{field}, "by": "{field}", "for": ctx.customer_id}}
"""
_SECONDS = 60.0


@pytest.fixture
async def roomy(database_url: str, nats_url: str, subject_prefix: str) -> AsyncIterator[System]:
    """A system whose workers may be as slow as the machine."""
    async with running_system(
        database_url,
        nats_url,
        subject_prefix,
        heartbeat_interval_seconds=1.0,
        worker_lease_seconds=8.0,
        unanswered_seconds=6.0,
        answer_seconds=2.0,
    ) as found:
        yield found


class Fleet:
    """Worker processes of the test's own."""

    def __init__(self, system: System, folder: Path) -> None:
        self._system = system
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._folder = folder
        for field in ("url", "source"):
            (folder / f"by_{field}.py").write_text(_APP.format(field=field))

    async def start(self, worker_id: str, field: str) -> None:
        """Start a worker whose handlers take this field, and wait until the service knows it."""
        settings = self._system.coordinator.settings
        self._running[worker_id] = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "niyanta.cli.main", "worker", "--id", worker_id),
            *("--app", f"{self._folder / f'by_{field}.py'}:worker"),
            env={
                **os.environ,
                "NIYANTA_NATS_URL": settings.nats_url,
                "NIYANTA_BROKER_AUTH": "none",
                "NIYANTA_SUBJECT_PREFIX": settings.subject_prefix,
            },
        )
        async with asyncio.timeout(_SECONDS):
            while worker_id not in await self._registered():
                await asyncio.sleep(0.1)

    async def _registered(self) -> list[str]:
        _, body, _ = await self._system.call("GET", "/admin/workers?status=HEALTHY", key="admin")
        return [worker["worker_id"] for worker in body["workers"]]

    async def stop(self, worker_id: str) -> None:
        """As a deployment does it: SIGTERM, and wait for its end."""
        process = self._running.pop(worker_id)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), _SECONDS) == 0

    async def end(self) -> None:
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@pytest.fixture
async def fleet(roomy: System, tmp_path: Path) -> AsyncIterator[Fleet]:
    found = Fleet(roomy, tmp_path)
    yield found
    await found.end()


class Customer:
    """Submits for one version of the handlers without a pause, until told to stop."""

    def __init__(self, system: System, field: str) -> None:
        self._system = system
        self._field = field
        self._task = asyncio.create_task(self._submit())
        self.submitted: list[str] = []

    async def _submit(self) -> None:
        while True:
            for kind in ("process", "inline"):
                given = {self._field: str(len(self.submitted))}
                body = {"workload_type": kind, "input_params": given}
                status, answer, _ = await self._system.call("POST", "/workloads", body)
                if status == 202:
                    self.submitted.append(answer["workload_id"])
                else:  # the worker has registered this instant
                    assert not self.submitted, answer
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def check(self) -> None:
        """All that was accepted is done, by the version that it was for."""
        for number, workload_id in enumerate(self.submitted):
            done = await self._system.until(workload_id, "COMPLETED", _SECONDS)
            expected: dict[str, Any] = {"did": str(number), "by": self._field, "for": "cust_a"}
            assert done["result_data"] == expected
            assert done["retry_count"] == 0


async def test_a_rolling_upgrade_loses_nothing(roomy: System, fleet: Fleet) -> None:
    await fleet.start("old-1", "url")
    await fleet.start("old-2", "url")
    before = Customer(roomy, "url")
    await fleet.start("new-1", "source")
    after = Customer(roomy, "source")
    await fleet.stop("old-1")
    await fleet.start("new-2", "source")
    await before.stop()
    await before.check()
    await fleet.stop("old-2")
    await after.stop()
    await after.check()
    assert before.submitted
    assert after.submitted


async def test_what_was_left_in_the_queue_waits_for_its_version(roomy: System, fleet: Fleet) -> None:
    for kind in ("process", "inline"):
        assert (await roomy.call("POST", "/workload-configs", {"workload_type": kind}))[0] == 201
    left = [
        await roomy.submit(workload_type=kind, input_params={"url": str(number)})
        for kind in ("process", "inline")
        for number in range(3)
    ]
    await fleet.start("new-1", "source")
    async with asyncio.timeout(_SECONDS):
        for workload_id in left:
            while "doesn't fit the version" not in ((found := await roomy.get(workload_id))["pending_reason"] or ""):
                await asyncio.sleep(0.1)
            assert "`source`" in found["error_message"]
    await fleet.start("old-1", "url")
    for workload_id in left:
        await roomy.until(workload_id, "COMPLETED", _SECONDS)
        events = await roomy.audit(workload_id)
        assert events == ["created", "scheduled", "unscheduled", "scheduled", "started", "completed"]
