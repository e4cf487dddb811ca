"""Following live feeds: events in pieces, connections that break, refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from niyanta import AsyncClient, Client, errors
from support.scripted_service import Service, breaks, fails, stream

READY = 'id: f.0\nevent: ready\ndata: {"type":"ready","resumed":false}\n\n'
ONE = 'id: f.1\nevent: workload\ndata: {"type":"workload","workload_id":"wl_1","status":"RUNNING","version":2}\n\n'
MISSED = 'id: g.7\nevent: missed\ndata: {"type":"missed","reason":"unknown_id"}\n\n'
PATH = "/workloads/events"


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncClient]:
    async with AsyncClient("nyt_cust_a_key", service.url, max_retries=2) as found:
        yield found


async def test_events_come_whole_whatever_pieces_they_come_in(service: Service, client: AsyncClient) -> None:
    text = "retry: 2000\n\n" + READY + ": heartbeat\n\n" + ONE
    service.on("GET", PATH, stream(*text), fails(403, "FORBIDDEN"))
    events = client.workloads.events()
    seen = [await anext(events), await anext(events)]
    with pytest.raises(errors.ForbiddenError):
        await anext(events)
    assert [(event.type, event.workload_id, event.status) for event in seen] == [
        ("ready", None, None),
        ("workload", "wl_1", "RUNNING"),
    ]


async def test_a_connection_that_breaks_is_replaced_where_it_broke(service: Service, client: AsyncClient) -> None:
    service.on("GET", PATH, stream(READY, ONE), breaks, stream(MISSED), fails(401, "UNAUTHORIZED"))
    with pytest.raises(errors.UnauthorizedError):
        async for _ in client.workloads.events():
            pass
    asked = [headers.get("Last-Event-ID") for _, _, headers, _ in service.requests]
    assert asked == [None, "f.1", "f.1", "g.7"]


async def test_a_service_that_stays_away_is_given_up(service: Service, client: AsyncClient) -> None:
    service.on("GET", PATH, breaks)
    with pytest.raises(errors.ConnectionFailedError):
        await anext(client.workloads.events())
    assert len(service.requests) >= 3  # aiohttp tries some of them twice by itself


async def test_without_await(service: Service) -> None:
    service.on("GET", "/admin/events", stream(READY), fails(403, "FORBIDDEN"))

    def follow() -> list[str]:
        with Client("nyt_cust_a_key", service.url) as client, pytest.raises(errors.ForbiddenError):
            return [event.type for event in client.admin.events()]
        return ["refused"]

    assert await asyncio.to_thread(follow) == ["refused"]
