"""A database that takes what it is sent and isn't heard: nothing fails by itself, and every request is answered."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from urllib.parse import urlsplit, urlunsplit

from chaos.proxy import Proxy

from support.pace import pace
from support.system import System, running_system, supported

_OUTCOME_SECONDS = 8.0
_SUBMISSION = {"workload_type": "count", "input_params": {}}


async def _submit(system: System) -> int:
    """The status of the answer; asked for once."""
    headers = {"Authorization": f"Bearer {system.keys['cust_a']}"}
    async with system.http.post(system.url("/v1/workloads"), json=_SUBMISSION, headers=headers) as answer:
        return answer.status


async def test_nobody_waits_for_those_before_and_then_as_long_again(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    place = urlsplit(database_url)
    assert place.port is not None
    proxy = Proxy("database", place.port)
    await proxy.start()
    login = place.netloc.rpartition("@")[0]
    url = urlunsplit(place._replace(netloc=f"{login}@127.0.0.1:{proxy.port}"))
    try:
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
    finally:
        await proxy.stop()
