"""Many workloads with one call: each has its own outcome, the batch as a whole is idempotent."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from niyanta.server.coordinator import Coordinator
from niyanta.server.store.listing import ListingStore
from niyanta.wire import messages
from niyanta.wire.messages import CancelAttempt
from support.system import System, beating, supported


def items(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"workload_type": "count", "input_params": {"n": n}, **fields} for n in range(count)]


NOWHERE = {"hard_affinity": {"worker_id": "nowhere"}}
"""Keeps a workload in the queue."""


@contextlib.asynccontextmanager
async def limited(system: System, **limits: int) -> AsyncIterator[Coordinator]:
    """A coordinator that knows new limits from its start."""
    await system.customers.update_customer("cust_a", **limits)
    async with system.another_coordinator() as coordinator:
        yield coordinator


async def rows(system: System, customer_id: str = "cust_a") -> int:
    connection = await asyncpg.connect(system.database_url)
    try:
        found = await connection.fetchval("SELECT count(*) FROM workloads WHERE customer_id = $1", customer_id)
        return int(found)
    finally:
        await connection.close()


async def test_each_item_has_its_own_outcome(system: System) -> None:
    await supported(system)
    bad = [
        {"workload_type": "unknown", "input_params": {}},
        {"workload_type": "count", "input_params": {}, "priority": 1001},
        {"workload_type": "count", "input_params": {}, "timeout_seconds": 0},
        {
            "workload_type": "count",
            "input_params": {},
            "affinity_rules": {"hard_affinity": {"worker_tags": {"": "x"}}},
        },
    ]
    status, body, headers = await system.call("POST", "/workloads/batch", {"workloads": [*items(2), *bad, *items(1)]})
    assert status == 202
    assert (body["accepted"], body["rejected"]) == (3, 4)
    assert [result["index"] for result in body["results"]] == list(range(7))
    assert [result.get("error", {}).get("details", {}).get("field") for result in body["results"]] == [
        None,
        None,
        "workload_type",
        "priority",
        "timeout_seconds",
        "affinity_rules.hard_affinity.worker_tags",
        None,
    ]
    assert body["results"][2]["error"]["details"]["supported_types"] == ["count"]
    created = [result["workload_id"] for result in body["results"] if "workload_id" in result]
    assert created == sorted(created)
    assert set(body["results"][0]) == {
        "index",
        "workload_id",
        "status",
        "created_at",
        "estimated_start_time",
        "version",
    }
    assert [(await system.get(one))["input_params"] for one in created] == [{"n": 0}, {"n": 1}, {"n": 0}]
    assert "Idempotent-Replayed" not in headers


async def test_a_batch_runs_in_its_order(system: System) -> None:
    worker = await system.worker(capacity=1)
    async with beating(worker):
        _, body, _ = await system.call("POST", "/workloads/batch", {"workloads": items(5)})
        wanted = [result["workload_id"] for result in body["results"]]
        ran = []
        for _ in wanted:
            assignment = await worker.next_assignment()
            ran.append(assignment.ref.workload_id)
            await worker.report(assignment.ref, messages.Started(), messages.Completed(b"{}"))
        assert ran == wanted


MALFORMED_BATCHES = [
    ({}, "workloads"),
    ({"workloads": []}, "workloads"),
    ({"workloads": items(1001)}, "workloads"),
    ({"workloads": {}}, "workloads"),
    ({"workloads": [*items(2), {"workload_type": "count", "input_params": {}, "x": 1}]}, "workloads[2].x"),
    ({"workloads": [*items(1), {"workload_type": "count"}]}, "workloads[1].input_params"),
    ({"workloads": [*items(1), {"workload_type": 5, "input_params": {}}]}, "workloads[1].workload_type"),
    (
        {"workloads": [*items(1), {"workload_type": "count", "input_params": {"a": "\0"}}]},
        "workloads[1].input_params.a",
    ),
    ({"workloads": items(1), "more": 1}, "more"),
]


async def test_a_malformed_batch_is_refused_as_a_whole(system: System) -> None:
    for body, field in MALFORMED_BATCHES:
        status, answer, _ = await system.call("POST", "/workloads/batch", body)
        assert status == 400
        assert answer["error"]["details"]["field"] == field
        assert await rows(system) == 0


async def test_the_queue_takes_exactly_what_it_has_room_for(system: System) -> None:
    await supported(system)
    waiting = {"workloads": items(3, affinity_rules=NOWHERE)}
    async with limited(system, max_queue_depth=7) as one, system.another_coordinator() as other:
        answers = await asyncio.gather(
            *(system.call("POST", "/workloads/batch", waiting, via=via) for via in (one, other) * 4)
        )
    assert {status for status, _, _ in answers} == {202}
    assert sum(body["accepted"] for _, body, _ in answers) == 7
    refused = [result["error"] for _, body, _ in answers for result in body["results"] if "error" in result]
    assert len(refused) == 17
    assert {error["code"] for error in refused} == {"SERVICE_UNAVAILABLE"}
    assert {error["details"]["max_queue_depth"] for error in refused} == {7}
    assert await rows(system) == 7


async def test_a_batch_is_idempotent_as_a_whole(system: System) -> None:
    await supported(system)
    body = {"workloads": [*items(3), {"workload_type": "unknown", "input_params": {}}]}
    status, first, headers = await system.call("POST", "/workloads/batch", body, Idempotency_Key="k")
    assert status == 202
    status, second, headers = await system.call("POST", "/workloads/batch", body, Idempotency_Key="k")
    assert (status, second) == (202, first)
    assert headers["Idempotent-Replayed"] == "true"
    status, third, _ = await system.call("POST", "/workloads/batch", {"workloads": items(3)}, Idempotency_Key="k")
    assert (status, third["error"]["code"]) == (409, "CONFLICT")
    assert third["error"]["details"]["field"] == "Idempotency-Key"
    assert await rows(system) == 3


async def test_racing_duplicates_of_a_batch_make_one(system: System) -> None:
    await supported(system)
    body = {"workloads": items(20)}
    async with system.another_coordinator() as other:
        answers = await asyncio.gather(
            *(
                system.call("POST", "/workloads/batch", body, Idempotency_Key="k", via=via)
                for via in (system.coordinator, other) * 10
            )
        )
    assert {status for status, _, _ in answers} == {202}
    assert len({str(answer) for _, answer, _ in answers}) == 1
    assert sum("Idempotent-Replayed" in headers for _, _, headers in answers) == 19
    assert await rows(system) == 20


async def test_a_batch_of_which_nothing_was_accepted_is_not_kept(system: System) -> None:
    await supported(system)
    body = {"workloads": items(2)}
    async with limited(system, max_queue_depth=0) as full:
        _, answer, _ = await system.call("POST", "/workloads/batch", body, via=full, Idempotency_Key="k")
        assert (answer["accepted"], answer["rejected"]) == (0, 2)
    async with limited(system, max_queue_depth=10) as free:
        _, answer, headers = await system.call("POST", "/workloads/batch", body, via=free, Idempotency_Key="k")
        assert (answer["accepted"], answer["rejected"]) == (2, 0)
        assert "Idempotent-Replayed" not in headers


async def test_a_key_of_a_batch_is_none_of_a_single_submission(system: System) -> None:
    await supported(system)
    await system.call("POST", "/workloads/batch", {"workloads": items(1)}, Idempotency_Key="k")
    status, _, headers = await system.call("POST", "/workloads", items(1)[0], Idempotency_Key="k")
    assert status == 202
    assert "Idempotent-Replayed" not in headers
    assert await rows(system) == 2


async def test_a_batch_may_be_larger_than_other_bodies_but_is_bounded(system: System) -> None:
    await supported(system)

    async def post(count: int, size: int) -> tuple[int, Any]:
        body = json.dumps({"workloads": items(count, input_params={"text": "x" * size})}).encode()
        headers = {"Authorization": f"Bearer {system.keys['cust_a']}", "Content-Type": "application/json"}
        async with system.http.post(
            system.url("/v1/workloads/batch"), data=io.BytesIO(body), headers=headers
        ) as response:
            return response.status, await response.json()

    status, body = await post(4, 500_000)
    assert (status, body["accepted"]) == (202, 4)
    status, body = await post(1, 16 << 20)
    assert (status, body["error"]["details"]["max_bytes"]) == (413, 16 << 20)


async def test_cancel_by_ids(system: System) -> None:
    worker = await system.worker(capacity=1)
    async with beating(worker):
        running = await system.submit()
        assignment = await worker.next_assignment()
        await worker.report(assignment.ref, messages.Started())
        waiting = [await system.submit() for _ in range(2)]
        ended = waiting[1]
        await system.call("POST", f"/workloads/{ended}/cancel")
        foreign = await system.submit("cust_b")
        ids = [waiting[0], running, ended, foreign, "wl_never", "not an id", waiting[0]]
        status, body, _ = await system.call(
            "POST", "/workloads/batch/cancel", {"workload_ids": ids, "reason": "enough"}
        )
        assert status == 200
        assert (body["cancelled"], body["failed"], body["has_more"]) == (2, 4, False)
        assert [result["workload_id"] for result in body["results"]] == ids[:-1]
        assert [result.get("status") or result["error"]["code"] for result in body["results"]] == [
            "CANCELLED",
            "CANCELLED",
            "INVALID_STATE",
            "NOT_FOUND",
            "NOT_FOUND",
            "NOT_FOUND",
        ]
        assert body["results"][3]["error"] == body["results"][4]["error"]
        assert isinstance(await worker.next_command(), CancelAttempt)
        found = await system.get(running)
        assert (found["status"], found["version"]) == ("CANCELLED", body["results"][1]["version"])
        assert found["cancelled_at"] == body["results"][1]["cancelled_at"]
        assert (await system.get(foreign, "cust_b"))["status"] != "CANCELLED"
        _, trail, _ = await system.call("GET", f"/workloads/{running}/audit")
        assert trail["events"][-1]["details"]["reason"] == "enough"


async def test_cancel_by_filter_takes_the_oldest_and_says_when_there_are_more(system: System) -> None:
    await supported(system, "count", "other")
    _, first, _ = await system.call("POST", "/workloads/batch", {"workloads": items(1000, affinity_rules=NOWHERE)})
    await system.call("POST", "/workloads/batch", {"workloads": items(5, affinity_rules=NOWHERE)})
    await system.submit(workload_type="other", affinity_rules=NOWHERE)
    _, body, _ = await system.call("POST", "/workloads/batch/cancel", {"filter": {"workload_type": "count"}})
    assert (body["cancelled"], body["failed"], body["has_more"]) == (1000, 0, True)
    assert {result["workload_id"] for result in body["results"]} == {r["workload_id"] for r in first["results"]}
    _, body, _ = await system.call("POST", "/workloads/batch/cancel", {"filter": {"workload_type": "count"}})
    assert (body["cancelled"], body["has_more"]) == (5, False)
    _, body, _ = await system.call("POST", "/workloads/batch/cancel", {"filter": {"workload_type": "count"}})
    assert (body["results"], body["cancelled"]) == ([], 0)
    _, body, _ = await system.call("POST", "/workloads/batch/cancel", {"filter": {"status": "PENDING"}})
    assert body["cancelled"] == 1


async def test_what_has_begun_to_run_since_the_filter_was_read_runs_on(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await supported(system)
    waiting, begun = await system.submit(affinity_rules=NOWHERE), await system.submit()
    first_ids = ListingStore.first_ids

    async def then_one_runs(store: ListingStore, *args: Any) -> Any:
        found = await first_ids(store, *args)
        worker = await system.worker()
        await worker.report((await worker.next_assignment()).ref, messages.Started())
        return found

    monkeypatch.setattr(ListingStore, "first_ids", then_one_runs)
    status, body, _ = await system.call("POST", "/workloads/batch/cancel", {"filter": {"status": "PENDING"}})
    assert (status, body["cancelled"], body["failed"]) == (200, 1, 1)
    (refused,) = [result for result in body["results"] if result["workload_id"] == begun]
    assert refused["error"]["code"] == "INVALID_STATE"
    assert refused["error"]["details"]["current_status"] == "RUNNING"
    assert [(await system.get(each))["status"] for each in (waiting, begun)] == ["CANCELLED", "RUNNING"]


async def test_what_changes_its_status_while_a_filter_is_read_is_cancelled_all_the_same(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await system.worker()
    workload_id = await system.submit()
    ref = (await worker.next_assignment()).ref
    assert (await system.call("POST", "/admin/workers/w1/drain", key="admin"))[0] == 200
    first_ids = ListingStore.first_ids
    looks = 0

    async def then_goes_back(store: ListingStore, *args: Any) -> Any:
        nonlocal looks
        looks += 1
        found = await first_ids(store, *args)
        if looks == 1:  # at what is PENDING
            await worker.report(ref, messages.Refused("full"))
        return found

    monkeypatch.setattr(ListingStore, "first_ids", then_goes_back)
    _, body, _ = await system.call("POST", "/workloads/batch/cancel", {"filter": {"workload_type": "count"}})
    assert (body["cancelled"], (await system.get(workload_id))["status"]) == (1, "CANCELLED")


async def test_cancel_by_time_of_creation(system: System) -> None:
    await supported(system)
    old = await system.submit(affinity_rules=NOWHERE)
    at = datetime.fromisoformat((await system.get(old))["created_at"])

    async def cancelled(**wanted: Any) -> int:
        _, body, _ = await system.call("POST", "/workloads/batch/cancel", {"filter": wanted})
        return int(body["cancelled"])

    instant = timedelta(milliseconds=1)
    assert await cancelled(created_before=at.isoformat()) == 0
    assert await cancelled(created_after=at.isoformat()) == 0
    assert await cancelled(created_before="0001-01-01T00:00:00+23:59") == 0
    assert await cancelled(created_after="9999-12-31T23:59:59-23:59") == 0
    between = {"created_after": (at - instant).isoformat(), "created_before": (at + instant / 2).isoformat()}
    assert await cancelled(**between) == 1


MALFORMED_CANCELLATIONS = [
    ({}, "workload_ids"),
    ({"workload_ids": ["a"], "filter": {"status": "PENDING"}}, "workload_ids"),
    ({"workload_ids": []}, "workload_ids"),
    ({"workload_ids": ["a"] * 1001}, "workload_ids"),
    ({"workload_ids": [1]}, "workload_ids[0]"),
    ({"workload_ids": ["a" * 201]}, "workload_ids[0]"),
    ({"filter": {}}, "filter"),
    ({"filter": {"status": "COMPLETED"}}, "filter.status"),
    ({"filter": {"status": "pending"}}, "filter.status"),
    ({"filter": {"created_before": "yesterday"}}, "filter.created_before"),
    ({"filter": {"owner": "x"}}, "filter.owner"),
    ({"workload_ids": ["a"], "reason": "x" * 1001}, "reason"),
    ({"workload_ids": ["a"], "reason": "\0"}, "reason"),
]


async def test_a_malformed_cancellation_is_refused(system: System) -> None:
    for body, field in MALFORMED_CANCELLATIONS:
        status, answer, _ = await system.call("POST", "/workloads/batch/cancel", body)
        assert (status, answer["error"]["code"]) == (400, "INVALID_INPUT")
        assert answer["error"]["details"]["field"] == field
