"""The client without ``await``: threads, forks, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aiohttp import web

from niyanta import AsyncClient, Client, WaitTimeoutError, WorkloadFailedError
from niyanta.errors import ConfigurationError, ConnectionFailedError
from support.scripted_service import Service, breaks, gives, socket, update

KEY = "nyt_cust_a_key"
PAGE = {"workloads": [{"workload_id": "wl_1", "status": "PENDING"}], "pagination": {"has_more": False}}
SUBMITTED = {"workload_id": "wl_1", "status": "PENDING", "created_at": "2025-10-27T12:34:56.000Z", "version": 1}

Call = Callable[..., Awaitable[Any]]
away: Call = asyncio.to_thread
"""Each test's service runs in the test's loop, so what blocks runs in a thread."""


async def test_a_part_holds_its_client(service: Service) -> None:
    service.on("GET", "/workloads", gives(PAGE))

    def work() -> list[str]:
        workloads = Client(KEY, service.url).workloads
        gc.collect()
        return [w.id for w in workloads.list().workloads] + [w.id for w in workloads.iterate()]

    assert await away(work) == ["wl_1", "wl_1"]


async def test_it_works_where_a_loop_is_running(service: Service) -> None:
    service.on("GET", "/workloads", gives(PAGE))
    service.on("GET", "/ws/workloads/wl_1", socket(update(1, "RUNNING"), update(2, "COMPLETED", "completed")))

    async def work() -> tuple[list[str], list[str | None]]:
        with Client(KEY, service.url) as client:
            return [w.id for w in client.workloads.iterate()], [u.status for u in client.workloads.watch("wl_1")]

    assert await away(lambda: asyncio.run(work())) == (["wl_1"], ["RUNNING", "COMPLETED"])


async def test_one_connection_serves_call_after_call(service: Service) -> None:
    peers = set()

    async def note(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.json_response(PAGE)

    service.on("GET", "/workloads", note)

    def work() -> None:
        with Client(KEY, service.url) as client:
            for _ in range(5):
                client.workloads.list()
            client.admin.workers  # noqa: B018 -- a part of its own shares the connections
            client.customer  # noqa: B018

    await away(work)
    assert len(peers) == 1


async def test_a_connection_that_was_closed_meanwhile_is_replaced(service: Service) -> None:
    async def last(request: web.Request) -> web.Response:
        answer = web.json_response(SUBMITTED)
        await answer.prepare(request)
        await answer.write_eof()
        assert request.transport is not None
        request.transport.close()  # without a word in the headers
        return answer

    service.on("POST", "/workloads/wl_1/resume", last)

    def work() -> None:
        with Client(KEY, service.url, max_retries=0) as client:
            for _ in range(3):
                client.workloads.resume("wl_1")  # is never sent twice, so only a good connection will do
                threading.Event().wait(0.05)

    await away(work)
    assert len(service.requests) == 3


async def test_threads_share_a_client_and_wait_each_for_its_own_answer(service: Service) -> None:
    everybody = asyncio.Barrier(8)

    async def together(_: web.Request) -> web.Response:
        async with asyncio.timeout(10):
            await everybody.wait()
        return web.json_response(PAGE)

    service.on("GET", "/workloads", together)

    def work() -> int:
        with Client(KEY, service.url) as client, ThreadPoolExecutor(8) as pool:
            pages = list(pool.map(lambda _: client.workloads.list(), range(8)))
        return len(pages)

    assert await away(work) == 8


async def test_a_fork_has_connections_of_its_own(service: Service) -> None:
    peers = []

    async def note(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        return web.json_response(PAGE)

    service.on("GET", "/workloads", note)
    code = f"""
import os
from niyanta import Client
client = Client({KEY!r}, {service.url!r})
client.workloads.list()
child = os.fork()
if child == 0:
    client.workloads.list()
    client.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
