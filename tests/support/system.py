"""A whole system inside the test's process: real PostgreSQL and NATS, one coordinator or more, scripted workers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
import pytest

from niyanta.embedded.engine import free_port
from niyanta.embedded.postgres import url_as
from niyanta.server.coordinator import Coordinator
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.server.store.roles.writing import DatabaseRole
from niyanta.wire.broker import Broker
from niyanta.wire.subjects import Subjects
from support.pace import pace
from support.scripted_worker import ScriptedWorker

__all__ = [
    "LISTENERS",
    "PATIENT",
    "System",
    "beating",
    "hasty",
    "own_process",
    "running_system",
    "settings_for",
    "supported",
    "system",
]

PATIENT: dict[str, Any] = {
    "broker_auth": "none",
    "pause_wait_seconds": 1.0,
    "heartbeat_interval_seconds": 0.2,
    "worker_lease_seconds": 15.0,
    "leader_lease_seconds": 20.0,
    "leader_renew_seconds": 0.2,
    "leader_trust_seconds": 15.0,
    "answer_seconds": 2.0,
    "unanswered_seconds": 15.0,
}
"""Settings of a system of which nothing is lost: a machine that stands still for seconds ends no lease."""

LISTENERS: dict[str, Any] = {"port": 0, "grpc_port": 0}

_STANDSTILL_SECONDS = 15.0
"""For how long a request whose answer is that the database is away is sent again."""
_DATABASE_AWAY = "The database is away or too slow at the moment; try again"


def hasty() -> dict[str, Any]:
    """Settings with which the loss of a worker or a leader is noticed in seconds, at the pace that the machine has.

    A test gets them by the marker ``hasty``.
    """
    return {
        "worker_lease_seconds": round(1.5 * pace() ** 0.5, 3),
        "leader_lease_seconds": 1.2,
        "leader_trust_seconds": 0.9,
        "answer_seconds": 0.4,
        "unanswered_seconds": 1.2,
    }


def settings_for(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the test's marker asks for."""
    return hasty() if request.node.get_closest_marker("hasty") else {}


@dataclass
class System:
    """Everything a test touches.

    Attributes:
        keys: API keys: of ``cust_a`` and ``cust_b`` (both enterprise) by their customer's id, and ``admin``.
    """

    coordinator: Coordinator
    broker: Broker
    subjects: Subjects
    customers: CustomerStore
    http: aiohttp.ClientSession
    database_url: str
    keys: dict[str, str]

    def url(self, path: str, coordinator: Coordinator | None = None) -> str:
        """Address of a path below the server's root."""
        return f"http://127.0.0.1:{(coordinator or self.coordinator).port}{path}"

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = "cust_a",
        via: Coordinator | None = None,
        **headers: str,
    ) -> Any:
        """(status, JSON body or None, headers) of one request.

        Sent again, as clients do, while the answer is that nothing was done as the database didn't answer: a machine
        that stands still for seconds fails no test. How that answer looks is for the tests of outages.

        Args:
            method: HTTP method.
            path: Below ``/v1``.
            body: Sent as JSON.
            key: A name in `keys`, or a credential itself; None for no credentials.
            via: Another coordinator than the first.
            **headers: More headers, ``_`` for ``-``.
        """
        sent = {"Content-Type": "application/json"} if body is not None else {}
        if key is not None:
            sent["Authorization"] = f"Bearer {self.keys.get(key, key)}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body)
        deadline = time.monotonic() + _STANDSTILL_SECONDS
        while True:
            async with self.http.request(method, self.url("/v1" + path, via), data=data, headers=sent) as response:
                # A live feed has no end; that it has begun is what is asked here.
                raw = b"" if response.content_type == "text/event-stream" else await response.read()
            answer: Any = json.loads(raw) if raw else None
            message = answer["error"]["message"] if response.status == HTTPStatus.SERVICE_UNAVAILABLE else None
            if message != _DATABASE_AWAY or time.monotonic() > deadline:
                return response.status, answer, response.headers
            await asyncio.sleep(float(response.headers["Retry-After"]))

    async def submit(self, key: str = "cust_a", **fields: Any) -> str:
        status, body, _ = await self.call(
            "POST", "/workloads", {"workload_type": "count", "input_params": {}, **fields}, key=key
        )
        assert status == 202, body
        return str(body["workload_id"])

    async def get(self, workload_id: str, key: str = "cust_a") -> dict[str, Any]:
        status, body, _ = await self.call("GET", f"/workloads/{workload_id}", key=key)
        assert status == 200, body
        return dict(body)

    async def until(self, workload_id: str, status: str, seconds: float = 30.0) -> dict[str, Any]:
        """The workload once it has the status; fails when the time is up."""
        async with asyncio.timeout(seconds):
            version = 0
            while True:
                _, body, _ = await self.call("GET", f"/workloads/{workload_id}?wait_seconds=5&version={version}")
                if body["status"] == status:
                    return dict(body)
                version = body["version"]

    async def audit(self, workload_id: str) -> list[str]:
        _, body, _ = await self.call("GET", f"/workloads/{workload_id}/audit")
        assert [event["event_id"] for event in body["events"]] == list(range(1, len(body["events"]) + 1))
        return [event["event_type"].removeprefix("workload.") for event in body["events"]]

    async def worker(self, worker_id: str = "w1", **options: Any) -> ScriptedWorker:
        worker = ScriptedWorker(self.broker, self.subjects, worker_id, **options)
        reply = await worker.register()
        assert reply.accepted, reply
        return worker

    @contextlib.asynccontextmanager
    async def another_coordinator(self, **settings: Any) -> AsyncIterator[Coordinator]:
        """A second replica on the same database and broker, with other settings than the first's where given."""
        first = self.coordinator.settings
        coordinator = Coordinator(
            CoordinatorSettings.from_environment(
                {},
                database_url=first.database_url,
                nats_url=first.nats_url,
                subject_prefix=first.subject_prefix,
                **{name: getattr(first, name) for name in PATIENT} | LISTENERS | settings,
            )
        )
        await coordinator.start()
        try:
            yield coordinator
        finally:
            await coordinator.stop()


