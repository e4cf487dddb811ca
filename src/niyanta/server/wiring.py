"""Puts one coordinator together, starts it and stops it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import uvicorn

from niyanta.errors import ConfigurationError
from niyanta.server.coordinator.administration import AdminService
from niyanta.server.coordinator.changes import ChangeFeed
from niyanta.server.coordinator.directory import Directory
from niyanta.server.coordinator.election import Election
from niyanta.server.coordinator.gate import Gate
from niyanta.server.coordinator.health import Health
from niyanta.server.coordinator.identity import Authenticator
from niyanta.server.coordinator.intake import EventIntake
from niyanta.server.coordinator.monitor import Monitor
from niyanta.server.coordinator.rate_limits import RateLimiter
from niyanta.server.coordinator.scheduler import Scheduler
from niyanta.server.coordinator.submission import SubmissionService
from niyanta.server.coordinator.tokens import TokenVerifier
from niyanta.server.coordinator.vitals import Vitals
from niyanta.server.coordinator.workers import WorkerService
from niyanta.server.coordinator.workloads import WorkloadService
from niyanta.server.observability.metrics import Metrics
from niyanta.server.rest.admin import AdminRoutes
from niyanta.server.rest.app import RestApi
from niyanta.server.rest.operations import Access, Operation
from niyanta.server.rest.probes import ProbeRoutes
from niyanta.server.rest.workloads import WorkloadRoutes
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store import migrate
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.wire.broker import Broker
from niyanta.wire.messages import Changed
from niyanta.wire.subjects import Subjects

__all__ = ["Coordinator"]

log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: the program decides when to stop."""

    def install_signal_handlers(self) -> None:
        return None


class Coordinator:
    """One replica: REST, event intake, and a candidate for leadership.

    Attributes:
        port: The TCP port that REST listens on, once started.
        operations: What REST offers, once started.
    """

    def __init__(self, settings: CoordinatorSettings) -> None:
        self.settings = settings
        self.port = settings.port
        self.operations: list[Operation] = []
        self._socket: socket.socket | None = None
        self._database: Database | None = None
        self._broker: Broker | None = None
        self._server: _Server | None = None
        self._main: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, begin to serve.

        Raises:
            ConfigurationError: Port in use, database away or with another schema, unsafe durability.
            ConnectionFailedError: The broker is away.
        """
        settings = self.settings
        self._socket = _listen(settings.host, settings.port)
        self.port = self._socket.getsockname()[1]
        try:
            await migrate.require_current(settings.database_url)
            self._database = await Database.open(settings.database_url)
            self._broker = Broker(settings.nats_url, name=settings.coordinator_id)
            await self._broker.connect()
            await self._serve(self._database, self._broker)
        except BaseException:
            await self.stop()
            raise

    async def _serve(self, database: Database, broker: Broker) -> None:
        settings = self.settings
        subjects = Subjects(settings.subject_prefix)
        customers = CustomerStore(database)
        feed = ChangeFeed(broker, subjects, settings.coordinator_id)
        directory = Directory(database, customers, feed)
        election = Election(database, settings)
        scheduler = Scheduler(database, broker, subjects, feed, directory, election, settings.coordinator_id)
        monitor = Monitor(database, broker, subjects, feed, election, settings)
        metrics = Metrics()
        feed.listeners.append(_count_own(metrics, settings.coordinator_id))
        intake = EventIntake(database, feed, settings, metrics)
        workers = WorkerService(database, broker, subjects, feed, settings)
        submissions = SubmissionService(database, feed, directory)
        workloads = WorkloadService(database, broker, subjects, feed, directory, settings)
        tokens = TokenVerifier(settings)
        await tokens.start()
        authenticator = Authenticator(customers, tokens, feed)
        limiter = RateLimiter(database, directory)
        gate = Gate(authenticator, limiter, metrics)
        administration = AdminService(customers, directory.customer_changed)
        vitals = Vitals(database, broker, feed, election, customers)
        metrics_access = Access.PUBLIC if settings.metrics_access == "public" else Access.ADMIN
        operations = [
            *WorkloadRoutes(submissions, workloads).operations(),
            *AdminRoutes(administration, workers).operations(),
            *ProbeRoutes(Health(database, broker), vitals, metrics, metrics_access).operations(),
        ]
        api = RestApi(gate, operations, settings.max_body_bytes, metrics)
        self.operations = api.operations
        await directory.refresh()
        await feed.start()
        await broker.serve(subjects.events, intake.receive, queue_group=subjects.queue_group)
        await workers.start()
        self._server = _Server(
            uvicorn.Config(
                api,
                loop="none",
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=5,
                timeout_keep_alive=75,
            )
        )
        loops = [
            feed.run(),
            directory.run(),
            election.run(),
            scheduler.run(),
            monitor.run(),
            intake.run(),
            workers.run(),
            submissions.run(),
            authenticator.run(),
            limiter.run(),
        ]
        self._main = asyncio.create_task(self._run(loops), name="coordinator")
        while not self._server.started:
            if self._main.done():
                await self._main
            await asyncio.sleep(0.005)
        log.info("coordinator.started", extra={"coordinator_id": settings.coordinator_id, "port": self.port})

    async def _run(self, loops: list[Coroutine[Any, Any, None]]) -> None:
        """All loops in one group: when one fails, all end, and the failure is seen."""
        assert self._server is not None  # noqa: S101 -- set by the only caller
        assert self._socket is not None  # noqa: S101
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(loop) for loop in loops]
            await self._server.serve(sockets=[self._socket])
            for task in tasks:
                task.cancel()

    async def wait_failed(self) -> None:
        """Return when the coordinator has stopped; raises what made it stop, if it wasn't `stop`."""
        if self._main is not None:
            await asyncio.shield(self._main)

    async def stop(self) -> None:
        """Finish the requests under way, give up the lease, close everything. Idempotent."""
        if self._server is not None:
            self._server.should_exit = True
        if self._main is not None:
            await asyncio.gather(self._main, return_exceptions=True)
            self._main = None
        if self._broker is not None:
            await self._broker.close()
            self._broker = None
        if self._database is not None:
            await self._database.close()
            self._database = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _count_own(metrics: Metrics, coordinator_id: str) -> Callable[[Changed], None]:
    """Counts what this coordinator committed; what others did, they count."""

    def count(changed: Changed) -> None:
        if changed.origin == coordinator_id:
            for change in changed.changes:
                metrics.workload_changed(change)

    return count


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
        listener.setblocking(False)
    except OSError as exc:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {exc.strerror or exc}. Is another program on that port? "
            "Choose another with --port, or 0 for a free one."
        ) from exc
    return listener
