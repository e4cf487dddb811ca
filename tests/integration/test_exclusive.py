"""An exclusive workload moves to another worker only once the one that had it has surely stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import pytest

from niyanta.server.store.queries import Connection
from niyanta.server.store.workloads import WorkloadStore
from niyanta.wire import messages
from support.pace import pace
from support.scripted_worker import ScriptedWorker
from support.system import System, beating, hasty, running_system

_TYPES = ["count", "only"]
_LEASE = 8.0
"""Long beside everything that a test waits for."""


async def _started(worker: ScriptedWorker, timeout_seconds: float = 20.0) -> str:
    """Have the next assignment begin; gives its workload."""
    async with asyncio.timeout(timeout_seconds):
        while (ref := (await worker.next_assignment(timeout_seconds)).ref) in worker.holds:
            pass  # pushed again, as its start wasn't known yet
    worker.holds.append(ref)
    await worker.report(ref, messages.Started())
    return ref.workload_id


async def _both_running(system: System) -> tuple[ScriptedWorker, str, str]:
    """A worker that runs one workload of each kind; gives it and their ids."""
    worker = await system.worker("w1", types=_TYPES, exclusive=["only"])
    plain = await system.submit(workload_type="count")
    only = await system.submit(workload_type="only")
    assert {await _started(worker), await _started(worker)} == {plain, only}
    return worker, plain, only


async def _history(system: System, workload_id: str) -> list[tuple[str, datetime]]:
    """(event type, moment) of each of its events in order, by the database's clock."""
    _, body, _ = await system.call("GET", f"/workloads/{workload_id}/audit")
    return [
        (event["event_type"].removeprefix("workload."), datetime.fromisoformat(event["timestamp"]))
        for event in body["events"]
    ]


def _seconds(before: datetime, after: datetime) -> float:
    """Between two moments; one more thousandth, as the API cuts what is finer."""
    return (after - before).total_seconds() + 0.001


async def _remove(system: System, worker_id: str) -> None:
    status, _, _ = await system.call("DELETE", f"/admin/workers/{worker_id}", key="admin")
    assert status == 204


