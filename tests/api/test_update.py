"""Changing what a workload was submitted with, while it waits."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from niyanta.wire import messages
from niyanta.wire.v1 import workload_service_pb2 as pb
from support.cases import cases
from support.grpc_calls import Calls
from support.system import System, beating, supported

NOWHERE = {"hard_affinity": {"worker_id": "nowhere"}}
GPU = {"hard_affinity": {"worker_tags": {"hardware": "gpu"}}}


async def update(system: System, workload_id: str, body: dict[str, Any], **options: Any) -> Any:
    return await system.call("PATCH", f"/workloads/{workload_id}", body, **options)


async def test_what_changes_is_in_the_workload_and_in_its_history(system: System) -> None:
    await supported(system)
    workload_id = await system.submit(priority=10, timeout_seconds=60, affinity_rules=NOWHERE)
    changes = {"priority": 500, "timeout_seconds": None, "affinity_rules": GPU, "version": 1}
    status, body, _ = await update(system, workload_id, changes)
    assert status == 200, body
    assert (body["priority"], body["timeout_seconds"], body["affinity_rules"]) == (500, None, GPU)
    assert (body["version"], body["status"]) == (2, "PENDING")
    assert await system.get(workload_id) == body
    _, audit, _ = await system.call("GET", f"/workloads/{workload_id}/audit")
    event = audit["events"][-1]
    assert (event["event_id"], event["event_type"], event["actor_type"]) == (2, "workload.updated", "user")
    assert event["actor_id"].startswith("key_")
    assert event["details"]["changed"] == {
        "priority": {"from": 10, "to": 500},
        "timeout_seconds": {"from": 60, "to": None},
        "affinity_rules": {"from": NOWHERE, "to": GPU},
    }
    status, same, _ = await update(system, workload_id, {"priority": 500})
    assert (status, same["version"]) == (200, 2)


async def test_the_order_and_the_worker_follow_the_change(system: System) -> None:
    worker = await system.worker(capacity=1)
    async with beating(worker):
        await system.submit()
        running = (await worker.next_assignment()).ref
        await worker.report(running, messages.Started())
        first, second = [await system.submit() for _ in range(2)]
        elsewhere = await system.submit(affinity_rules=NOWHERE)
        await update(system, second, {"priority": 20})
        await update(system, elsewhere, {"priority": 30, "affinity_rules": None})
        order = []
        for _ in range(3):
            await worker.report(running, messages.Completed(b"{}"))
            running = (await worker.next_assignment()).ref
            await worker.report(running, messages.Started())
            order.append(running.workload_id)
        assert order == [elsewhere, second, first]


async def test_what_a_worker_has_or_has_ended_is_not_changed(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        for status in ("SCHEDULED", "RUNNING", "COMPLETED"):
            answer, body, _ = await update(system, workload_id, {"priority": 1})
            assert (answer, body["error"]["code"]) == (400, "INVALID_STATE")
            assert body["error"]["details"]["current_status"] == status
            event = messages.Started() if status == "SCHEDULED" else messages.Completed(b"{}")
            await worker.report(ref, event)
    assert "updated" not in await system.audit(workload_id)


async def test_a_paused_one_is_changed(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started())
        asked = asyncio.create_task(system.call("POST", f"/workloads/{workload_id}/pause"))
        assert isinstance(await worker.next_command(), messages.PauseAttempt)
        await worker.checkpoint(ref, b"{}")
        await worker.report(ref, messages.Paused())
        await asked
        status, body, _ = await update(system, workload_id, {"affinity_rules": NOWHERE})
        assert (status, body["status"], body["affinity_rules"]) == (200, "PAUSED", NOWHERE)
        await system.call("POST", f"/workloads/{workload_id}/resume")
        assert "nowhere" in (await system.get(workload_id))["pending_reason"]


@pytest.fixture
async def waiting(system: System) -> str:
    """A workload that no worker takes."""
    await supported(system)
    return await system.submit()


@cases(
    ("body", "field"),
    [
        ({}, "priority"),
        ({"version": 1}, "priority"),
        ({"priority": 1001}, "priority"),
        ({"priority": None}, "priority"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"affinity_rules": {"hard_affinity": {"worker_id": ""}}}, "affinity_rules.hard_affinity.worker_id"),
        ({"labels": {"": "a"}}, "labels"),
        ({"labels": {"team": "no blank"}}, "labels"),
        ({"labels": {f"k{n}": "" for n in range(17)}}, "labels"),
        ({"labels": ["team"]}, "labels"),
        ({"input_params": {}}, "input_params"),
    ],
)
async def test_wrong_changes(system: System, waiting: str, body: dict[str, Any], field: str) -> None:
    status, answer, _ = await update(system, waiting, body)
    assert (status, answer["error"]["details"]["field"]) == (400, field), answer
    assert (await system.get(waiting))["version"] == 1


async def test_another_version_is_a_conflict(system: System) -> None:
    await supported(system)
    workload_id = await system.submit()
    status, body, _ = await update(system, workload_id, {"priority": 5, "version": 7})
    assert (status, body["error"]["code"]) == (409, "CONFLICT")
    assert body["error"]["details"]["current_version"] == 1
    answers = await asyncio.gather(
        *(update(system, workload_id, {"priority": n, "version": 1}) for n in (20, 30, 40))
    )
    assert sorted(status for status, _, _ in answers) == [200, 409, 409]
    assert (await system.get(workload_id))["version"] == 2


async def test_changes_without_a_version_all_take_place(system: System) -> None:
    await supported(system)
    workload_id = await system.submit(affinity_rules=NOWHERE)
    changes: list[dict[str, Any]] = [
        {"priority": 20},
        {"timeout_seconds": 30},
        {"labels": {"team": "video"}},
        {"priority": 50},
    ]
    answers = await asyncio.gather(*(update(system, workload_id, change) for change in changes))
    assert [status for status, _, _ in answers] == [200] * len(changes), answers
    found = await system.get(workload_id)
    assert (found["timeout_seconds"], found["labels"], found["version"]) == (30, {"team": "video"}, 5)


async def test_grpc_does_the_same(system: System, calls: Calls) -> None:
    await supported(system)
    workload_id = await system.submit(affinity_rules=NOWHERE, timeout_seconds=5)
    request = pb.UpdateWorkloadRequest(workload_id=workload_id, priority=0, timeout_seconds=0)
    request.affinity_rules.SetInParent()
    found = (await calls.call("UpdateWorkload", request)).workload
    assert (found.priority, found.timeout_seconds, found.version) == (0, 0, 2)
    assert (await system.get(workload_id))["affinity_rules"] is None


async def test_labels_are_replaced_and_lists_find_the_new_ones(system: System) -> None:
    await supported(system)
    workload_id = await system.submit(affinity_rules=NOWHERE, labels={"team": "video", "release": "7"})
    status, body, _ = await update(system, workload_id, {"labels": {"team": "audio", "stage": "test"}})
    assert (status, body["labels"], body["version"]) == (200, {"stage": "test", "team": "audio"}, 2)
    for label, found in (("team:audio", [workload_id]), ("team:video", []), ("release:7", [])):
        _, listed, _ = await system.call("GET", f"/workloads?label={label}")
        assert [each["workload_id"] for each in listed["workloads"]] == found, label
    status, body, _ = await update(system, workload_id, {"labels": {"team": "audio", "stage": "test"}})
    assert (status, body["version"]) == (200, 2), "nothing is different"
    status, body, _ = await update(system, workload_id, {"labels": None, "priority": 7})
    assert (status, body["labels"], body["priority"]) == (200, {}, 7)
    _, audit, _ = await system.call("GET", f"/workloads/{workload_id}/audit")
    first, last = (event["details"]["changed"] for event in audit["events"][-2:])
    assert first == {"labels": {"from": {"release": "7", "team": "video"}, "to": {"stage": "test", "team": "audio"}}}
    assert last["labels"] == {"from": {"stage": "test", "team": "audio"}, "to": {}}


async def test_new_labels_leave_the_fingerprint_of_an_error_where_it_is(system: System) -> None:
    await supported(system)
    workload_id = await system.submit(affinity_rules=NOWHERE, labels={"team": "video"})
    connection = await asyncpg.connect(system.database_url)
    try:
        marked = "INSERT INTO workload_labels (customer_id, workload_id, key, value) VALUES ('cust_a', $1, '', 'f')"
        await connection.execute(marked, workload_id)
        await update(system, workload_id, {"labels": None})
        kept = "SELECT key FROM workload_labels WHERE workload_id = $1"
        assert [row["key"] for row in await connection.fetch(kept, workload_id)] == [""]
    finally:
        await connection.close()


async def test_grpc_replaces_labels(system: System, calls: Calls) -> None:
    await supported(system)
    workload_id = await system.submit(affinity_rules=NOWHERE, labels={"team": "video"})
    for entries in ({"team": "audio"}, {}):
        request = pb.UpdateWorkloadRequest(workload_id=workload_id, labels=pb.Labels(entries=entries))
        assert dict((await calls.call("UpdateWorkload", request)).workload.labels) == entries
    wrong = pb.UpdateWorkloadRequest(workload_id=workload_id, labels=pb.Labels(entries={"": "a"}))
    refusal = await calls.refused("UpdateWorkload", wrong)
    assert refusal.fields == ["labels"]
