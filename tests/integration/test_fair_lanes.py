"""One customer's hundreds of placement classes keep nobody waiting: on real PostgreSQL and NATS."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from niyanta.wire import messages
from support.scripted_worker import ScriptedWorker
from support.system import System, beating

_CROWD = 600
"""More placement classes than the scheduler ever reads in one pass."""


async def _crowd(system: System, rules: list[dict[str, Any]]) -> None:
    """Have ``cust_a`` queue one workload for each of these rules; its id sorts before ``cust_b``."""
    for first in range(0, len(rules), 200):
        workloads = [
            {"workload_type": "count", "input_params": {}, "affinity_rules": r} for r in rules[first : first + 200]
        ]
        status, body, _ = await system.call("POST", "/workloads/batch", {"workloads": workloads})
        assert status == 202, body


async def _until_assigned(worker: ScriptedWorker, workload_id: str, seconds: float) -> None:
    """Run whatever comes until this one has come."""
    while (assignment := await worker.next_assignment(seconds)).ref.workload_id != workload_id:
        await worker.report(assignment.ref, messages.Started(), messages.Completed(b"{}"))


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(
            lambda n: {"anti_affinity": {"workload_types": ["kept"], "worker_tags": {"no": str(n)}}}, id="anti"
        ),
        pytest.param(lambda n: {"hard_affinity": {"worker_tags": {"zone": "1", "no": str(n)}}}, id="hard"),
    ],
)
async def test_lanes_that_nothing_suits_keep_nobody_waiting(system: System, rule: Any) -> None:
    worker = await system.worker(types=["count", "kept"], tags={"zone": "1"})
    async with beating(worker):
        # This one runs all the time, and is what the anti-affinity of the crowd avoids.
        await system.submit(workload_type="kept")
        kept = await worker.next_assignment()
        await worker.report(kept.ref, messages.Started())
        await _crowd(system, [rule(n) for n in range(_CROWD)])
        for _ in range(3):
            other = await system.submit("cust_b")
            await _until_assigned(worker, other, 3)


async def test_soft_wishes_share_fairly(system: System) -> None:
    worker = await system.worker(capacity=1)
    async with beating(worker):
        await system.submit()
        running = await worker.next_assignment()
        await worker.report(running.ref, messages.Started())
        await _crowd(system, [{"soft_affinity": {"worker_tags": {"no": str(n)}}} for n in range(_CROWD)])
        other = await system.submit("cust_b")
        await worker.report(running.ref, messages.Completed(b"{}"))
        turns = 0
        while (assignment := await worker.next_assignment(5)).ref.workload_id != other:
            turns += 1
            assert turns <= 3, "the other customer waits for the crowd"
            await worker.report(assignment.ref, messages.Started(), messages.Completed(b"{}"))


async def test_a_long_queue_of_one_customer_holds_up_no_other(system: System) -> None:
    """One slot, and 500 of ``cust_a`` before each single workload of ``cust_b``: it is the next, or the one then."""
    worker = await system.worker(capacity=1)
    async with beating(worker):
        running = await system.submit()
        ref = (await worker.next_assignment()).ref
        assert ref.workload_id == running
        await worker.report(ref, messages.Started())
        await _crowd(system, [{}] * 500)
        for _ in range(5):
            other = await system.submit("cust_b")
            await worker.report(ref, messages.Completed(b"{}"))
            turns = 0
            while (ref := (await worker.next_assignment(5)).ref).workload_id != other:
                turns += 1
                assert turns <= 1, "the other customer waits for the queue"
                await worker.report(ref, messages.Started(), messages.Completed(b"{}"))
            await worker.report(ref, messages.Started())


async def test_turns_follow_run_seconds(system: System) -> None:
    """One slot; ``cust_a``'s workloads take two and a half seconds each, ``cust_b``'s next to nothing."""
    worker = await system.worker(capacity=1)
    turns = {"cust_a": 0, "cust_b": 0}
    async with beating(worker):
        for _ in range(30):
            await system.submit("cust_b")
        for _ in range(10):
            await system.submit("cust_a")
        while turns["cust_a"] < 5:
            assignment = await worker.next_assignment(10)
            await worker.report(assignment.ref, messages.Started())
            if assignment.ref.customer_id == "cust_a":
                await asyncio.sleep(2.5)  # what is tested is how the time it takes is counted
            await worker.report(assignment.ref, messages.Completed(b"{}"))
            turns[assignment.ref.customer_id] += 1
    # The first two or three say how long it takes; a turn of less than a second counts as one.
    assert turns["cust_b"] >= 7