async def test_a_removed_worker_keeps_exclusive_work_until_it_says_that_nothing_runs_any_more(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    async with running_system(database_url, nats_url, subject_prefix, worker_lease_seconds=300.0) as system:
        first, plain, only = await _both_running(system)
        second = await system.worker("w2", types=_TYPES, exclusive=["only"])
        async with beating(second):
            await _remove(system, "w1")
            assert await _started(second) == plain
            with pytest.raises(TimeoutError):
                await _started(second, 1.5)
            assert (await system.get(only))["status"] == "RUNNING"
            assert not (await first.beat()).ok
            with pytest.raises(TimeoutError):
                await _started(second, 0.5)
            await first.beat(leaving=True)
            assert await _started(second) == only
            moved = await system.get(only)
            assert (moved["retry_count"], "removed" in moved["error_message"]) == (1, True)


async def test_a_removal_while_the_monitor_looks_is_not_taken_for_a_death(
    database_url: str, nats_url: str, subject_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it reads of the workers is no older than what it reads of their work, so it sees how this one left."""
    looks = 0
    looked_thrice = asyncio.Event()
    orphaned = WorkloadStore.orphaned
    async with running_system(database_url, nats_url, subject_prefix, worker_lease_seconds=300.0) as system:
        _, plain, only = await _both_running(system)

        async def removed_first(store: WorkloadStore, conn: Connection) -> Sequence[tuple[str, str]]:
            nonlocal looks
            looks += 1
            if looks == 1:
                await _remove(system, "w1")
            elif looks == 3:
                looked_thrice.set()
            return await orphaned(store, conn)

        monkeypatch.setattr(WorkloadStore, "orphaned", removed_first)
        await system.until(plain, "REDISTRIBUTING")
        async with asyncio.timeout(10 * pace()):
            await looked_thrice.wait()
        assert (await system.get(only))["status"] == "RUNNING"
        assert await system.audit(only) == ["created", "scheduled", "started"]


@pytest.mark.hasty
async def test_a_removed_worker_that_says_nothing_keeps_exclusive_work_for_a_lease(system: System) -> None:
    _, plain, only = await _both_running(system)
    second = await system.worker("w2", types=_TYPES, exclusive=["only"])
    lease = system.coordinator.settings.worker_lease_seconds
    async with beating(second):
        _, listed, _ = await system.call("GET", "/admin/workers", key="admin")
        (last_sign,) = [worker["last_heartbeat"] for worker in listed["workers"] if worker["worker_id"] == "w1"]
        await _remove(system, "w1")
        assert await _started(second) == plain
        assert await _started(second, 10) == only
        moved = next(at for event, at in reversed(await _history(system, only)) if event == "scheduled")
        assert _seconds(datetime.fromisoformat(last_sign), moved) >= lease


@pytest.mark.hasty
async def test_a_worker_that_stops_keeps_exclusive_work_that_it_could_not_end(system: System) -> None:
    """What doesn't end in time goes down with it, some time after its last words."""
    worker, plain, only = await _both_running(system)
    second = await system.worker("w2", types=_TYPES, exclusive=["only"])
    lease = system.coordinator.settings.worker_lease_seconds
    async with beating(second):
        assert (await worker.beat(*worker.holds, leaving=True)).ok
        _, listed, _ = await system.call("GET", "/admin/workers", key="admin")
        (last_sign,) = [found["last_heartbeat"] for found in listed["workers"] if found["worker_id"] == "w1"]
        assert await _started(second) == plain
        assert await _started(second, 10) == only
        moved = next(at for event, at in reversed(await _history(system, only)) if event == "scheduled")
        assert _seconds(datetime.fromisoformat(last_sign), moved) >= lease
        assert (await system.get(only))["retry_count"] <= 1, "a stop is no death"


async def test_a_removed_id_that_may_come_back_does_so_only_when_its_exclusive_work_has_moved(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    async with running_system(database_url, nats_url, subject_prefix, worker_lease_seconds=_LEASE) as system:
        worker, _, only = await _both_running(system)
        await _remove(system, "w1")
        assert (await system.call("POST", "/admin/workers/w1/undrain", key="admin"))[0] == 200
        before, worker.incarnation = worker.incarnation, "second"
        assert (await worker.register_again()).reason == "in_use"
        assert (await system.get(only))["status"] == "RUNNING"
        worker.incarnation = before
        await worker.beat(leaving=True)
        worker.incarnation = "second"
        async with asyncio.timeout(_LEASE / 2):
            while not (await worker.register_again()).accepted:
                await asyncio.sleep(0.02)
        found = await system.get(only)
        assert found["retry_count"] <= 1, "a removal is no death"


@pytest.mark.hasty
async def test_an_exclusive_assignment_that_is_taken_back_waits_for_a_lease(system: System) -> None:
    """Its worker may have taken it all the same, and learns late that it has lost it."""
    silent = await system.worker("w1", types=["only"], exclusive=["only"], answers=True)
    async with beating(silent):
        only = await system.submit(workload_type="only")
        await silent.next_assignment()
        await system.until(only, "PENDING")
        await system.until(only, "SCHEDULED")
        (_, taken_back), (event, again) = (await _history(system, only))[2:4]
        assert event == "scheduled"
        assert _seconds(taken_back, again) >= system.coordinator.settings.worker_lease_seconds


async def test_an_exclusive_attempt_past_its_time_out_is_not_tried_again_before_a_lease_is_over(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    """Its worker hears of it with its next beat only, and may be the one whose clock is late."""
    settings = hasty() | {"timeout_grace_seconds": 0.2}
    async with running_system(database_url, nats_url, subject_prefix, **settings) as system:
        worker = await system.worker("w1", types=["only"], exclusive=["only"])
        async with beating(worker):
            only = await system.submit(workload_type="only", timeout_seconds=1)
            await worker.report((await worker.next_assignment()).ref, messages.Started())
            await system.until(only, "REDISTRIBUTING")
            assert (await worker.next_assignment()).ref.generation == 2
            (_, timed_out), (event, again) = (await _history(system, only))[3:5]
            assert event == "scheduled"
            assert _seconds(timed_out, again) >= system.coordinator.settings.worker_lease_seconds
