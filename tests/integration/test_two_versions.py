"""Two versions of one workload type: a submission goes where its input fits, and a wrong guess costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from niyanta.domain.forms import form_of
from niyanta.wire import messages
from niyanta.wire.messages import Assignment
from support.scripted_worker import ScriptedWorker
from support.system import System, beating, running_system

OLD: dict[str, Any] = {"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]}
NEW: dict[str, Any] = {"type": "object", "properties": {"source": {"type": "string"}}, "required": ["source"]}
OLD_INPUT, NEW_INPUT, BOTH = {"url": "a"}, {"source": "a"}, {"url": "a", "source": "a"}
_seen: WeakKeyDictionary[ScriptedWorker, set[messages.AttemptRef]] = WeakKeyDictionary()


@pytest.fixture
async def system(database_url: str, nats_url: str, subject_prefix: str) -> AsyncIterator[System]:
    """One that gives a slow machine time to answer: what is unscheduled here was refused."""
    settings = {"worker_lease_seconds": 6.0, "answer_seconds": 3.0, "unanswered_seconds": 8.0}
    async with running_system(database_url, nats_url, subject_prefix, **settings) as found:
        yield found


async def served_by(system: System, worker_id: str, schema: dict[str, Any] | None, **options: Any) -> ScriptedWorker:
    schemas = {} if schema is None else {"count": schema}
    worker = await system.worker(worker_id, schemas=schemas, **options)
    _seen[worker] = set()
    return worker


async def fresh(worker: ScriptedWorker) -> Assignment:
    """The next assignment that isn't a repetition, as a slow answer brings on."""
    while (assignment := await worker.next_assignment()).ref in _seen[worker]:
        pass
    _seen[worker].add(assignment.ref)
    return assignment


def has_fresh(worker: ScriptedWorker) -> bool:
    """Whether an assignment has come that was neither answered nor is a repetition."""
    waiting = [worker.assignments.get_nowait() for _ in range(worker.assignments.qsize())]
    left = [assignment for assignment in waiting if assignment.ref not in _seen[worker]]
    for assignment in left:
        worker.assignments.put_nowait(assignment)
    return bool(left)


async def knows(system: System, *words: str, **given: Any) -> None:
    """Wait until the refusal of an input that fits nothing says so: it tells which versions the service knows of."""
    async with asyncio.timeout(20):
        while True:
            body = {"workload_type": "count", "input_params": given}
            _, answer, _ = await system.call("POST", "/workloads", body)
            if all(word in answer["error"]["message"] for word in words):
                return
            await asyncio.sleep(0.05)


async def finish(worker: ScriptedWorker, assignment: Assignment | None = None) -> str:
    assignment = assignment or await fresh(worker)
    await worker.report(assignment.ref, messages.Started(), messages.Completed(b"{}"))
    return assignment.ref.workload_id


async def refuse(worker: ScriptedWorker, schema: dict[str, Any], *, hopeless: bool = False) -> str:
    assignment = await fresh(worker)
    await worker.report(assignment.ref, messages.Refused("`source` is missing", form_of(schema), hopeless))
    return assignment.ref.workload_id


async def test_what_fits_any_live_worker_is_accepted_and_placed_only_where_it_fits(system: System) -> None:
    old, new = await served_by(system, "old", OLD), await served_by(system, "new", NEW)
    async with beating(old, new):
        await knows(system, "2 live versions")
        for_old = sorted([await system.submit(input_params=OLD_INPUT) for _ in range(4)])
        for_new = sorted([await system.submit(input_params=NEW_INPUT) for _ in range(4)])
        assert sorted([await finish(old) for _ in for_old]) == for_old
        assert sorted([await finish(new) for _ in for_new]) == for_new
        for workload_id in (*for_old, *for_new):
            assert await system.audit(workload_id) == ["created", "scheduled", "started", "completed"]
        either = await system.submit(input_params=BOTH)
        async with asyncio.timeout(20):
            while not has_fresh(old) and not has_fresh(new):
                await asyncio.sleep(0.01)
        assert await finish(new if has_fresh(new) else old) == either
        status, body, _ = await system.call("POST", "/workloads", {"workload_type": "count", "input_params": {}})
        assert (status, body["error"]["code"]) == (400, "INVALID_INPUT")
        assert "2 live versions" in body["error"]["message"]
        assert body["error"]["details"]["errors"][0]["pointer"].startswith("/input_params")


async def test_one_batch_may_hold_inputs_for_both(system: System) -> None:
    old, new = await served_by(system, "old", OLD), await served_by(system, "new", NEW)
    async with beating(old, new):
        await knows(system, "2 live versions")
        inputs = [OLD_INPUT, NEW_INPUT, {}]
        body = {"workloads": [{"workload_type": "count", "input_params": given} for given in inputs]}
        status, answer, _ = await system.call("POST", "/workloads/batch", body)
        assert status in (200, 202, 207), answer
        assert ["error" in outcome and outcome["error"] is not None for outcome in answer["results"]] == [
            False,
            False,
            True,
        ]
        await finish(old)
        await finish(new)


