"""What a workload's answer says of its future: why it waits, when it will start and end."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from niyanta.wire import messages
from support.system import System, beating

NOWHERE = {"hard_affinity": {"worker_id": "nowhere"}}


def at(text: str | None) -> datetime:
    assert text is not None
    return datetime.fromisoformat(text)


async def test_a_free_slot_means_a_start_at_once(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        async with system.another_coordinator() as fresh:
            status, body, _ = await system.call(
                "POST", "/workloads", {"workload_type": "count", "input_params": {}}, via=fresh
            )
        assert status == 202
        assert abs(at(body["estimated_start_time"]) - at(body["created_at"])) < timedelta(seconds=1)


async def test_nothing_to_estimate_from_is_null(system: System) -> None:
    await system.call("POST", "/workload-configs", {"workload_type": "count"})
    async with system.another_coordinator() as fresh:
        _, body, _ = await system.call(
            "POST", "/workloads", {"workload_type": "count", "input_params": {}}, via=fresh
        )
        assert body["estimated_start_time"] is None
        _, found, _ = await system.call("GET", f"/workloads/{body['workload_id']}", via=fresh)
    assert (found["estimated_start_time"], found["estimated_completion_time"]) == (None, None)
    assert found["pending_reason"] == "no live worker serves workload type 'count'"


async def test_progress_tells_when_it_will_end(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started())
        assert (await system.get(workload_id))["estimated_completion_time"] is None
        began = time.monotonic()
        await worker.report(ref, messages.Progressed(50, None))
        found = await system.get(workload_id)
        elapsed = time.monotonic() - began
        end, start = at(found["estimated_completion_time"]), at(found["started_at"])
        assert timedelta(0) < end - start < timedelta(seconds=10 + 4 * elapsed)
        assert found["pending_reason"] is None
        await worker.report(ref, messages.Completed(b"{}"))
        assert (await system.get(workload_id))["estimated_completion_time"] is None


async def test_the_past_of_the_type_tells_too_but_only_ones_own(system: System) -> None:
    """All three run at once; the first has run for longest, so its past could tell of both others."""
    worker = await system.worker()
    async with beating(worker):
        refs = {}
        for key in ("past", "cust_a", "cust_b"):
            await system.submit("cust_a" if key == "past" else key)
            refs[key] = (await worker.next_assignment()).ref
            await worker.report(refs[key], messages.Started())
        await worker.report(refs["past"], messages.Completed(b"{}"))
        own = await system.get(refs["cust_a"].workload_id)
        others = await system.get(refs["cust_b"].workload_id, "cust_b")
    assert own["estimated_completion_time"] is not None
    assert others["estimated_completion_time"] is None


async def test_why_it_waits(system: System) -> None:
    worker = await system.worker(capacity=1, tags={"region": "eu"})
    async with beating(worker):
        reasons = {
            "it needs worker 'nowhere'": NOWHERE,
            "it needs tags region=us": {"hard_affinity": {"worker_tags": {"region": "us"}}},
        }
        for reason, rules in reasons.items():
            found = await system.get(await system.submit(affinity_rules=rules))
            assert found["pending_reason"].endswith(reason)
            assert found["estimated_start_time"] is None
        first = await system.submit()
        await worker.report((await worker.next_assignment()).ref, messages.Started())
        second = await system.submit()
        async with system.another_coordinator() as fresh:
            _, found, _ = await system.call("GET", f"/workloads/{second}", via=fresh)
        assert found["pending_reason"] == "every matching worker is full"
        assert (await system.get(first))["pending_reason"] is None
