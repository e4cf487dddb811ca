"""``niyanta.v1.AdminService``: the workers for operators, as REST has them."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from niyanta.wire import messages
from niyanta.wire.messages import DrainWorker
from niyanta.wire.v1 import admin_service_pb2 as pb
from support.cases import cases
from support.grpc_calls import Calls, Refusal
from support.system import System, beating

Code = grpc.StatusCode


async def listed(calls: Calls, **fields: Any) -> pb.ListWorkersResponse:
    found: pb.ListWorkersResponse = await calls.call("ListWorkers", pb.ListWorkersRequest(**fields), key="admin")
    return found


async def worker_of(calls: Calls, worker_id: str) -> pb.Worker:
    answer = await calls.call("GetWorker", pb.GetWorkerRequest(worker_id=worker_id), key="admin")
    found: pb.Worker = answer.worker
    return found


async def order(calls: Calls, name: str, worker_id: str) -> Any:
    """The answer of DrainWorker, UndrainWorker or RemoveWorker."""
    return await calls.call(name, getattr(pb, f"{name}Request")(worker_id=worker_id), key="admin")


async def refused(calls: Calls, name: str, **fields: Any) -> Refusal:
    return await calls.refused(name, getattr(pb, f"{name}Request")(**fields), key="admin")


def ids(page: pb.ListWorkersResponse) -> list[str]:
    return [worker.worker_id for worker in page.workers]


async def test_a_worker_is_shown_as_rest_shows_it(system: System, calls: Calls) -> None:
    worker = await system.worker(
        "w1", capacity=3, tags={"region": "eu"}, types=["count", "sleep"], missing_walls=["ports"]
    )
    async with beating(worker):
        workload_id = await system.submit()
        await worker.report((await worker.next_assignment()).ref, messages.Started())
        await order(calls, "DrainWorker", "w1")
        found = await worker_of(calls, "w1")
        _, body, _ = await system.call("GET", "/admin/workers", key="admin")
        (rest,) = body["workers"]
    assert found.status == pb.WORKER_STATUS_DRAINING
    assert (list(found.capabilities), dict(found.input_forms)) == (rest["capabilities"], rest["input_forms"])
    assert list(found.missing_walls) == rest["missing_walls"] == ["ports"]
    assert (found.capacity_total, found.capacity_used) == (3, 1)
    assert list(found.running_workloads) == [workload_id]
    assert (dict(found.tags), found.version) == ({"region": "eu"}, rest["version"])
    assert found.registered_at.ToJsonString() == rest["registered_at"]
    assert found.last_heartbeat.ToMilliseconds() > 0
    given = found.standing_order
    assert given.kind == pb.STANDING_ORDER_KIND_DRAIN
    assert given.given_by == rest["standing_order"]["given_by"]
    assert given.given_at.ToJsonString() == rest["standing_order"]["given_at"]
    (row,) = (await listed(calls)).workers
    row.last_heartbeat.CopyFrom(found.last_heartbeat)
    assert row == found


async def test_workers_are_filtered_by_status_and_paged(system: System, calls: Calls) -> None:
    workers = [await system.worker(f"w{number}") for number in range(5)]
    async with beating(*workers[:4]):
        await order(calls, "DrainWorker", "w1")
        await workers[4].beat(leaving=True)
        for status, expected in (("HEALTHY", ["w0", "w2", "w3"]), ("DRAINING", ["w1"]), ("DEAD", ["w4"])):
            assert ids(await listed(calls, status=f"WORKER_STATUS_{status}")) == expected
        pages, cursor = [], ""
        while True:
            page = await listed(calls, limit=2, cursor=cursor)
            pages.append(ids(page))
            assert page.pagination.HasField("total") is not bool(cursor)
            cursor = page.pagination.next_cursor
            assert page.pagination.has_more is bool(cursor)
            if not cursor:
                break
        assert pages == [["w0", "w1"], ["w2", "w3"], ["w4"]]
        page = await listed(calls, limit=2, offset=3, status="WORKER_STATUS_HEALTHY")
        pagination = page.pagination
        assert (pagination.total, pagination.limit, pagination.offset, pagination.has_more) == (3, 2, 3, False)
        assert not pagination.total_is_estimate

        _, body, _ = await system.call("GET", "/admin/workers?limit=2", key="admin")
        assert ids(await listed(calls, limit=2, cursor=body["pagination"]["next_cursor"])) == ["w2", "w3"]


@cases(
    ("fields", "field"),
    [
        ({"limit": -1}, "limit"),
        ({"limit": 101}, "limit"),
        ({"offset": -1}, "offset"),
        ({"status": 9}, "status"),
        ({"cursor": "made up"}, "cursor"),
        ({"cursor": "x", "offset": 1}, "cursor"),
        ({"cursor": "x" * 5000}, "cursor"),
    ],
)
async def test_a_page_that_cannot_be(calls: Calls, fields: dict[str, Any], field: str) -> None:
    refusal = await refused(calls, "ListWorkers", **fields)
    assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, [field])


async def test_a_cursor_is_good_for_its_own_list(system: System, calls: Calls) -> None:
    for number in range(3):
        await system.worker(f"w{number}")
    cursor = (await listed(calls, limit=1)).pagination.next_cursor
    refusal = await refused(calls, "ListWorkers", cursor=cursor, status="WORKER_STATUS_HEALTHY")
    assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, ["cursor"])


async def test_a_drain_holds_over_restarts_until_it_is_taken_back(system: System, calls: Calls) -> None:
    worker = await system.worker("w1")
    for _ in range(2):
        answer = await order(calls, "DrainWorker", "w1")
        assert (answer.worker_id, answer.status) == ("w1", pb.WORKER_STATUS_DRAINING)
        assert isinstance(await worker.next_command(), DrainWorker)
    await worker.beat(leaving=True)
    assert (await worker_of(calls, "w1")).status == pb.WORKER_STATUS_DEAD
    worker.incarnation = "second"
    async with beating(worker):
        assert (await worker.register_again()).accepted
        assert (await worker.beat()).draining
        for _ in range(2):
            answer = await order(calls, "UndrainWorker", "w1")
            assert (answer.worker_id, answer.status) == ("w1", pb.WORKER_STATUS_HEALTHY)
        assert not (await worker.beat()).draining
        assert not (await worker_of(calls, "w1")).HasField("standing_order")
        workload_id = await system.submit()
        assert (await worker.next_assignment()).ref.workload_id == workload_id


async def test_a_removed_worker_loses_everything_and_may_not_come_back_until_undrained(
    system: System, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "niyanta.server.fleet.registration")
    worker = await system.worker("w1")
    async with beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started())
    other = await system.worker("w2")
    async with beating(other):
        assert (await order(calls, "RemoveWorker", "w1")).worker_id == "w1"
        again = await other.next_assignment()
        assert (again.ref.workload_id, again.ref.generation) == (workload_id, ref.generation + 1)
    assert not (await worker.beat()).ok
    worker.incarnation = "second"
    assert (await worker.register_again()).reason == "removed"
    found = await worker_of(calls, "w1")
    assert (found.status, found.standing_order.kind) == (pb.WORKER_STATUS_DEAD, pb.STANDING_ORDER_KIND_REMOVE)
    assert (await order(calls, "UndrainWorker", "w1")).status == pb.WORKER_STATUS_DEAD
    assert (await worker.register_again()).accepted
    said = {record.message: record.__dict__.get("actor_id", "") for record in caplog.records}
    assert said["worker.removed"] == said["worker.undrained"] == found.standing_order.given_by


async def test_a_missing_worker_is_not_found(system: System, calls: Calls) -> None:
    async with beating(await system.worker("w1")):
        for name in ("GetWorker", "DrainWorker", "UndrainWorker", "RemoveWorker"):
            for worker_id in ("none", "no id", "\0", "a" * 200, "w1\n", "ü"):
                refusal = await refused(calls, name, worker_id=worker_id)
                assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "NOT_FOUND"), (name, worker_id)
            refusal = await refused(calls, name)
            assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, ["worker_id"])
        await order(calls, "RemoveWorker", "w1")
    for name in ("DrainWorker", "RemoveWorker"):
        assert (await refused(calls, name, worker_id="w1")).code is Code.NOT_FOUND
