"""Lists and batches over gRPC, held against REST's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from niyanta.wire.v1 import workload_service_pb2 as pb
from support.cases import cases
from support.grpc_calls import Calls, fill, submission
from support.system import System

S = pb.WorkloadStatus


@pytest.fixture(autouse=True)
async def _configured(system: System) -> None:
    """A config makes ``count`` and ``other`` supported, but no worker serves them: workloads stay pending."""
    connection = await asyncpg.connect(system.database_url)
    await connection.execute(
        "INSERT INTO workload_configs (customer_id, config_id, workload_type)"
        " SELECT customer_id, 'wlcfg_' || kind, kind FROM customers, unnest(ARRAY['count', 'other']) kind"
    )
    await connection.close()


async def some(calls: Calls, count: int = 7) -> list[str]:
    kinds = ("count", "other")
    return [await calls.submit({}, workload_type=kinds[n % 2], priority=n % 3) for n in range(count)]


def ids(answer: Any) -> list[str]:
    return [workload.workload_id for workload in answer.workloads]


@pytest.fixture
async def seven(calls: Calls) -> list[str]:
    """The ids of as many workloads, of both types and three priorities."""
    return await some(calls)


@cases(
    "query",
    [
        {},
        {"limit": 3},
        {"limit": 3, "offset": 2},
        {"limit": 100, "offset": 100},
        {"status": "PENDING", "workload_type": "other"},
        {"status": "RUNNING"},
        {"order_by": "priority", "order": "asc", "limit": 2},
        {"order_by": "started_at"},
        {"order": "asc"},
    ],
)
async def test_a_page_is_rests_page(system: System, calls: Calls, seven: list[str], query: dict[str, Any]) -> None:
    assert len(seven) == 7
    words = "&".join(f"{name}={value}" for name, value in query.items())
    status, rest, _ = await system.call("GET", f"/workloads?{words}")
    assert status == 200
    given = query | ({"status": f"WORKLOAD_STATUS_{query['status']}"} if "status" in query else {})
    answer = await calls.call("ListWorkloads", pb.ListWorkloadsRequest(**given))
    assert ids(answer) == [workload["workload_id"] for workload in rest["workloads"]]
    pagination = MessageToDict(
        answer.pagination, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    expected = rest["pagination"] | {"total": str(rest["pagination"]["total"])}
    assert pagination == expected | {"next_cursor": expected["next_cursor"] or ""}
    for workload, row in zip(answer.workloads, rest["workloads"], strict=True):
        assert S.Name(workload.status) == f"WORKLOAD_STATUS_{row['status']}"
        names = ("workload_type", "priority", "progress_percent", "retry_count", "version")
        assert [getattr(workload, name) for name in names] == [row[name] for name in names]
        assert not workload.HasField("input_params")


@cases("order_by", ["created_at", "priority", "workload_type", "completed_at"])
async def test_cursors_lead_through_the_whole_list_and_fit_both_protocols(
    system: System, calls: Calls, seven: list[str], order_by: str
) -> None:
    found: list[str] = []
    cursor = ""
    while True:
        answer = await calls.call("ListWorkloads", pb.ListWorkloadsRequest(limit=2, order_by=order_by, cursor=cursor))
        found += ids(answer)
        if cursor:
            assert not answer.pagination.HasField("total")
            _, rest, _ = await system.call("GET", f"/workloads?limit=2&order_by={order_by}&cursor={cursor}")
            assert [workload["workload_id"] for workload in rest["workloads"]] == ids(answer)
        cursor = answer.pagination.next_cursor
        assert answer.pagination.has_more == bool(cursor)
        if not cursor:
            break
    assert sorted(found) == sorted(seven)


@cases(
    ("query", "field"),
    [
        ({"limit": 101}, "limit"),
        ({"limit": -1}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": 10_000_001}, "offset"),
        ({"order_by": "color"}, "order_by"),
        ({"order": "up"}, "order"),
        ({"status": 99}, "status"),
        ({"workload_type": "x" * 201}, "workload_type"),
        ({"workload_type": "a\0b"}, "workload_type"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "x", "offset": 1}, "cursor"),
    ],
)
async def test_wrong_parameters_are_named(calls: Calls, query: dict[str, Any], field: str) -> None:
    refusal = await calls.refused("ListWorkloads", pb.ListWorkloadsRequest(**query))
    assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field])


async def test_a_cursor_of_another_customer_or_list_is_refused(calls: Calls) -> None:
    await some(calls)
    page = await calls.call("ListWorkloads", pb.ListWorkloadsRequest(limit=2))
    cursor = page.pagination.next_cursor
    for query, key in (({"order": "asc"}, "cust_a"), ({"status": 1}, "cust_a"), ({}, "cust_b")):
        refusal = await calls.refused("ListWorkloads", pb.ListWorkloadsRequest(cursor=cursor, **query), key=key)
        assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["cursor"])


async def test_a_customer_lists_its_own_only(calls: Calls) -> None:
    made = await some(calls, 2)
    theirs = await calls.submit({}, key="cust_b")
    assert sorted(ids(await calls.call("ListWorkloads", pb.ListWorkloadsRequest()))) == sorted(made)
    assert ids(await calls.call("ListWorkloads", pb.ListWorkloadsRequest(), key="cust_b")) == [theirs]


async def test_a_batch_has_an_outcome_for_each(system: System, calls: Calls) -> None:
    items = [submission({"n": 1}), submission(workload_type="nope"), submission({"n": 2}, priority=5000)]
    items.append(submission({"n": 3}, priority=0))
    answer = await calls.call("SubmitWorkloadBatch", pb.SubmitWorkloadBatchRequest(workloads=items))
    assert (answer.accepted, answer.rejected) == (2, 2)
    assert [result.index for result in answer.results] == [0, 1, 2, 3]
    assert [result.WhichOneof("outcome") for result in answer.results] == ["workload", "error", "error", "workload"]
    assert answer.results[1].error.code == "INVALID_INPUT"
    assert MessageToDict(answer.results[1].error.details)["supported_types"] == ["count", "other"]
    assert MessageToDict(answer.results[2].error.details) == {"field": "priority", "minimum": 0.0, "maximum": 1000.0}
    last = answer.results[3].workload
    assert (last.status, last.version) == (S.WORKLOAD_STATUS_PENDING, 1)
    stored = await system.get(last.workload_id)
    assert (stored["input_params"], stored["priority"]) == ({"n": 3}, 0)


async def test_a_repeated_batch_is_answered_as_before(calls: Calls) -> None:
    request = pb.SubmitWorkloadBatchRequest(workloads=[submission({"n": n}) for n in range(3)])
    first = await calls.call("SubmitWorkloadBatch", request, idempotency_key="k1")
    again = calls.begin("SubmitWorkloadBatch", request, idempotency_key="k1")
    assert await again == first
    assert dict(await again.initial_metadata())["idempotent-replayed"] == "true"
    del request.workloads[0]
    refusal = await calls.refused("SubmitWorkloadBatch", request, idempotency_key="k1")
    assert refusal.code is grpc.StatusCode.ALREADY_EXISTS


async def test_a_batch_may_be_larger_than_a_submission_and_a_submission_may_not(calls: Calls) -> None:
    many = pb.SubmitWorkloadBatchRequest(workloads=[submission({"text": "x" * 100_000}) for _ in range(15)])
    answer = await calls.call("SubmitWorkloadBatch", many)
    assert answer.accepted == 15
    refusal = await calls.refused("SubmitWorkload", submission({"text": "x" * (1 << 20)}))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "INVALID_INPUT")
    assert refusal.info == {"max_bytes": str(1 << 20)}


@cases(
    ("items", "field"),
    [
        ([], "workloads"),
        ([submission()] * 1001, "workloads"),
        ([submission(), pb.SubmitWorkloadRequest(workload_type="count")], "workloads[1].input_params"),
        ([submission(), submission({"n": float("nan")})], "workloads[1].input_params.n"),
    ],
)
async def test_a_batch_that_is_wrong_as_a_whole(calls: Calls, items: list[Any], field: str) -> None:
    refusal = await calls.refused("SubmitWorkloadBatch", pb.SubmitWorkloadBatchRequest(workloads=items))
    assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field])


async def test_cancel_by_id(calls: Calls) -> None:
    first, second = await some(calls, 2)
    theirs = await calls.submit({}, key="cust_b")
    await calls.call("CancelWorkload", pb.CancelWorkloadRequest(workload_id=second))
    given = [first, second, theirs, "wl_none"]
    answer = await calls.call("CancelWorkloadBatch", pb.CancelWorkloadBatchRequest(workload_ids=given, reason="r"))
    assert [result.workload_id for result in answer.results] == given
    assert answer.results[0].cancelled.status == S.WORKLOAD_STATUS_CANCELLED
    assert answer.results[0].cancelled.HasField("cancelled_at")
    assert [result.error.code for result in answer.results[1:]] == ["INVALID_STATE", "NOT_FOUND", "NOT_FOUND"]
    assert answer.results[2].error == answer.results[3].error
    assert (answer.cancelled, answer.failed, answer.has_more) == (1, 3, False)


async def test_cancel_by_filter(calls: Calls) -> None:
    made = await some(calls)
    request = pb.CancelWorkloadBatchRequest(filter=pb.WorkloadFilter(workload_type="other"))
    answer = await calls.call("CancelWorkloadBatch", request)
    assert [result.workload_id for result in answer.results] == made[1::2]
    later = pb.WorkloadFilter()
    later.created_after.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    answer = await calls.call("CancelWorkloadBatch", pb.CancelWorkloadBatchRequest(filter=later))
    assert (len(answer.results), answer.cancelled) == (0, 0)
    before = pb.WorkloadFilter(status=S.WORKLOAD_STATUS_PENDING)
    before.created_before.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    answer = await calls.call("CancelWorkloadBatch", pb.CancelWorkloadBatchRequest(filter=before))
    assert [result.workload_id for result in answer.results] == made[0::2]


def bad_filter() -> pb.WorkloadFilter:
    found = pb.WorkloadFilter()
    found.created_after.seconds = 2**60
    return found


def filtered(status: Any) -> pb.CancelWorkloadBatchRequest:
    """By a status, also by a number that no name stands for."""
    return pb.CancelWorkloadBatchRequest(filter=pb.WorkloadFilter(status=status))


@cases(
    ("request_", "field"),
    [
        (pb.CancelWorkloadBatchRequest(), "workload_ids"),
        (
            pb.CancelWorkloadBatchRequest(
                workload_ids=["a"], filter=pb.WorkloadFilter(status=pb.WORKLOAD_STATUS_PENDING)
            ),
            "workload_ids",
        ),
        (pb.CancelWorkloadBatchRequest(filter=pb.WorkloadFilter()), "filter"),
        (filtered(77), "filter.status"),
        (
            filtered(pb.WORKLOAD_STATUS_COMPLETED),
            "filter.status",
        ),
        (pb.CancelWorkloadBatchRequest(filter=bad_filter()), "filter.created_after"),
        (pb.CancelWorkloadBatchRequest(workload_ids=["a"], reason="x" * 1001), "reason"),
    ],
)
async def test_a_cancellation_that_is_wrong_as_a_whole(calls: Calls, request_: Any, field: str) -> None:
    refusal = await calls.refused("CancelWorkloadBatch", request_)
    assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field])


async def test_a_large_batch_is_taken_apart(system: System, calls: Calls) -> None:
    """In a thread, which changes nothing of what is stored."""
    request = pb.SubmitWorkloadBatchRequest()
    for number in range(20):
        fill(request.workloads.add(workload_type="count").input_params, {"l": list(range(5000)), "n": number})
    answer = await calls.call("SubmitWorkloadBatch", request)
    assert answer.accepted == 20
    stored = await system.get(answer.results[7].workload.workload_id)
    assert stored["input_params"] == {"l": list(range(5000)), "n": 7}
