"""The system under test: real engines, coordinators and workers, with a proxy on every link."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import psutil

from chaos.proxy import Proxy
from niyanta.cli.children import Child
from niyanta.domain.join_tokens import Grant
from niyanta.embedded import Engines, Nats
from niyanta.embedded.engine import Engine, free_port
from niyanta.embedded.roles import coordinator_url
from niyanta.server.fleet.broker_keys import BrokerKeys
from niyanta.server.store import migrate
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.server.store.join_tokens import JoinTokenStore

__all__ = ["CUSTOMERS", "Fleet", "Part", "close_brokers", "running_fleet"]

HEARTBEAT_SECONDS = 1.0
WORKER_LEASE_SECONDS = 8.0

_ENVIRONMENT = {
    "NIYANTA_HEARTBEAT_INTERVAL_SECONDS": str(HEARTBEAT_SECONDS),
    "NIYANTA_WORKER_LEASE_SECONDS": str(WORKER_LEASE_SECONDS),
    "NIYANTA_PAUSE_WAIT_SECONDS": "10",
    "NIYANTA_METRICS_ACCESS": "public",
}

_STEPPED = Path(__file__).with_name("stepped")

CUSTOMERS: Mapping[str, Mapping[str, float]] = {
    "cust_big": {"max_concurrent_workloads": 14, "max_queue_depth": 120, "rate_limit_per_sec": 500, "burst": 500},
    "cust_even": {"max_concurrent_workloads": 10, "max_queue_depth": 60, "rate_limit_per_sec": 500, "burst": 500},
    "cust_small": {"max_concurrent_workloads": 3, "max_queue_depth": 12, "rate_limit_per_sec": 500, "burst": 500},
    "cust_slow": {"max_concurrent_workloads": 4, "max_queue_depth": 20, "rate_limit_per_sec": 8, "burst": 8},
}
"""Their limits are low on purpose, so that they are reached all the time."""


class Part:
    """A program that is started again when it ends, unless it is being stopped.

    Attributes:
        restart_seconds: How long it stays away after it has ended.
    """

    def __init__(self, name: str, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.restart_seconds = 0.5
        self._child = Child(name, argv, environment, log)
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and keep it running."""
        await self._child.start()
        self._keeper = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            await self._child.wait()
            await asyncio.sleep(self.restart_seconds)
            await self._child.start()

    @property
    def process(self) -> psutil.Process | None:
        """The program while it runs."""
        child = self._child.process
        if child is None or child.returncode is not None:
            return None
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(child.pid)
        return None

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal; whether there was anything to send it to."""
        process = self.process
        if process is None:
            return False
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:  # it has ended, and nobody has told us yet
            return False
        return True

    async def revive(self) -> None:
        """Start it now if it is away, whenever it would have come back; from now on it comes back soon."""
        self.restart_seconds = 0.5
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self.process is None:
            await self._child.start()
        self._keeper = asyncio.create_task(self._keep())

    def runners(self) -> list[psutil.Process]:
        """The processes of its attempts, where it is a worker."""
        process = self.process
        found = process.children(recursive=True) if process is not None else []
        with contextlib.suppress(psutil.NoSuchProcess):
            return [each for each in found if each.name() == "niyanta-runner"]
        return []

    async def stop(self) -> None:
        """End it for good."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self.signal(signal.SIGCONT)
        await self._child.stop()


async def close_brokers(database_url: str, brokers: Sequence[Nats]) -> str:
    """Have brokers that start later let in nobody but this database's coordinators, and workers by a join token."""
    database = await Database.open(database_url)
    try:
        access = (await BrokerKeys.load(database)).configuration()
        _, token = await JoinTokenStore(database).create("chaos", Grant())
    finally:
        await database.close()
    for broker in brokers:
        broker.access = access
    return token


