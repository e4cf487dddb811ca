"""Checkpoints of any size: they come in parts, each in time, and never half for whole."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from niyanta import AsyncClient, Client, errors
from support.scripted_service import Answer, Service, breaks, fails

PATH = "/workloads/wl_1/checkpoints/3"
PARTS = [bytes([number]) * 10_000 for number in range(8)]
WHOLE = b"".join(PARTS)


def slowly(seconds: float, *, most: int = len(PARTS)) -> Answer:
    """The checkpoint with a pause before each part; it breaks after so many."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(WHOLE))})
        await response.prepare(request)
        for part in PARTS[:most]:
            await asyncio.sleep(seconds)
            await response.write(part)
        if most < len(PARTS):
            assert request.transport is not None
            request.transport.abort()
        return response

    return answer


async def test_one_may_take_longer_than_a_call_as_long_as_it_comes(service: Service) -> None:
    service.on("GET", PATH, slowly(0.3))
    async with AsyncClient("nyt_cust_a_key", service.url, timeout=1.5) as client:
        assert await client.checkpoints.download("wl_1", 3) == WHOLE


async def test_half_of_one_is_an_error(service: Service) -> None:
    service.on("GET", PATH, slowly(0, most=5))
    async with AsyncClient("nyt_cust_a_key", service.url) as client:
        with pytest.raises(errors.ConnectionFailedError):
            await client.checkpoints.download("wl_1", 3)


async def test_what_fails_before_it_comes_is_tried_again(service: Service) -> None:
    service.on("GET", PATH, fails(503, "SERVICE_UNAVAILABLE", Retry_After="0"), breaks, slowly(0))
    async with AsyncClient("nyt_cust_a_key", service.url) as client:
        assert await client.checkpoints.download("wl_1", 3) == WHOLE
    service.on("GET", PATH, fails(404, "NOT_FOUND"))
    async with AsyncClient("nyt_cust_a_key", service.url) as client:
        with pytest.raises(errors.NotFoundError):
            await client.checkpoints.download("wl_1", 3)


async def test_in_parts_without_await(service: Service) -> None:
    service.on("GET", PATH, slowly(0))

    def read() -> list[bytes]:
        with Client("nyt_cust_a_key", service.url) as client:
            return list(client.checkpoints.iterate("wl_1", 3))

    assert b"".join(await asyncio.to_thread(read)) == WHOLE
