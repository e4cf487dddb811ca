"""Puts one coordinator together, starts it and stops it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Coroutine
from typing import Any

import uvicorn

from niyanta.errors import ConfigurationError
from niyanta.server.coordinator.batches import BatchService
from niyanta.server.coordinator.changes import ChangeFeed
from niyanta.server.coordinator.configs import ConfigService
from niyanta.server.coordinator.cursors import Cursors
from niyanta.server.coordinator.customers import CustomerService
from niyanta.server.coordinator.directory import Directory
from niyanta.server.coordinator.election import Election
from niyanta.server.coordinator.estimator import Estimator
from niyanta.server.coordinator.gate import Gate
from niyanta.server.coordinator.health import Health
from niyanta.server.coordinator.identity import Authenticator
from niyanta.server.coordinator.intake import EventIntake
from niyanta.server.coordinator.monitor import Monitor
from niyanta.server.coordinator.rate_limits import RateLimiter
from niyanta.server.coordinator.scheduler import Scheduler
from niyanta.server.coordinator.submission import SubmissionService
from niyanta.server.coordinator.upkeep import Upkeep
from niyanta.server.coordinator.watching import WatchService
from niyanta.server.coordinator.workers import WorkerService
from niyanta.server.coordinator.workloads import WorkloadService
from niyanta.server.grpc.server import GrpcServer
from niyanta.server.grpc.streams import StreamMethods
from niyanta.server.grpc.workloads import WorkloadMethods
from niyanta.server.rest.app import RestApi
from niyanta.server.rest.batches import BatchRoutes
from niyanta.server.rest.configs import ConfigRoutes
from niyanta.server.rest.customers import CustomerRoutes
from niyanta.server.rest.probes import ProbeRoutes
from niyanta.server.rest.protocol import HeadLimits, bounded_http
from niyanta.server.rest.workloads import WorkloadRoutes
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store import migrate
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.server.store.shared_secrets import shared_secret
from niyanta.wire.broker import Broker
from niyanta.wire.subjects import Subjects

__all__ = ["Coordinator"]

log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: the program decides when to stop."""

    def install_signal_handlers(self) -> None:
        return None


class Coordinator:
    """One replica: REST, gRPC, event intake, and a candidate for leadership.

    Attributes:
        port: The TCP port that REST listens on, once started.
        grpc_port: The TCP port that gRPC listens on, once started.
    """

    def __init__(self, settings: CoordinatorSettings) -> None:
        self.settings = settings
        self.port = settings.port
        self.grpc_port = settings.grpc_port
        self._socket: socket.socket | None = None
        self._grpc: GrpcServer | None = None
        self._database: Database | None = None
        self._broker: Broker | None = None
        self._server: _Server | None = None
        self._main: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, begin to serve.

        Raises:
            ConfigurationError: A port in use, database away or with another schema, unsafe durability.
            ConnectionFailedError: The broker is away.
        """
        settings = self.settings
        self._socket = _listen(settings.host, settings.port)
        self.port = self._socket.getsockname()[1]
        try:
            self._grpc = GrpcServer(settings)
            self.grpc_port = self._grpc.port
            await migrate.require_current(settings.database_url)
            self._database = await Database.open(settings.database_url)
            self._broker = Broker(settings.nats_url, name=settings.coordinator_id)
            await self._broker.connect()
            await self._serve(self._database, self._broker, self._grpc)
        except BaseException:
            await self.stop()
            raise

    async def _serve(self, database: Database, broker: Broker, grpc_server: GrpcServer) -> None:
        settings = self.settings
        subjects = Subjects(settings.subject_prefix)
        customers = CustomerStore(database)
        feed = ChangeFeed(broker, subjects, settings.coordinator_id)
        directory = Directory(database, customers, feed)
        election = Election(database, settings)
        scheduler = Scheduler(database, broker, subjects, feed, directory, election, settings.coordinator_id)
        monitor = Monitor(database, broker, subjects, feed, election, settings)
        upkeep = Upkeep(database, election, settings)
        intake = EventIntake(database, feed, settings)
        workers = WorkerService(database, broker, subjects, feed, settings)
        estimator = Estimator(database, directory)
        submissions = SubmissionService(database, feed, directory, estimator)
        workloads = WorkloadService(database, broker, subjects, feed, directory, estimator, settings)
        authenticator = Authenticator(customers)
        limiter = RateLimiter(database, directory)
        watches = WatchService(database, feed, authenticator)
        gate = Gate(authenticator, limiter)
        health = Health(database, broker)
        batches = BatchService(database, workloads)
        cursors = Cursors(await shared_secret(database, "cursors"))
        operations = [
            *BatchRoutes(submissions, batches, settings.max_batch_body_bytes).operations(),
            *WorkloadRoutes(submissions, workloads, cursors).operations(),
            *ConfigRoutes(ConfigService(database, feed), cursors).operations(),
            *CustomerRoutes(CustomerService(database, customers)).operations(),
            *ProbeRoutes(health).operations(),
        ]
        api = RestApi(gate, operations, settings.max_body_bytes, settings.request_seconds)
        streams = StreamMethods(watches, settings.grpc_max_streams_per_customer)
        methods = [
            *WorkloadMethods(submissions, workloads, settings.max_body_bytes).methods(),
            *streams.methods(),
        ]
        await upkeep.prepare()
        await directory.refresh()
        await feed.start()
        await broker.serve(subjects.events, intake.receive, queue_group=subjects.queue_group)
        await workers.start()
        self._server = _Server(
            uvicorn.Config(
                api,
                loop="none",
                http=bounded_http(HeadLimits(seconds=settings.request_seconds)),
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
            estimator.run(),
            election.run(),
            scheduler.run(),
            monitor.run(),
            upkeep.run(),
            intake.run(),
            workers.run(),
            submissions.run(),
            authenticator.run(),
            limiter.run(),
            watches.run(),
        ]
        await grpc_server.start(gate, methods, health, streams.end_all)
        self._main = asyncio.create_task(self._run(loops), name="coordinator")
        while not self._server.started:
            if self._main.done():
                await self._main
            await asyncio.sleep(0.005)
        log.info(
            "coordinator.started",
            extra={"coordinator_id": settings.coordinator_id, "port": self.port, "grpc_port": self.grpc_port},
        )

    async def _run(self, loops: list[Coroutine[Any, Any, None]]) -> None:
        """All loops in one group: when one fails, all end, and the failure is seen."""
        assert self._server is not None  # noqa: S101 -- set by the only caller
        assert self._socket is not None  # noqa: S101
        assert self._grpc is not None  # noqa: S101
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(loop) for loop in loops]
            await self._server.serve(sockets=[self._socket])
            await self._grpc.stop()
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
        if self._grpc is not None:
            await self._grpc.stop()
            self._grpc = None
        if self._broker is not None:
            await self._broker.close()
            self._broker = None
        if self._database is not None:
            await self._database.close()
            self._database = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None


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
