"""Several coordinators and workers in processes of their own, on one PostgreSQL and one NATS server, or three.

What a test breaks it heals itself; the cluster ends everything that it started.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import psutil
from chaos.fleet import Part, close_brokers
from chaos.proxy import Proxy

from niyanta.embedded import Nats, Postgres
from niyanta.embedded.engine import Engine, free_port
from niyanta.embedded.postgres import binaries, url_as
from niyanta.embedded.roles import coordinator_url
from niyanta.server.store import migrate
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.server.store.roles.writing import DatabaseRole
from support.pace import pace

__all__ = [
    "AWAY",
    "Answer",
    "Cluster",
    "ClusteredNats",
    "copy_database",
    "eventually",
    "running_cluster",
    "signal_engine",
    "submission",
]

ROOT = Path(__file__).resolve().parents[2]
AWAY = 600.0
"""Seconds after which a killed part comes back: not within a test."""


class ClusteredNats(Nats):
    """One server of a cluster; at ``monitor_port`` it says who is connected."""

    def __init__(self, data_dir: Path, secret: str, routes: Sequence[int], number: int) -> None:
        super().__init__(data_dir)
        data_dir.mkdir(parents=True)
        state = data_dir / "engine.json"
        state.write_text(json.dumps({"port": free_port(), "secret": secret}))
        state.chmod(0o600)
        self._routes, self._number = routes, number
        self.monitor_port = free_port()

    async def prepare(self) -> Sequence[str]:
        command = await super().prepare()
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self._routes)
        with (self.data_dir / "nats.conf").open("a") as config:
            config.write(
                f'cluster {{ name: storm, listen: "127.0.0.1:{self._routes[self._number]}", routes: [{routes}]\n'
                # Or servers go on handing messages to one that is frozen, for minutes.
                "ping_interval: 1s, ping_max: 2 }\n"
                f'http: "127.0.0.1:{self.monitor_port}"\n'
            )
        return command


@dataclass
class Answer:
    """What came of one request. ``status`` is 0 when no answer came, and ``error`` says why."""

    what: str
    status: int
    seconds: float
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


@dataclass
class Cluster:
    """Everything that runs.

    Attributes:
        coordinators: By number; each serves at the address with the same number.
        brokers: The NATS servers.
        links: Proxies by name, where the cluster is ``proxied``: ``database`` and ``broker``.
        keys: API keys of ``cust_a`` and ``admin``.
        traces: Where handlers of `chaos.app` write what they do.
    """

    folder: Path
    postgres: Postgres
    brokers: list[Nats]
    http: aiohttp.ClientSession
    settings: dict[str, str]
    standby: Postgres | None = None
    coordinators: list[Part] = field(default_factory=list)
    workers: list[Part] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    links: dict[str, Proxy] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    join_token: str = ""

    @property
    def traces(self) -> Path:
        return self.folder / "traces"

    def log_of(self, part: Part) -> str:
        return (self.folder / f"{part.name}.log").read_text(errors="replace")

    @property
    def nats_url(self) -> str:
        if "broker" in self.links:
            return self.brokers[0].url.rpartition(":")[0] + f":{self.links['broker'].port}"
        return ",".join(broker.url for broker in self.brokers)

    @property
    def database_url(self) -> str:
        if "database" in self.links:
            return self.postgres.url.replace(f":{self.postgres.port}/", f":{self.links['database'].port}/")
        if self.standby is not None:
            port = self.postgres.port
            return self.postgres.url.replace(f":{port}/", f":{port},127.0.0.1:{self.standby.port}/")
        return self.postgres.url

    def add_coordinator(self, **environment: str) -> Part:
        """One more, not started."""
        port, number = free_port(), len(self.coordinators)
        argv = ["coordinator", "--port", str(port), "--grpc-port", "0", "--id", f"k{number}"]
        database_url = url_as(self.database_url, DatabaseRole.COORDINATOR)
        settings = {"NIYANTA_DATABASE_URL": database_url, "NIYANTA_NATS_URL": self.nats_url}
        part = Part(f"k{number}", argv, self.settings | settings | environment, self.folder / f"k{number}.log")
        self.coordinators.append(part)
        self.addresses.append(f"http://127.0.0.1:{port}")
        return part

    def add_worker(self, app: str = "chaos.app:worker", **environment: str) -> Part:
        """One more, not started."""
        name = f"w{len(self.workers)}"
        settings = {
            "NIYANTA_NATS_URL": self.nats_url,
            "NIYANTA_JOIN_TOKEN": self.join_token,
            "CHAOS_TRACES": str(self.traces),
            "NIYANTA_BOX": "off",  # as in chaos.fleet: its handlers end their agents
            "CHAOS_WORKER": name,
            "PYTHONPATH": str(ROOT),
        }
        argv = ["worker", "--app", app, "--id", name]
        part = Part(name, argv, self.settings | settings | environment, self.folder / f"{name}.log")
        self.workers.append(part)
        return part

    # --- requests -------------------------------------------------------------------------------

    async def call(
        self, method: str, path: str, body: Any = None, *, via: int = 0, key: str = "cust_a", seconds: float = 60.0
    ) -> Answer:
        """One request below ``/v1``; a failure to get any answer is an answer, too."""
        headers = {"Authorization": f"Bearer {self.keys[key]}"}
        began = time.monotonic()
        what = f"{method} {path}"
        try:
            async with self.http.request(
                method,
                f"{self.addresses[via]}/v1{path}",
                json=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                raw = await response.read()
                found = json.loads(raw) if raw else None
                return Answer(what, response.status, time.monotonic() - began, found, response.headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            return Answer(what, 0, time.monotonic() - began, error=f"{type(exc).__name__}: {exc}")

    async def submit(self, kind: str = "chaos_inline", *, via: int = 0, **params: Any) -> str:
        """Submit one that walks, and give its id."""
        answer = await self.call("POST", "/workloads", submission(kind, **params), via=via)
        assert answer.status == 202, answer
        return str(answer.body["workload_id"])

    async def until(
        self, workload_id: str, fits: Callable[[dict[str, Any]], bool], seconds: float, *, via: int = 0
    ) -> dict[str, Any]:
        """The workload as soon as it fits; fails when the time is up."""
        deadline = time.monotonic() + seconds
        answer = None
        while time.monotonic() < deadline:
            answer = await self.call("GET", f"/workloads/{workload_id}", via=via, seconds=5)
            if answer.status == 200 and fits(answer.body):
                return dict(answer.body)
            await asyncio.sleep(0.02)
        raise AssertionError(f"not within {seconds:g} s: {answer}")

    async def until_status(self, workload_id: str, status: str, seconds: float, *, via: int = 0) -> dict[str, Any]:
        return await self.until(workload_id, lambda found: found["status"] == status, seconds, via=via)

    async def history(self, workload_id: str, *, via: int = 0) -> list[str]:
        """The workload's moves."""
        answer = await self.call("GET", f"/workloads/{workload_id}/audit?limit=100", via=via)
        assert answer.status == 200, answer
        return [event["event_type"].removeprefix("workload.") for event in answer.body["events"]]

    # --- what it is like ------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """Straight to the database, past every proxy."""
        connection = await asyncpg.connect(self.postgres.url, timeout=10)
        try:
            yield connection
        finally:
            connection.terminate()

    async def leader(self) -> int:
        """The number of the coordinator that leads now, by the database."""
        async with self.connection() as connection:
            holder = await connection.fetchval("SELECT holder FROM leader_lease WHERE expires_at > clock_timestamp()")
        return next((number for number, part in enumerate(self.coordinators) if part.name == holder), -1)

    async def epoch(self) -> int:
        async with self.connection() as connection:
            return int(await connection.fetchval("SELECT epoch FROM leader_lease"))

    async def until_ready(self, seconds: float) -> None:
        """Wait until each coordinator is ready and each worker healthy."""

        async def is_ready(number: int) -> bool:
            ready = await self.call("GET", "/ready", via=number, seconds=5)
            fleet = await self.call("GET", "/admin/workers?status=HEALTHY", via=number, key="admin", seconds=5)
            live = sum(part.process is not None for part in self.workers)
            return ready.status == fleet.status == 200 and len(fleet.body["workers"]) >= live

        for number in range(len(self.coordinators)):
            await eventually(lambda number=number: is_ready(number), seconds, f"k{number} is ready")  # type: ignore[misc]

    async def stop(self) -> None:
        for part in (*self.coordinators, *self.workers):
            part.signal(signal.SIGCONT)
        engines = [self.postgres, *self.brokers, *filter(None, [self.standby])]
        for engine in engines:
            signal_engine(engine, signal.SIGCONT)
        for proxy in self.links.values():
            proxy.heal()
        # Their work is of no use any more, and a drain of each would take a while.
        for part in (*self.workers, *self.coordinators):
            part.restart_seconds = AWAY
            part.signal(signal.SIGKILL)
        await asyncio.gather(*(part.stop() for part in (*self.workers, *self.coordinators)))
        await asyncio.gather(*(proxy.stop() for proxy in self.links.values()))
        await asyncio.gather(*(engine.stop() for engine in engines))


