"""Watches: a snapshot first, every move in order, log lines once, the terminal state last; whatever the feed loses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from niyanta.server.coordinator.changes import ChangeFeed
from niyanta.server.coordinator.identity import Authenticator
from niyanta.server.coordinator.watching import Update, Watch, WatchService
from niyanta.server.store.customers import CustomerStore, Identity
from niyanta.server.store.database import Database
from niyanta.wire import messages
from niyanta.wire.broker import Broker
from niyanta.wire.subjects import Subjects
from scripted_worker import ScriptedWorker
from system import System, beating

A = Identity("cust_a", "key", "customer")
B = Identity("cust_b", "key", "customer")


@contextlib.asynccontextmanager
async def watching(system: System, *, hears: bool = True) -> AsyncIterator[WatchService]:
    """Watches as another replica offers them; without ``hears``, one that the feed never reaches."""
    database = await Database.open(system.database_url)
    broker = Broker(system.coordinator.settings.nats_url, name="watching")
    await broker.connect()
    feed = ChangeFeed(broker, Subjects(system.coordinator.settings.subject_prefix), "watching")
    if hears:
        await feed.start()
    service = WatchService(database, feed, Authenticator(CustomerStore(database)))
    running = asyncio.create_task(service.run())
    try:
        yield service
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await broker.close()
        await database.close()


async def all_of(watch: Watch, seconds: float = 15.0) -> list[Update]:
    """Everything that a watch tells, up to its end."""
    async with asyncio.timeout(seconds), watch:
        return [update async for update in watch]


async def next_of(watch: Watch, seconds: float = 5.0) -> Update:
    async with asyncio.timeout(seconds):
        return await anext(watch)


def check_order(updates: list[Update]) -> None:
    """What must hold of every watch that came to its end."""
    versions = [update.version for update in updates if update.kind == "status"]
    assert versions == sorted(set(versions))
    everything = [update.version for update in updates]
    assert everything == sorted(everything)
    assert [update.is_terminal for update in updates] == [False] * (len(updates) - 1) + [True]


def statuses(updates: list[Update]) -> list[str]:
    """The statuses passed through, without what only progress repeats."""
    found: list[str] = []
    for update in updates:
        if update.kind == "status" and (not found or found[-1] != update.status):
            found.append(update.status.value)
    return found


def lines(updates: list[Update]) -> list[str | None]:
    return [update.message for update in updates if update.kind == "log"]


async def moves(system: System, workload_id: str) -> list[tuple[int, str]]:
    """(version, status) after each move, from the audit trail."""
    _, body, _ = await system.call("GET", f"/workloads/{workload_id}/audit")
    return [
        (event["details"]["version"], event["details"]["to"])
        for event in body["events"]
        if event["details"]["from"] != event["details"]["to"]
    ]


async def run_once(worker: ScriptedWorker, ref: Any) -> None:
    """One attempt in many small batches."""
    await worker.report(ref, messages.Started(), messages.LogLine("INFO", "line 0"))
    for number in range(1, 6):
        await worker.report(
            ref, messages.Progressed(number * 10), messages.LogLine("WARN", f"line {number}", {"n": number})
        )
    await worker.report(ref, messages.LogLine("INFO", "last words"), messages.Completed(b'{"sum": 6}'))


@pytest.mark.parametrize("hears", [True, False], ids=["hearing", "deaf"])
async def test_a_watch_tells_every_move_and_line_once_and_in_order(system: System, hears: bool) -> None:
    worker = await system.worker()
    async with watching(system, hears=hears) as service, beating(worker):
        workload_id = await system.submit(affinity_rules={"hard_affinity": {"worker_id": "w2"}})
        watch = await service.open(A, workload_id, logs=True)
        told = asyncio.create_task(all_of(watch))
        second = await system.worker("w2")
        async with beating(second):
            ref = (await second.next_assignment()).ref
            await run_once(second, ref)
            updates = await told
    check_order(updates)
    assert updates[0].status == "PENDING"
    assert updates[0].version == 1
    assert statuses(updates) == ["PENDING", "SCHEDULED", "RUNNING", "COMPLETED"]
    assert lines(updates) == [*(f"line {n}" for n in range(6)), "last words"]
    versions = {update.version: update.status for update in updates if update.kind == "status"}
    for version, status in await moves(system, workload_id):
        assert versions[version] == status
    assert updates[-1].result_json == '{"sum": 6}'
    assert updates[-1].progress_percent == 100