class Fleet:
    """Everything that runs, and the links between.

    Attributes:
        base_urls: Of each coordinator, through its proxy.
        keys: API keys by customer, and ``admin``.
        traces: Where the handlers write.
        clocks: Has a file for each program: by how many seconds its wall clock is wrong.
        database_url: Straight to the database, past every proxy.
        links: By name: ``client-0``, ``database-0``, ``broker-0`` for coordinators, ``broker-w0`` for workers.
    """

    def __init__(self, folder: Path, coordinators: int, workers: int) -> None:
        self.folder = folder
        self.traces = folder / "traces"
        self.logs = folder / "logs"
        self.clocks = folder / "clocks"
        self.engines = Engines(folder / "engines", extra_settings={"shared_buffers": "128MB"})
        self.coordinators: list[Part] = []
        self.workers: list[Part] = []
        self.links: dict[str, Proxy] = {}
        self.base_urls: list[str] = []
        self.keys: dict[str, str] = {}
        self._counts = coordinators, workers
        self._join_token = ""
        self._coordinator_url = ""

    @property
    def database_url(self) -> str:
        return self.engines.database_url

    async def start(self) -> None:
        """Bring everything up, and wait until it serves."""
        for path in (self.traces, self.logs, self.clocks):
            path.mkdir(parents=True)
        await self.engines.postgres.start()
        await migrate.upgrade(self.database_url)
        self._coordinator_url = await coordinator_url(self.database_url)
        self._join_token = await close_brokers(self.database_url, [self.engines.nats])
        await self.engines.nats.start()
        await self._make_customers()
        coordinators, workers = self._counts
        for number in range(coordinators):
            await self._add_coordinator(number)
        for number in range(workers):
            await self._add_worker(number)
        await asyncio.gather(*(part.start() for part in (*self.coordinators, *self.workers)))

    async def _make_customers(self) -> None:
        database = await Database.open(self.database_url)
        try:
            store = CustomerStore(database)
            for customer_id, limits in CUSTOMERS.items():
                await store.create_customer(customer_id, customer_id, "standard")
                await store.update_customer(customer_id, **limits)
                self.keys[customer_id] = (await store.create_key(customer_id, "chaos"))[1]
            self.keys["admin"] = (await store.create_key("cust_big", "operator", "admin"))[1]
        finally:
            await database.close()

    async def _link(self, name: str, port: int) -> Proxy:
        self.links[name] = proxy = Proxy(name, port)
        await proxy.start()
        return proxy

    async def _add_coordinator(self, number: int) -> None:
        port = free_port()
        client = await self._link(f"client-{number}", port)
        database = await self._link(f"database-{number}", self.engines.postgres.port)
        broker = await self._link(f"broker-{number}", self.engines.nats.port)
        self.base_urls.append(f"http://127.0.0.1:{client.port}")
        argv = ["coordinator", "--port", str(port), "--grpc-port", "0", "--id", f"coordinator-{number}"]
        environment = _ENVIRONMENT | {
            "NIYANTA_DATABASE_URL": _through(self._coordinator_url, database),
            "NIYANTA_NATS_URL": _through(self.engines.nats_url, broker),
        }
        self.coordinators.append(self._part(f"coordinator-{number}", argv, environment))

    async def _add_worker(self, number: int) -> None:
        name = f"w{number}"
        broker = await self._link(f"broker-{name}", self.engines.nats.port)
        environment = {
            "NIYANTA_NATS_URL": _through(self.engines.nats_url, broker),
            "NIYANTA_JOIN_TOKEN": self._join_token,
            "CHAOS_TRACES": str(self.traces),
            "CHAOS_WORKER": name,
            "NIYANTA_BOX": "off",  # its handlers end their agents and launchers, as faults do
        }
        argv = ["worker", "--app", "chaos.app:worker", "--id", name]
        self.workers.append(self._part(name, argv, environment))

    def _part(self, name: str, argv: Sequence[str], environment: Mapping[str, str]) -> Part:
        path = os.pathsep.join([str(_STEPPED), *filter(None, [os.environ.get("PYTHONPATH")])])
        clock = {"PYTHONPATH": path, "CHAOS_CLOCK": str(self.clocks / name)}
        return Part(name, argv, {**environment, **clock}, self.logs / f"{name}.log")

    def step_clock(self, name: str, seconds: float) -> None:
        """Have a program's wall clock be wrong by so much, from now on."""
        (self.clocks / name).write_text(str(seconds), encoding="ascii")

    async def until_ready(self, seconds: float) -> None:
        """Wait until every coordinator is ready and every worker registered.

        Raises:
            TimeoutError: They weren't within the time.
        """
        headers = {"Authorization": f"Bearer {self.keys['admin']}"}
        async with asyncio.timeout(seconds), aiohttp.ClientSession(headers=headers) as http:
            for url in self.base_urls:
                while True:
                    with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
                        quickly = aiohttp.ClientTimeout(total=5)
                        async with http.get(f"{url}/v1/ready", timeout=quickly) as answer:
                            ready = answer.status == 200
                        async with http.get(f"{url}/v1/admin/workers?status=HEALTHY", timeout=quickly) as answer:
                            workers = len((await answer.json())["workers"]) if answer.status == 200 else 0
                        if ready and workers >= len(self.workers):
                            break
                    await asyncio.sleep(0.2)

    def engine_processes(self, engine: Engine) -> list[psutil.Process]:
        """An engine's own process and all that it started; none while it is down."""
        if engine.pid is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            first = psutil.Process(engine.pid)
            return [first, *first.children(recursive=True)]
        return []

    async def restart_engine(self, engine: Engine) -> None:
        """Bring an engine that was killed back, at the same place."""
        await engine.wait_exit()
        await engine.start()

    def heal(self) -> None:
        """End every fault of every link, and wake whatever was frozen."""
        for proxy in self.links.values():
            proxy.heal()
        for part in (*self.coordinators, *self.workers):
            part.signal(signal.SIGCONT)
            part.restart_seconds = 0.5
            self.step_clock(part.name, 0.0)
        for engine in (self.engines.postgres, self.engines.nats):
            for process in self.engine_processes(engine):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        """End everything, in the order in which nothing waits for what is gone."""
        self.heal()
        await asyncio.gather(*(part.stop() for part in self.workers))
        await asyncio.gather(*(part.stop() for part in self.coordinators))
        await asyncio.gather(*(proxy.stop() for proxy in self.links.values()))
        await self.engines.stop()


def _through(url: str, proxy: Proxy) -> str:
    """The same address, by way of a proxy."""
    place = urlsplit(url)
    login, at, _ = place.netloc.rpartition("@")
    return urlunsplit(place._replace(netloc=f"{login}{at}127.0.0.1:{proxy.port}"))


@contextlib.asynccontextmanager
async def running_fleet(folder: Path, coordinators: int, workers: int) -> AsyncIterator[Fleet]:
    """A fleet that serves, and that leaves nothing running."""
    fleet = Fleet(folder, coordinators, workers)
    pace = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    try:
        await fleet.start()
        await fleet.until_ready(60 * pace)
        yield fleet
    finally:
        await fleet.stop()
