"""Live feeds over REST: what is told, to whom, from where on, and how each ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec

from niyanta import AsyncClient
from niyanta.wire import messages
from niyanta.wire.changes import Changed
from support.cases import cases
from support.system import System, beating, running_system, supported

OWN, ALL = "/v1/workloads/events", "/v1/admin/events"


class Feed:
    """An open live feed."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id = ""

    async def next(self, seconds: float = 20.0) -> dict[str, Any]:
        """The next event's data; fails when none comes."""
        async with asyncio.timeout(seconds):
            while True:
                lines = (await self.response.content.readuntil(b"\n\n")).decode().splitlines()
                fields = dict(line.partition(": ")[::2] for line in lines if line and not line.startswith(":"))
                if "data" in fields:
                    self.last_id = fields["id"]
                    data: dict[str, Any] = json.loads(fields["data"])
                    assert data["type"] == fields["event"]
                    return data

    async def until(self, **wanted: Any) -> list[dict[str, Any]]:
        """Events up to the first that is like this."""
        found = [await self.next()]
        while not wanted.items() <= found[-1].items():
            found.append(await self.next())
        return found

    async def rest(self) -> bytes:
        """What still comes, to the end."""
        async with asyncio.timeout(10):
            return await self.response.content.read()


@contextlib.asynccontextmanager
async def feed(
    system: System, path: str = OWN, key: str = "cust_a", via: Any = None, last_id: str | None = None
) -> AsyncIterator[Feed]:
    sent = {"Authorization": f"Bearer {system.keys.get(key, key)}"}
    if last_id is not None:
        sent["Last-Event-ID"] = last_id
    async with (
        aiohttp.ClientSession() as http,
        http.get(system.url(path, via), headers=sent) as response,
    ):
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        yield Feed(response)


async def test_tells_what_happens_to_ones_own_and_nothing_else(system: System) -> None:
    worker = await system.worker()
    async with beating(worker), feed(system) as own, feed(system, ALL, "admin") as all_of_them:
        assert await own.next() == {"type": "ready", "resumed": False}
        foreign = await system.submit("cust_b")
        workload_id = await system.submit()
        for _ in range(2):
            ref = (await worker.next_assignment()).ref
            await worker.report(ref, messages.Started())
            await worker.report(ref, messages.Progressed(40, "almost half"))
            await worker.report(ref, messages.Completed(b"{}"))
        seen = await own.until(workload_id=workload_id, status="COMPLETED")
        assert {event["workload_id"] for event in seen} == {workload_id}
        assert {event["customer_id"] for event in seen} == {"cust_a"}
        assert [event["version"] for event in seen] == sorted({event["version"] for event in seen})
        assert seen[-1]["version"] == (await system.get(workload_id))["version"]
        assert "almost half" in [event["message"] for event in seen]
        assert {"RUNNING", "COMPLETED"} <= {event["status"] for event in seen}
        await all_of_them.until(workload_id=workload_id, status="COMPLETED")
    async with feed(system, ALL, "admin") as again:
        await again.next()
        await system.call("PATCH", "/admin/customers/cust_b", {"name": "other"}, key="admin")
        assert (await again.until(type="customer"))[-1] == {"type": "customer", "customer_id": "cust_b"}
        await worker.beat(leaving=True)
        await again.until(type="fleet")
    assert foreign != workload_id


async def test_who_comes_back_goes_on_where_it_was(system: System) -> None:
    await supported(system)
    async with feed(system) as first:
        await first.next()
        before = await system.submit()
        await first.until(workload_id=before)
    missed = [await system.submit() for _ in range(3)]
    async with feed(system, last_id=first.last_id) as second:
        assert await second.next() == {"type": "ready", "resumed": True}
        assert [(await second.next())["workload_id"] for _ in missed] == missed