async def test_what_was_queued_for_another_version_is_refused_once_and_waits_for_it(system: System) -> None:
    old = await served_by(system, "old", OLD)
    await knows(system, "url")
    await old.beat(leaving=True)
    await system.call("POST", "/workload-configs", {"workload_type": "count"})
    waiting = [await system.submit(input_params=OLD_INPUT) for _ in range(3)]
    new = await served_by(system, "new", NEW)
    async with beating(new):
        assert sorted([await refuse(new, NEW) for _ in waiting]) == sorted(waiting)
        for workload_id in waiting:
            found = await system.until(workload_id, "PENDING")
            assert "doesn't fit the version of 'count'" in found["pending_reason"]
            assert found["error_message"] == "`source` is missing"
            assert found["retry_count"] == 0
        # The worker isn't made to rest for it, and it isn't asked again.
        fits = await system.submit(input_params=NEW_INPUT)
        assert await finish(new) == fits
        assert not has_fresh(new)
        back = await served_by(system, "old-2", OLD)
        async with beating(back):
            assert sorted([await finish(back) for _ in waiting]) == sorted(waiting)
            assert not has_fresh(new)
        for workload_id in waiting:
            assert (await system.until(workload_id, "COMPLETED"))["error_message"] is None
            events = await system.audit(workload_id)
            assert events == ["created", "scheduled", "unscheduled", "scheduled", "started", "completed"]


async def test_a_refusal_after_a_slow_start_hands_it_back(system: System) -> None:
    new = await served_by(system, "new", None)
    async with beating(new):
        workload_id = await system.submit(input_params=OLD_INPUT)
        assignment = await fresh(new)
        await new.report(assignment.ref, messages.Started(), messages.Refused("no", form_of(NEW)))
        again = await fresh(new)
        assert (again.ref.workload_id, again.ref.generation) == (workload_id, assignment.ref.generation + 1)
        assert (await system.get(workload_id))["retry_count"] == 0
        assert "redistributed" in await system.audit(workload_id)


async def test_what_only_the_handlers_own_checks_refuse_fails_where_there_is_no_other_version(system: System) -> None:
    new = await served_by(system, "new", NEW)
    async with beating(new):
        await knows(system, "source")
        alone = await system.submit(input_params=BOTH)
        await refuse(new, NEW, hopeless=True)
        assert (await system.until(alone, "FAILED"))["error_message"] == "`source` is missing"
        old = await served_by(system, "old", OLD, capacity=1)
        async with beating(old):
            await knows(system, "2 live versions")
            blocker = await system.submit(input_params=OLD_INPUT)
            blocking = await fresh(old)
            assert blocking.ref.workload_id == blocker
            moved = await system.submit(input_params=BOTH)
            assert await refuse(new, NEW, hopeless=True) == moved
            await finish(old, blocking)
            assert await finish(old) == moved


async def test_a_refusal_that_names_no_form_is_one_like_others(system: System) -> None:
    worker = await served_by(system, "w1", None)
    async with beating(worker):
        workload_id = await system.submit()
        await refuse_oddly(worker)
        assert await finish(worker) == workload_id  # after a rest


async def refuse_oddly(worker: ScriptedWorker) -> None:
    assignment = await fresh(worker)
    await worker.report(assignment.ref, messages.Refused("odd", "a b\0c"))


async def test_a_draining_workers_version_counts_only_where_there_is_no_other(system: System) -> None:
    old = await served_by(system, "old", OLD)
    async with beating(old):
        await knows(system, "url")
        assert (await system.call("POST", "/admin/workers/old/drain", key="admin"))[0] == 200
        alone = await system.submit(input_params=OLD_INPUT)
        assert (await system.get(alone))["status"] == "PENDING"
        new = await served_by(system, "new", NEW)
        async with beating(new):
            await knows(system, "don't fit the workload type", "source")
            body = {"workload_type": "count", "input_params": OLD_INPUT}
            assert (await system.call("POST", "/workloads", body))[0] == 400


@pytest.mark.parametrize(("given", "expected"), [(OLD_INPUT, 400), ({**OLD_INPUT, "paid": True}, 202)])
async def test_the_configs_own_schema_holds_besides(system: System, given: dict[str, Any], expected: int) -> None:
    config = {"workload_type": "count", "input_schema": {"type": "object", "required": ["paid"]}}
    assert (await system.call("POST", "/workload-configs", config))[0] == 201
    old, new = await served_by(system, "old", OLD), await served_by(system, "new", NEW)
    async with beating(old, new):
        await knows(system, "2 live versions", paid=True)
        body = {"workload_type": "count", "input_params": given}
        assert (await system.call("POST", "/workloads", body))[0] == expected


async def test_operators_see_which_version_each_worker_serves(system: System) -> None:
    old, new, loose = [
        await served_by(system, name, schema) for name, schema in (("old", OLD), ("new", NEW), ("loose", None))
    ]
    async with beating(old, new, loose):
        _, body, _ = await system.call("GET", "/admin/workers", key="admin")
        assert {w["worker_id"]: w["input_forms"] for w in body["workers"]} == {
            "old": {"count": form_of(OLD)},
            "new": {"count": form_of(NEW)},
            "loose": {"count": "any"},
        }
