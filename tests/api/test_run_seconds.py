"""How long attempts ran, and how much of it was done again or came to nothing, in the statistics."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from niyanta.wire import messages
from niyanta.wire.messages import AttemptRef
from support.scripted_worker import ScriptedWorker
from support.system import System, beating

RAN, UNSAVED = 100.0, 30.0
"""Seconds since the attempt began, and since its last checkpoint, when it ends."""


async def run_seconds(system: System) -> dict[str, float]:
    """Of the type, which are those of all."""
    days = f"start_date={datetime.now(UTC).date() - timedelta(days=1)}&end_date={datetime.now(UTC).date()}"
    _, body, _ = await system.call("GET", f"/customer/stats?{days}")
    (kind,) = body["by_workload_type"]
    assert kind["run_seconds"] == body["summary"]["run_seconds"]
    return dict(kind["run_seconds"])


async def long_ago(system: System, ref: AttemptRef) -> None:
    """Let it have begun, and saved, so long ago."""
    connection = await asyncpg.connect(system.database_url)
    try:
        ago = "now() - make_interval(secs => $2)"
        of_it = "WHERE workload_id = $1"
        await connection.execute(f"UPDATE workloads SET attempt_started_at = {ago} {of_it}", ref.workload_id, RAN)
        await connection.execute(f"UPDATE checkpoints SET created_at = {ago} {of_it}", ref.workload_id, UNSAVED)
    finally:
        await connection.close()


async def running(system: System, worker: ScriptedWorker, *, saves: bool) -> AttemptRef:
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, messages.Started())
    if saves:
        await worker.checkpoint(ref, b"{}")
    await long_ago(system, ref)
    return ref


@pytest.mark.parametrize(
    ("end", "saves", "redone", "lost"),
    [
        (messages.Completed(b"{}"), True, 0.0, 0.0),
        (messages.Failed("no disk"), True, UNSAVED, 0.0),
        (messages.Failed("no disk"), False, RAN, 0.0),
        (messages.Released("the worker stopped"), False, RAN, 0.0),
        (messages.Failed("no disk", permanent=True), True, 0.0, UNSAVED),
        (messages.Failed("no disk", permanent=True), False, 0.0, RAN),
    ],
)
async def test_each_end_of_an_attempt_counts(
    system: System, end: Any, saves: bool, redone: float, lost: float
) -> None:
    worker = await system.worker()
    async with beating(worker):
        await system.submit()
        ref = await running(system, worker, saves=saves)
        await worker.report(ref, end)
        expected = {"used": RAN, "redone": redone, "lost": lost}
        assert await run_seconds(system) == pytest.approx(expected, abs=20)


async def test_a_cancel_loses_what_was_not_saved_and_a_pause_nothing(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        waiting = await system.submit(affinity_rules={"hard_affinity": {"worker_id": "nobody"}})
        await system.call("POST", f"/workloads/{waiting}/cancel")
        assert await run_seconds(system) == {"used": 0.0, "redone": 0.0, "lost": 0.0}
        cancelled = await system.submit()
        await running(system, worker, saves=True)
        await system.call("POST", f"/workloads/{cancelled}/cancel")
        expected = {"used": RAN, "redone": 0.0, "lost": UNSAVED}
        assert await run_seconds(system) == pytest.approx(expected, abs=20)


async def test_an_earlier_attempts_checkpoint_saves_nothing_of_this_one(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        await system.submit()
        ref = await running(system, worker, saves=True)
        await worker.report(ref, messages.Released("drained"))
        again = await running(system, worker, saves=False)
        assert (again.workload_id, again.generation) == (ref.workload_id, 2)
        await worker.report(again, messages.Failed("no disk", permanent=True))
        expected = {"used": 2 * RAN, "redone": UNSAVED, "lost": RAN}
        assert await run_seconds(system) == pytest.approx(expected, abs=20)