@cases("last_id", ["", "0123456789ab.5", "nonsense", "1.2.3", "0123456789ab.99999999999999999999"])
async def test_an_id_that_is_not_known_is_told_as_something_missed(system: System, last_id: str) -> None:
    async with feed(system, last_id=last_id) as found:
        assert await found.next() == {"type": "ready", "resumed": False}
        assert await found.next() == {"type": "missed", "reason": "unknown_id"}


async def test_what_another_coordinator_commits_is_told_and_its_loss_is_noticed(system: System) -> None:
    await supported(system)
    async with system.another_coordinator() as other, feed(system) as found:
        assert (await found.next())["type"] == "ready"
        status, made, _ = await system.call(
            "POST", "/workloads", {"workload_type": "count", "input_params": {}}, via=other
        )
        assert status == 202
        await found.until(workload_id=made["workload_id"])
        lost = msgspec.msgpack.encode(Changed("somebody-else", number=2))
        await system.broker.publish(system.subjects.changed, lost)
        assert (await found.until(type="missed"))[-1]["reason"] == "lost"
        following = msgspec.msgpack.encode(Changed("somebody-else", number=3))
        await system.broker.publish(system.subjects.changed, following)
        last = await system.submit()
        assert {event["type"] for event in await found.until(workload_id=last)} == {"workload"}


async def test_a_feed_ends_with_its_credentials(system: System) -> None:
    key_id, key = await system.customers.create_key("cust_a", "short")
    async with feed(system, key=key) as found:
        await found.next()
        path = f"/admin/customers/cust_a/api-keys/{key_id.key_id}"
        assert (await system.call("DELETE", path, key="admin"))[0] == 204
        await found.rest()


async def test_a_feed_ends_when_the_coordinator_stops(system: System) -> None:
    async with system.another_coordinator() as other:
        async with feed(system, via=other) as found:
            await found.next()
            stopping = asyncio.create_task(other.stop())
            await found.rest()
        await stopping


async def test_each_customer_has_so_many(database_url: str, nats_url: str, subject_prefix: str) -> None:
    limit = {"max_live_feeds_per_customer": 2}
    async with running_system(database_url, nats_url, subject_prefix, **limit) as system:
        async with feed(system) as one, feed(system) as two:
            for found in (one, two):
                await found.next()
            status, answer, headers = await system.call("GET", "/workloads/events")
            assert (status, answer["error"]["details"]) == (429, {"max_live_feeds_per_customer": 2})
            assert int(headers["Retry-After"]) > 0
            async with feed(system, key="cust_b") as other:
                await other.next()
        async with asyncio.timeout(20):
            while (await system.call("HEAD", "/workloads/events"))[0] != 200:
                await asyncio.sleep(0.01)


async def test_who_may_not(system: System) -> None:
    await supported(system)
    workload_id = await system.submit()
    _, made, _ = await system.call("POST", "/tokens", {"workload_id": workload_id})
    assert (await system.call("GET", "/workloads/events", key=made["token"]))[0] == 403
    assert (await system.call("GET", "/workloads/events", key=None))[0] == 401
    assert (await system.call("GET", "/admin/events"))[0] == 403
    status, answer, _ = await system.call("GET", "/workloads/events?status=RUNNING")
    assert (status, answer["error"]["details"]["field"]) == (400, "status")
    assert (await system.call("POST", "/workloads/events", {}))[0] == 405


async def test_the_client_follows(system: System) -> None:
    await supported(system)
    async with AsyncClient(system.keys["cust_a"], system.url("")) as client, asyncio.timeout(10):
        events = client.workloads.events()
        assert (await anext(events)).type == "ready"
        workload_id = await system.submit()
        event = await anext(events)
        assert (event.type, event.workload_id, event.status) == ("workload", workload_id, "PENDING")
        await events.aclose()  # type: ignore[attr-defined] # a generator
    async with AsyncClient(system.keys["admin"], system.url("")) as operator, asyncio.timeout(10):
        everything = operator.admin.events()
        assert (await anext(everything)).type == "ready"
        await everything.aclose()  # type: ignore[attr-defined] # a generator
