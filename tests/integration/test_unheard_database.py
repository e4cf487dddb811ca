"""A database that takes what it is sent and isn't heard: nothing fails by itself, and every request is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from http import HTTPStatus
from urllib.parse import urlsplit, urlunsplit

import grpc
import pytest
from chaos.proxy import Proxy

from niyanta.server.store.database import Database, Pool
from niyanta.wire.v1.workload_service_pb2 import ListWorkloadsRequest
from support.grpc_calls import connected
from support.pace import pace
from support.system import System, running_system, supported

_OUTCOME_SECONDS = 8.0
_ENTRY_SECONDS = 6.0
_SUBMISSION = {"workload_type": "count", "input_params": {}}


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    port = urlsplit(database_url).port
    assert port is not None
    between = Proxy("database", port)
    await between.start()
    yield between
    await between.stop()


def _through(proxy: Proxy, database_url: str) -> str:
    place = urlsplit(database_url)
    login = place.netloc.rpartition("@")[0]
    return urlunsplit(place._replace(netloc=f"{login}@127.0.0.1:{proxy.port}"))


async def _submit(system: System, key: str = "cust_a") -> int:
    """The status of the answer; asked for once."""
    headers = {"Authorization": f"Bearer {system.keys[key]}"}
    async with system.http.post(system.url("/v1/workloads"), json=_SUBMISSION, headers=headers) as answer:
        return answer.status


async def _open_all(database: Database) -> None:
    """Have every connection that requests may use open, so that each must be found out to be dead."""
    async with AsyncExitStack() as stack:
        for pool in (Pool.API, Pool.VITAL):
            for _ in range(database.use()[pool].most):
                await stack.enter_async_context(database.connection(pool, wait_seconds=10))


async def test_nobody_waits_for_those_before_and_then_as_long_again(
    proxy: Proxy, database_url: str, nats_url: str, subject_prefix: str
) -> None:
    url = _through(proxy, database_url)
    async with running_system(url, nats_url, subject_prefix, outcome_wait_seconds=_OUTCOME_SECONDS) as system:
        await supported(system)
        workload_id = await system.submit()
        proxy.to_client.moving.clear()
        try:
            async with asyncio.timeout(_OUTCOME_SECONDS + 2 + 2 * pace()):
                answers = await asyncio.gather(*(_submit(system) for _ in range(10)))
        finally:
            proxy.heal()
        assert answers == [HTTPStatus.SERVICE_UNAVAILABLE] * 10
        assert (await system.get(workload_id))["status"] == "PENDING"


async def test_nobody_waits_for_a_look_at_credentials_before_and_then_as_long_again(
    proxy: Proxy, database_url: str, nats_url: str, subject_prefix: str
) -> None:
    url = _through(proxy, database_url)
    async with (
        running_system(url, nats_url, subject_prefix) as system,
        connected(system.coordinator, system.keys) as calls,
    ):
        await supported(system)
        unknown = [f"key {number}" for number in range(4)]
        for name in unknown:
            system.keys[name] = (await system.customers.create_key("cust_a", name))[1]
        assert system.coordinator.database is not None
        await _open_all(system.coordinator.database)
        proxy.to_client.moving.clear()
        try:
            async with asyncio.timeout(_ENTRY_SECONDS + 2 * pace()):
                answers, refusal = await asyncio.gather(
                    asyncio.gather(*(_submit(system, name) for name in unknown[:3])),
                    calls.refused("ListWorkloads", ListWorkloadsRequest(), key=unknown[3]),
                )
        finally:
            proxy.heal()
        assert answers == [HTTPStatus.SERVICE_UNAVAILABLE] * 3
        assert refusal.code is grpc.StatusCode.UNAVAILABLE
        await system.submit(key=unknown[0])


async def _hang(database: Database, proxy: Proxy) -> None:
    """A transaction in which the database falls silent."""
    async with database.transaction() as conn:
        await conn.fetch("SELECT 1")
        proxy.to_client.moving.clear()
        await conn.fetch("SELECT 1")


async def test_a_transaction_that_is_given_up_is_not_waited_for(proxy: Proxy, database_url: str) -> None:
    database = await Database.open(_through(proxy, database_url), api_connections=1)
    try:
        async with asyncio.timeout(3 + 2 * pace()):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(_hang(database, proxy), 1)
        proxy.heal()
        async with database.transaction(wait_seconds=10) as conn:
            await conn.fetch("SELECT 1")
    finally:
        await database.close()
