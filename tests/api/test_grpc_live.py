"""Live feeds over gRPC: what REST's tell, to the same callers, with the same ids and bounds."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import msgspec

from niyanta.wire import messages
from niyanta.wire.changes import Changed
from niyanta.wire.v1 import admin_service_pb2 as admin_pb
from niyanta.wire.v1 import workload_service_pb2 as pb
from support.cases import cases
from support.grpc_calls import Calls, connected
from support.system import System, beating, running_system, supported

Code = grpc.StatusCode
READY, RESUMED = pb.FeedReady(resumed=False), pb.FeedReady(resumed=True)


class Feed:
    """An open live feed."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.last_id = ""

    async def next(self, seconds: float = 20.0) -> Any:
        """The next event's body; fails when none comes."""
        async with asyncio.timeout(seconds):
            event = await self.call.read()
        assert event is not grpc.aio.EOF
        assert event.id
        self.last_id = event.id
        return getattr(event, event.WhichOneof("event"))

    async def until(self, kind: type, **wanted: Any) -> list[Any]:
        """Events up to the first of a kind that is like this."""
        found = [await self.next()]
        while not (isinstance(found[-1], kind) and all(getattr(found[-1], name) == wanted[name] for name in wanted)):
            found.append(await self.next())
        return found


def own(calls: Calls, last_id: str = "", **options: Any) -> Feed:
    return Feed(calls.begin("StreamWorkloadEvents", pb.StreamWorkloadEventsRequest(last_event_id=last_id), **options))


def everybody(calls: Calls, last_id: str = "") -> Feed:
    request = admin_pb.StreamAllEventsRequest(last_event_id=last_id)
    return Feed(calls.begin("StreamAllEvents", request, key="admin"))


async def test_tells_what_happens_to_ones_own_and_nothing_else(system: System, calls: Calls) -> None:
    worker = await system.worker()
    async with beating(worker):
        mine, theirs, all_of_them = own(calls), own(calls, key="cust_b"), everybody(calls)
        for feed in (mine, theirs, all_of_them):
            assert await feed.next() == READY
        foreign = await system.submit("cust_b")
        workload_id = await system.submit()
        for _ in range(2):
            ref = (await worker.next_assignment()).ref
            await worker.report(ref, messages.Started())
            await worker.report(ref, messages.Progressed(40, "almost half"))
            await worker.report(ref, messages.Completed(b"{}"))
        seen = await mine.until(pb.WorkloadEvent, status=pb.WORKLOAD_STATUS_COMPLETED)
        assert {(event.workload_id, event.customer_id, event.workload_type) for event in seen} == {
            (workload_id, "cust_a", "count")
        }
        assert [event.version for event in seen] == sorted({event.version for event in seen})
        assert seen[-1].version == (await system.get(workload_id))["version"]
        assert {pb.WORKLOAD_STATUS_RUNNING, pb.WORKLOAD_STATUS_COMPLETED} <= {event.status for event in seen}
        assert all(event.timestamp.ToMilliseconds() > 0 for event in seen)
        halfway = [event for event in seen if event.message == "almost half"]
        assert {(event.progress_percent, event.generation, event.worker_id) for event in halfway[:1]} == {
            (40, 1, worker.worker_id)
        }
        theirs_seen = await theirs.until(pb.WorkloadEvent, status=pb.WORKLOAD_STATUS_COMPLETED)
        assert {event.workload_id for event in theirs_seen} == {foreign}
        ended: set[str] = set()
        while ended != {foreign, workload_id}:
            ended.add(
                (await all_of_them.until(pb.WorkloadEvent, status=pb.WORKLOAD_STATUS_COMPLETED))[-1].workload_id
            )
        await system.call("PATCH", "/admin/customers/cust_b", {"name": "other"}, key="admin")
        await all_of_them.until(pb.CustomerChanged, customer_id="cust_b")
        await worker.beat(leaving=True)
        await all_of_them.until(pb.FleetChanged)