def submission(kind: str = "chaos_inline", **params: Any) -> dict[str, Any]:
    """A workload of `chaos.app` that walks some steps."""
    given = {"steps": 20, "pause_ms": 50, "every": 5, "token": secrets.token_hex(4), **params}
    return {"workload_type": kind, "input_params": given}


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float, what: str) -> float:
    """Wait until something holds; gives how long that took."""
    began = time.monotonic()
    while not await holds():
        assert time.monotonic() - began < seconds, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


def signal_engine(engine: Engine, number: signal.Signals) -> None:
    """Signal an engine's own process and all that it started."""
    if engine.pid is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        first = psutil.Process(engine.pid)
        for process in (first, *first.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


async def copy_database(primary: Postgres, folder: Path) -> None:
    """A backup of a running server, from which another can start; one that follows it, if it is let."""
    program = binaries() / "pg_basebackup"
    source = f"host=127.0.0.1 port={primary.port} user=niyanta password={primary.secret}"
    copying = await asyncio.create_subprocess_exec(
        *(str(program), "-d", source, "-D", str(folder), "-R", "-X", "stream", "-c", "fast")
    )
    assert await copying.wait() == 0


async def started_standby(folder: Path, primary: Postgres) -> Postgres:
    """A second server that follows the first; commits wait for it from now on."""
    folder.mkdir(mode=0o700)  # noqa: ASYNC240 -- a moment, in a test
    await copy_database(primary, folder / "cluster")
    state = folder / "engine.json"
    state.write_text(json.dumps({"port": free_port(), "secret": primary.secret}))
    state.chmod(0o600)
    standby = Postgres(folder, extra_settings={"shared_buffers": "64MB"})
    await standby.start()
    connection = await asyncpg.connect(primary.url)
    try:
        await connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()
    return standby


async def make_customers(cluster: Cluster) -> None:
    database = await Database.open(cluster.postgres.url)
    try:
        store = CustomerStore(database)
        await store.create_customer("cust_a", "cust_a", "enterprise")
        await store.update_customer("cust_a", rate_limit_per_sec=100_000, burst=100_000)
        cluster.keys["cust_a"] = (await store.create_key("cust_a", "storm"))[1]
        cluster.keys["admin"] = (await store.create_key("cust_a", "storm", "admin"))[1]
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def running_cluster(
    folder: Path,
    *,
    coordinators: int = 1,
    workers: int = 1,
    brokers: int = 1,
    proxied: bool = False,
    postgres: Postgres | None = None,
    has_standby: bool = False,
    **settings: str,
) -> AsyncIterator[Cluster]:
    """A cluster that serves, and that leaves nothing running.

    Args:
        folder: For all its files.
        coordinators: How many.
        workers: How many; each has four slots.
        brokers: How many NATS servers.
        proxied: Whether a proxy lies before the database and one before the broker.
        postgres: Another database than an ordinary one.
        has_standby: Whether a second server follows the database, and nothing is committed that it doesn't have.
        **settings: ``NIYANTA_…`` of coordinators.
    """
    (folder / "traces").mkdir(parents=True)
    postgres = postgres or Postgres(folder / "postgres", extra_settings={"shared_buffers": "64MB"})
    if brokers == 1:
        servers = [Nats(folder / "nats")]
    else:
        secret, routes = secrets.token_urlsafe(24), [free_port() for _ in range(brokers)]
        servers = [ClusteredNats(folder / f"nats{i}", secret, routes, i) for i in range(brokers)]
    # By itself a session has 100 connections: what is asked beyond would wait here, and be timed as if it were there.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        cluster = Cluster(folder, postgres, list(servers), http, settings)
        try:
            await postgres.start()
            await migrate.upgrade(postgres.url)
            await coordinator_url(postgres.url)
            cluster.join_token = await close_brokers(postgres.url, servers)
            await asyncio.gather(*(server.start() for server in servers))
            await make_customers(cluster)
            if has_standby:
                cluster.standby = await started_standby(folder / "standby", postgres)
            if proxied:
                for name, port in (("database", postgres.port), ("broker", servers[0].port)):
                    cluster.links[name] = proxy = Proxy(name, port)
                    await proxy.start()
            parts = [cluster.add_coordinator() for _ in range(coordinators)]
            parts += [cluster.add_worker() for _ in range(workers)]
            await asyncio.gather(*(part.start() for part in parts))
            await cluster.until_ready(20 * pace())
            yield cluster
        finally:
            await cluster.stop()