client.workloads.list()
"""
    assert await away(_run, code, *_STRICT) == ""
    assert peers[0] == peers[2] != peers[1]


def _run(code: str, *options: str) -> str:
    """Everything that a program has to say on standard error."""
    argv = [sys.executable, *options, "-c", code]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NIYANTA_")}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment)
    return done.stderr + ("" if done.returncode == 0 else f"exit status {done.returncode}")


_STRICT = ("-X", "dev", "-W", "always")

_ENDS = {
    "with": "with Client(KEY, URL) as client:\n    client.workloads.list(); list(client.workloads.watch('wl_1'))",
    "close": "client = Client(KEY, URL)\nclient.workloads.list()\nclient.close()\nclient.close()",
    "garbage": "import gc\nClient(KEY, URL).workloads.list()\ngc.collect()",
    "the end of the program": "client = Client(KEY, URL)\nclient.workloads.list()\n"
    "list(client.workloads.watch('wl_1'))",
    "the end amid a watch": "client = Client(KEY, URL)\nupdates = client.workloads.watch('wl_1')\nnext(updates)",
    "a part at the end": "workloads = Client(KEY, URL).workloads\nworkloads.list()",
    # Nothing is slow here but the machine, of which asyncio's debug mode would speak.
    "async with": "async def main():\n    asyncio.get_running_loop().slow_callback_duration = 60\n"
    "    async with AsyncClient(KEY, URL) as client: await client.workloads.list()\n"
    "asyncio.run(main())",
    "async, garbage": "async def main():\n    await AsyncClient(KEY, URL).workloads.list()\nasyncio.run(main())",
    "async, the end": "client = AsyncClient(KEY, URL)\nasyncio.run(client.workloads.list())",
}


@pytest.mark.parametrize("end", list(_ENDS))
async def test_every_end_is_quiet(service: Service, end: str) -> None:
    service.on("GET", "/workloads", gives(PAGE))
    service.on("GET", "/ws/workloads/wl_1", socket(update(1, "RUNNING"), update(2, "COMPLETED", "completed")))
    head = f"import asyncio\nfrom niyanta import AsyncClient, Client\nKEY, URL = {KEY!r}, {service.url!r}\n"
    options = () if end.startswith("async,") else _STRICT  # asyncio's own advice to close is for those who ask for it
    assert await away(_run, head + _ENDS[end], *options) == ""
    assert service.requests != []


async def test_a_closed_client_says_so(service: Service) -> None:
    def work() -> None:
        client = Client(KEY, service.url)
        client.close()
        with pytest.raises(ConfigurationError, match="this client is closed"):
            client.workloads.list()
        with pytest.raises(ConfigurationError, match="this client is closed"):
            list(client.workloads.watch("wl_1"))

    await away(work)
    client = AsyncClient(KEY, service.url)
    await client.close()
    with pytest.raises(ConfigurationError, match="this client is closed"):
        await client.workloads.list()


async def test_an_answer_that_trickles_ends_with_its_time(service: Service) -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(request)
        while True:
            await answer.write(b" ")
            await asyncio.sleep(0.05)

    service.on("GET", "/customer", trickle)

    def work() -> None:
        with Client(KEY, service.url, timeout=0.3, max_retries=0) as client, pytest.raises(ConnectionFailedError):
            client.customer.get()

    await asyncio.wait_for(away(work), 10)


async def test_a_link_that_breaks_is_told_as_such(service: Service) -> None:
    service.on("POST", "/workloads/wl_1/pause", breaks)

    def work() -> None:
        with Client(KEY, service.url) as client, pytest.raises(ConnectionFailedError, match=service.url):
            client.workloads.pause("wl_1")

    await away(work)
    assert len(service.requests) == 1


async def test_watching_and_waiting(service: Service) -> None:
    async def silent(request: web.Request) -> web.WebSocketResponse:
        link = web.WebSocketResponse()
        await link.prepare(request)
        async for _ in link:
            pass
        return link

    service.on("GET", "/ws/workloads/wl_1", silent, socket(update(1, "RUNNING"), update(2, "FAILED", "failed")))
    service.on("GET", "/workloads/wl_1", gives({"workload_id": "wl_1", "status": "FAILED", "version": 2}))

    def work() -> None:
        with Client(KEY, service.url) as client:
            with pytest.raises(WaitTimeoutError, match=r"not ended after 0\.2 s"):
                client.workloads.wait_for_completion("wl_1", timeout=0.2)
            assert [u.status for u in client.workloads.watch("wl_1")] == ["RUNNING", "FAILED"]
            with pytest.raises(WorkloadFailedError):
                client.workloads.wait_for_completion("wl_1", timeout=5)

    await away(work)


async def test_waiting_by_polls_has_an_end_too(service: Service) -> None:
    async def never(request: web.Request) -> web.Response:
        while request.transport is not None:  # until the caller has gone
            await asyncio.sleep(0.01)
        return web.Response()

    service.on("GET", "/workloads/wl_1", never)  # there is no WebSocket

    def work() -> None:
        with Client(KEY, service.url) as client, pytest.raises(WaitTimeoutError):
            client.workloads.wait_for_completion("wl_1", timeout=0.2)

    await asyncio.wait_for(away(work), 10)


def test_a_program_without_await_loads_no_http_library_of_the_other() -> None:
    code = "import sys; from niyanta import Client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"aiohttp", "asyncio", "rich", "click"} & set(done.stdout.split()) == set()