async def test_who_comes_back_goes_on_where_it_was_over_rest_or_grpc(system: System, calls: Calls) -> None:
    await supported(system)
    first = own(calls)
    assert await first.next() == READY
    before = await system.submit()
    await first.until(pb.WorkloadEvent, workload_id=before)
    first.call.cancel()
    missed = [await system.submit() for _ in range(3)]
    second = own(calls, first.last_id)
    assert await second.next() == RESUMED
    assert [(await second.next()).workload_id for _ in missed] == missed
    sent = {"Authorization": f"Bearer {system.keys['cust_a']}", "Last-Event-ID": first.last_id}
    async with system.http.get(system.url("/v1/workloads/events"), headers=sent) as response:
        assert b'"resumed":true' in await response.content.readuntil(b'"resumed":true')


@cases("last_id", ["0123456789ab.5", "nonsense", "1.2.3", "\0", "x" * 5000])
async def test_an_id_that_is_not_known_is_told_as_something_missed(calls: Calls, last_id: str) -> None:
    feed = own(calls, last_id)
    assert [await feed.next(), await feed.next()] == [
        READY,
        pb.EventsMissed(reason=pb.MISSED_REASON_UNKNOWN_ID),
    ]


async def test_the_loss_of_what_another_coordinator_commits_is_told(system: System, calls: Calls) -> None:
    feed = own(calls)
    assert await feed.next() == READY
    for number in (1, 3):
        changed = msgspec.msgpack.encode(Changed("somebody-else", number=number))
        await system.broker.publish(system.subjects.changed, changed)
    (missed,) = await feed.until(pb.EventsMissed)
    assert missed.reason == pb.MISSED_REASON_LOST


async def test_a_feed_ends_with_its_credentials(system: System, calls: Calls) -> None:
    key_id, key = await system.customers.create_key("cust_a", "short")
    feed = own(calls, key=key)
    await feed.next()
    path = f"/admin/customers/cust_a/api-keys/{key_id.key_id}"
    assert (await system.call("DELETE", path, key="admin"))[0] == 204
    refusal = await calls.ended(feed.call)
    assert (refusal.code, refusal.reason) == (Code.UNAUTHENTICATED, "UNAUTHORIZED")


async def test_a_feed_ends_when_the_coordinator_stops(system: System) -> None:
    async with system.another_coordinator() as other:
        async with connected(other, system.keys) as calls:
            feed = own(calls)
            await feed.next()
            stopping = asyncio.create_task(other.stop())
            refusal = await calls.ended(feed.call)
            assert refusal.code is Code.UNAVAILABLE
            assert "RetryInfo" in refusal.details
        await stopping


async def test_each_customer_has_so_many_over_rest_and_grpc(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    limit = {"max_live_feeds_per_customer": 2}
    async with (
        running_system(database_url, nats_url, subject_prefix, **limit) as system,
        connected(system.coordinator, system.keys) as calls,
    ):
        feeds = [own(calls), own(calls)]
        for feed in feeds:
            await feed.next()
        refusal = await calls.refused("StreamWorkloadEvents", pb.StreamWorkloadEventsRequest())
        assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "RATE_LIMITED")
        assert refusal.info == {"max_live_feeds_per_customer": "2"}
        assert (await system.call("GET", "/workloads/events"))[0] == 429
        await own(calls, key="cust_b").next()
        feeds[0].call.cancel()
        async with asyncio.timeout(20):
            while (await system.call("HEAD", "/workloads/events"))[0] != 200:
                await asyncio.sleep(0.01)


async def test_who_may_not(system: System, calls: Calls) -> None:
    await supported(system)
    workload_id = await system.submit()
    _, body, _ = await system.call("POST", "/tokens", {"workload_id": workload_id})
    request = pb.StreamWorkloadEventsRequest()
    cases = [("nonsense", Code.UNAUTHENTICATED), (body["token"], Code.PERMISSION_DENIED)]
    for key, code in cases:
        assert (await calls.refused("StreamWorkloadEvents", request, key=key)).code is code
    for key in ("cust_a", "cust_b"):
        refusal = await calls.refused("StreamAllEvents", admin_pb.StreamAllEventsRequest(), key=key)
        assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "FORBIDDEN")