@contextlib.asynccontextmanager
async def running_system(
    database_url: str, nats_url: str, subject_prefix: str, **settings: Any
) -> AsyncIterator[System]:
    """A system with other settings than `PATIENT` where given."""
    urls = {"nats_url": nats_url, "subject_prefix": subject_prefix}
    urls["database_url"] = url_as(database_url, DatabaseRole.COORDINATOR)
    database = await Database.open(database_url, in_passing=True)
    customers = CustomerStore(database)
    keys = {}
    for customer_id in ("cust_a", "cust_b"):
        await customers.create_customer(customer_id, customer_id, "enterprise")
        keys[customer_id] = (await customers.create_key(customer_id, "test"))[1]
    keys["admin"] = (await customers.create_key("cust_a", "admin", "admin"))[1]
    coordinator = Coordinator(CoordinatorSettings.from_environment({}, **urls, **PATIENT | LISTENERS | settings))
    broker = Broker(nats_url, name="test", tls=coordinator.settings.broker_tls)
    try:
        await coordinator.start()
        await broker.connect()
        async with aiohttp.ClientSession() as http:
            yield System(coordinator, broker, Subjects(subject_prefix), customers, http, database_url, keys)
    finally:
        await broker.close()
        await coordinator.stop()
        await database.close()


@pytest.fixture
async def system(
    request: pytest.FixtureRequest, database_url: str, nats_url: str, subject_prefix: str
) -> AsyncIterator[System]:
    """One coordinator, patient unless the test's marker says otherwise."""
    async with running_system(database_url, nats_url, subject_prefix, **settings_for(request)) as found:
        yield found


async def supported(system: System, *workload_types: str) -> None:
    """Have ``cust_a`` and ``cust_b`` be able to submit these types (``count`` when none is named) with no worker."""
    for workload_type in workload_types or ("count",):
        for key in ("cust_a", "cust_b"):
            status, body, _ = await system.call(
                "POST", "/workload-configs", {"workload_type": workload_type}, key=key
            )
            assert status == 201, body


@contextlib.asynccontextmanager
async def own_process(system: System, grpc_port: int = 0) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Another coordinator, in a process of its own, and its address."""
    port = free_port()
    settings = system.coordinator.settings
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "niyanta.cli.main", "coordinator"),
        *("--port", str(port), "--grpc-port", str(grpc_port)),
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("NIYANTA_")},
            "NIYANTA_DATABASE_URL": settings.database_url,
            "NIYANTA_NATS_URL": settings.nats_url,
            "NIYANTA_SUBJECT_PREFIX": settings.subject_prefix,
            "NIYANTA_BROKER_AUTH": "none",
        },
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with system.http.get(url + "/health"):
                    break
            await asyncio.sleep(0.05)
        yield process, url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def beating(*workers: ScriptedWorker) -> AsyncIterator[None]:
    """Keep workers alive meanwhile."""

    async def beat() -> None:
        while True:
            for worker in workers:
                await worker.beat()
            await asyncio.sleep(0.2)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
