"""Labels, and finding workloads by them, by time and by the beginning of their ids."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from niyanta.domain.limits import MAX_LABELS
from niyanta.server.store import listing
from niyanta.wire import messages
from niyanta.wire.v1 import workload_service_pb2 as pb
from support.cases import cases
from support.grpc_calls import Calls
from support.system import System, beating, supported

NOWHERE = {"hard_affinity": {"worker_id": "nowhere"}}
VIDEO = {"team": "video", "release": "2025.10"}


async def listed(system: System, query: str, key: str = "cust_a") -> list[str]:
    status, body, _ = await system.call("GET", f"/workloads?{query}", key=key)
    assert status == 200, body
    return [row["workload_id"] for row in body["workloads"]]


async def test_labels_come_with_every_kind_of_submission_and_are_shown(system: System, calls: Calls) -> None:
    await supported(system)
    one = await system.submit(labels=VIDEO, affinity_rules=NOWHERE)
    plain = await system.submit(affinity_rules=NOWHERE)
    empty = await system.submit(labels={}, affinity_rules=NOWHERE)
    item: Any = {"workload_type": "count", "input_params": {}, "affinity_rules": NOWHERE}
    _, body, _ = await system.call(
        "POST", "/workloads/batch", {"workloads": [item | {"labels": {"team": "video"}}, item]}
    )
    first, second = (result["workload_id"] for result in body["results"])
    remote = await calls.submit({}, workload_type="count", labels=VIDEO)
    for workload_id, labels in (
        (one, VIDEO),
        (plain, {}),
        (empty, {}),
        (first, {"team": "video"}),
        (second, {}),
        (remote, VIDEO),
    ):
        assert (await system.get(workload_id))["labels"] == labels
        answer = await calls.call("GetWorkload", pb.GetWorkloadRequest(workload_id=workload_id))
        assert dict(answer.workload.labels) == labels
    _, body, _ = await system.call("GET", "/workloads?limit=100")
    assert {row["workload_id"]: row["labels"] for row in body["workloads"]}[one] == VIDEO
    assert set(await listed(system, "label=team:video")) == {one, first, remote}
    assert set(await listed(system, "label=team:video&label=release:2025.10&status=PENDING")) == {one, remote}
    assert await listed(system, "label=team:video&label=release:no") == []
    assert await listed(system, "label=team:video", key="cust_b") == []
    answer = await calls.call("ListWorkloads", pb.ListWorkloadsRequest(labels=VIDEO, limit=1, order="asc"))
    assert [workload.workload_id for workload in answer.workloads] == [one]
    assert dict(answer.workloads[0].labels) == VIDEO
    given = pb.ListWorkloadsRequest(labels=VIDEO, limit=1, order="asc", cursor=answer.pagination.next_cursor)
    answer = await calls.call("ListWorkloads", given)
    assert [workload.workload_id for workload in answer.workloads] == [remote]


@pytest.fixture
async def served(system: System) -> System:
    """With a type that can be submitted."""
    await supported(system)
    return system


@cases(
    "labels",
    [
        {"": "x"},
        {"a b": "x"},
        {"-a": "x"},
        {"a:b": "x"},
        {"a" * 64: "x"},
        {"a": "x" * 64},
        {"a": "-"},
        {"a": "ä"},
        {"a": "x\n"},
        {str(n): "x" for n in range(MAX_LABELS + 1)},
    ],
)
async def test_wrong_labels(served: System, labels: dict[str, str]) -> None:
    body = {"workload_type": "count", "input_params": {}, "labels": labels}
    status, answer, _ = await served.call("POST", "/workloads", body)
    assert (status, answer["error"]["details"]["field"]) == (400, "labels"), answer
    status, answer, _ = await served.call("POST", "/workloads/batch", {"workloads": [body]})
    assert (status, answer["results"][0]["error"]["details"]["field"]) == (202, "labels"), answer
    for path in ("/workloads/batch/cancel", "/workloads/replay"):
        status, answer, _ = await served.call("POST", path, {"filter": {"labels": labels}})
        assert (status, answer["error"]["details"]["field"]) == (400, "filter.labels"), answer


async def test_the_longest_labels(system: System) -> None:
    await supported(system)
    labels = {f"{n:02}" + "k" * 61: "" if n == 0 else "v" * 63 for n in range(MAX_LABELS)}
    workload_id = await system.submit(labels=labels, affinity_rules=NOWHERE)
    assert (await system.get(workload_id))["labels"] == labels
    query = "&".join(f"label={key}:{value}" for key, value in labels.items())
    assert await listed(system, query) == [workload_id]


@cases(
    ("query", "field"),
    [
        ("label=team", "label"),
        ("label=:video", "label"),
        ("&".join(["label=a:b"] * 17), "label"),
        ("label=a:b&order_by=priority", "order_by"),
        ("q=wl_&order_by=status", "order_by"),
        ("created_after=2025-01-01&order_by=started_at", "order_by"),
        ("label=a:b&offset=1", "offset"),
        ("created_before=yesterday", "created_before"),
        (f"q={'x' * 201}", "q"),
        ("status=FAILED&status=FAILED", "status"),
    ],
)
async def test_wrong_filters(system: System, query: str, field: str) -> None:
    status, body, _ = await system.call("GET", f"/workloads?{query}")
    assert (status, body["error"]["details"]["field"]) == (400, field), body


async def test_a_time_and_the_beginning_of_an_id_bound_a_list(system: System) -> None:
    await supported(system)
    made = [await system.submit(affinity_rules=NOWHERE, labels={"n": str(n)}) for n in range(4)]
    times = [(await system.get(workload_id))["created_at"] for workload_id in made]
    assert len(set(times)) == 4, "each in a millisecond of its own"
    assert await listed(system, f"created_after={times[0]}") == made[:0:-1]
    assert await listed(system, f"created_after={times[0]}&created_before={times[3]}&order=asc") == made[1:3]
    assert await listed(system, f"created_after={times[0]}&label=n:0") == []
    assert await listed(system, f"created_before={times[2]}&label=n:1&status=PENDING") == [made[1]]
    assert set(await listed(system, f"q={made[0][:8]}")) == set(made)
    assert await listed(system, f"q={made[2]}") == [made[2]]
    assert await listed(system, "q=wl_zzz") == []
    assert await listed(system, "q=%7E") == []
    status, body, _ = await system.call("GET", f"/workloads?limit=1&order=asc&q={made[0][:8]}")
    assert (body["pagination"]["total"], body["pagination"]["total_is_estimate"]) == (4, False)
    cursor = body["pagination"]["next_cursor"]
    assert await listed(system, f"order=asc&q={made[0][:8]}&cursor={cursor}") == made[1:]
    for other in ("", f"&q={made[0][:7]}", f"&q={made[0][:8]}&label=n:1"):
        status, body, _ = await system.call("GET", f"/workloads?order=asc&cursor={cursor}{other}")
        assert (status, body["error"]["details"]["field"]) == (400, "cursor")


async def test_many_are_cancelled_and_replayed_by_label_and_what_comes_of_one_keeps_its_labels(
    system: System, calls: Calls
) -> None:
    worker = await system.worker()
    async with beating(worker):
        originals = []
        for labels in (VIDEO, {}, VIDEO):
            originals.append(await system.submit(labels=labels))
            ref = (await worker.next_assignment()).ref
            await worker.report(ref, messages.Started())
            await worker.checkpoint(ref, b"{}")
            await worker.report(ref, messages.Failed("no disk", permanent=True))
    await supported(system)
    status, body, _ = await system.call("POST", "/workloads/replay", {"filter": {"labels": VIDEO}})
    assert status == 202, body
    assert [result["replayed_from"] for result in body["results"]] == [originals[0], originals[2]]
    replays = [result["workload_id"] for result in body["results"]]
    _, body, _ = await system.call("POST", f"/workloads/{originals[0]}/replay", {"priority": 3})
    replays.append(body["workload_id"])
    _, body, _ = await system.call("POST", f"/workloads/{originals[0]}/fork")
    replays.append(body["workload_id"])
    for workload_id in replays:
        assert (await system.get(workload_id))["labels"] == VIDEO
    answer = await calls.call(
        "CancelWorkloadBatch", pb.CancelWorkloadBatchRequest(filter=pb.WorkloadFilter(labels=VIDEO))
    )
    assert {result.workload_id for result in answer.results} == set(replays)


async def test_a_search_that_finds_nothing_ends_each_page_early_and_says_how_far_it_looked(
    system: System, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "REACH", 3)
    await supported(system)
    for number in range(8):
        await system.submit(labels={"env": "prod" if number % 2 else "test", "all": "1"}, affinity_rules=NOWHERE)
    query = "label=all:1&label=env:none&limit=1"
    status, body, _ = await system.call("GET", f"/workloads?{query}")
    assert (status, body["workloads"], body["pagination"]["has_more"]) == (200, [], False)
    assert "reached_at" not in body["pagination"]
    for order in ("asc", "desc"):
        query, cursor, reached = f"label=env:prod&label=env:test&limit=1&order={order}", "", []
        while True:
            _, body, _ = await system.call("GET", f"/workloads?{query}{cursor}")
            assert body["workloads"] == []
            pagination = body["pagination"]
            if not pagination["has_more"]:
                assert "reached_at" not in pagination
                break
            reached.append(pagination["reached_at"])
            cursor = f"&cursor={pagination['next_cursor']}"
        assert reached
        assert reached == sorted(reached, reverse=order == "desc")
    looked = pb.ListWorkloadsRequest(labels={"env": "prod"}, q="wl_", limit=1)
    answer = await calls.call("ListWorkloads", looked)
    newest = (await system.get(answer.workloads[0].workload_id))["created_at"]
    assert answer.pagination.reached_at.ToDatetime(UTC) == datetime.fromisoformat(newest)
    assert not (await calls.call("ListWorkloads", pb.ListWorkloadsRequest(limit=1))).pagination.HasField("reached_at")


async def test_a_replay_by_labels_leaves_what_is_far_to_the_next_call(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "REACH", 2)
    await supported(system)
    labels = [{"odd": "1"} if number % 2 else {"even": "1"} for number in range(220)]
    item: Any = {"workload_type": "count", "input_params": {}, "affinity_rules": NOWHERE}
    items = [item | {"labels": given} for given in (*labels, {"odd": "1", "even": "1"})]
    _, body, _ = await system.call("POST", "/workloads/batch", {"workloads": items})
    last = body["results"][-1]["workload_id"]
    _, body, _ = await system.call("POST", "/workloads/batch/cancel", {"filter": {"workload_type": "count"}})
    assert body["cancelled"] == len(items)
    wanted = {"filter": {"status": "CANCELLED", "labels": {"odd": "1", "even": "1"}}, "limit": 1}
    status, body, _ = await system.call("POST", "/workloads/replay", wanted)
    assert (status, body["results"], body["has_more"]) == (202, [], True)
    _, body, _ = await system.call("POST", "/workloads/replay", wanted | {"cursor": body["next_cursor"]})
    assert [result["replayed_from"] for result in body["results"]] == [last]
    assert (body["has_more"], body["next_cursor"]) == (False, None)


async def test_labels_are_a_part_of_what_an_idempotency_key_names(system: System) -> None:
    await supported(system)
    body: Any = {"workload_type": "count", "input_params": {}, "affinity_rules": NOWHERE}
    key: Any = {"Idempotency_Key": "labelled"}
    _, first, _ = await system.call("POST", "/workloads", body | {"labels": VIDEO}, **key)
    _, again, headers = await system.call("POST", "/workloads", body | {"labels": VIDEO}, **key)
    assert (again["workload_id"], headers["Idempotent-Replayed"]) == (first["workload_id"], "true")
    status, _, _ = await system.call("POST", "/workloads", body, **key)
    assert status == 409
