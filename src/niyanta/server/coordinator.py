"""Starts one coordinator and stops it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from niyanta.server.access.certificates import Certificates
from niyanta.server.access.exposure import exposures
from niyanta.server.fleet.broker_keys import BrokerKeys
from niyanta.server.grpc.server import GrpcServer
from niyanta.server.leader.election import Election
from niyanta.server.member import Member
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.observability.tracing import current_context
from niyanta.server.ports import BACKLOG, join, listen
from niyanta.server.rest.frame.operation import Operation
from niyanta.server.rest.uvicorn.server import HttpServer
from niyanta.server.services.diagnosis import Severity, role_finding
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store import schema
from niyanta.server.store.database import Database
from niyanta.server.watching.live import LiveFeeds
from niyanta.server.wiring import Assembly
from niyanta.telemetry.process import Telemetry
from niyanta.wire.addresses import Addresses
from niyanta.wire.broker import Broker
from niyanta.wire.broker_auth import BrokerAuth, allow_open_broker
from niyanta.wire.cancels import lasting
from niyanta.wire.pings import warn_of_rare_pings

__all__ = ["Coordinator"]

log = logging.getLogger(__name__)

_GRPC_ASKS_NOBODY = (
    "tls_client_certs is 'optional', and gRPC can't ask for a certificate without requiring it: over gRPC nobody is "
    "asked, and who shows a wrong one isn't refused. Allowed are 'required', for all three protocols, and 'optional'."
)


_open_with_fewer_connections = partial(Database.open, api_connections=2, customer_connections=2, vital_connections=3)
"""For one of several processes: with the election's two it is half of what a process has that is alone."""


class Coordinator:
    """One replica: REST, gRPC, event intake, and a candidate for leadership.

    Args:
        settings: What it needs to know.
        member: Where several processes serve its ports: which of them it is. None where it is alone.

    Attributes:
        port: The TCP port that REST listens on, once started.
        grpc_port: The TCP port that gRPC listens on, once started.
        operations: What REST offers, once started.
        database: Its connections, while it runs.
        broker: Its link, while it runs.
    """

    def __init__(self, settings: CoordinatorSettings, member: Member | None = None) -> None:
        self.settings = settings = settings if member is None else settings.share(member.of)
        self._member = member
        self.port = settings.port
        self.grpc_port = settings.grpc_port
        self.operations: list[Operation] = []
        self._socket: socket.socket | None = None
        self._grpc: GrpcServer | None = None
        self.database: Database | None = None
        self.broker: Broker | None = None
        self._server: HttpServer | None = None
        self._certificates: Certificates | None = None
        self._main: asyncio.Task[None] | None = None
        self._election: Election | None = None
        self._telemetry: Telemetry | None = None
        self._live: LiveFeeds | None = None
        self._feed: ChangeFeed | None = None

    async def start(self) -> None:
        """Connect, begin to serve.

        Raises:
            ConfigurationError: A port in use, database away or with another schema, unsafe durability.
            ConnectionFailedError: The broker is away.
        """
        settings = self.settings
        self._socket = (listen if self._member is None else join)(settings.host, settings.port)
        self._telemetry = Telemetry("niyanta-coordinator", settings.coordinator_id, context_of=current_context)
        self.port = self._socket.getsockname()[1]
        try:
            self._certificates = Certificates(settings) if settings.tls_cert else None
            for exposure in exposures(settings):
                log.warning(exposure.event, extra=exposure.told)
            if settings.tls_client_ca and not settings.requires_client_certificates:
                log.warning("grpc.asks_for_no_certificate", extra={"why": _GRPC_ASKS_NOBODY})
            if self._member is None:
                self._open_grpc()
            await schema.require_current(settings.database_url)
            opened = Database.open if self._member is None else _open_with_fewer_connections
            self.database = await opened(settings.database_url)
            role = role_finding(self.database.standing)
            if role.severity is not Severity.OK:
                log.warning("coordinator.may_do_too_much", extra={"why": role.text, "advice": role.advice})
            keys = await _broker_keys(settings, self.database)
            login = None if keys is None else keys.login
            self.broker = Broker(
                settings.nats_url, name=settings.coordinator_id, login=login, tls=settings.broker_tls
            )
            await self.broker.connect()
            # One that shares its port is given callers as soon as it listens, so it does that only now.
            await self._serve(self.database, self.broker, self._grpc or self._open_grpc(), keys)
        except BaseException:
            await self.stop()
            raise

    def _open_grpc(self) -> GrpcServer:
        self._grpc = GrpcServer(self.settings, self._certificates, shares_port=self._member is not None)
        self.grpc_port = self._grpc.port
        return self._grpc

    async def _serve(
        self, database: Database, broker: Broker, grpc_server: GrpcServer, keys: BrokerKeys | None
    ) -> None:
        settings = self.settings
        parts = Assembly(database, broker, settings, keys, self._telemetry, self._certificate_ends_at, self._member)
        await parts.prepare()
        self._election, self._live, self._feed = parts.election, parts.live, parts.feed
        api = parts.rest()
        self.operations = api.operations
        self._server = HttpServer(api, settings, self._certificates, parts.proxies)
        methods, streams = parts.grpc()
        await grpc_server.start(parts.gate, methods, parts.health, parts.metrics, streams.end_all, parts.tracing)
        addresses = Addresses.parse(settings.nats_url, settings.broker_tls)
        loops: list[Callable[[], Coroutine[Any, Any, None]]] = [
            *parts.loops(),
            partial(warn_of_rare_pings, addresses, None if keys is None else keys.login),
        ]
        if self._certificates is not None:
            loops.append(self._certificates.run)
        self._main = asyncio.create_task(self._run(loops), name="coordinator")
        while not self._server.started:
            if self._main.done():
                await self._main
            await asyncio.sleep(0.005)
        log.info(
            "coordinator.started",
            extra={
                "coordinator_id": settings.coordinator_id,
                "port": self.port,
                "grpc_port": self.grpc_port,
                "tls": self.speaks_tls,
            },
        )

    async def _run(self, loops: list[Callable[[], Coroutine[Any, Any, None]]]) -> None:
        """All loops in one group: when one fails, all end, and the failure is seen."""
        assert self._server is not None  # noqa: S101 -- set by the only caller
        assert self._socket is not None  # noqa: S101
        assert self._grpc is not None  # noqa: S101
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(lasting(loop)) for loop in loops]
            self._socket.listen(BACKLOG)
            await self._server.serve(sockets=[self._socket])
            await self._grpc.stop()
            for task in tasks:
                task.cancel()

    @property
    def speaks_tls(self) -> bool:
        """Whether its listeners do."""
        return bool(self.settings.tls_cert)

    def _certificate_ends_at(self) -> float | None:
        return None if self._certificates is None else self._certificates.current.ends_at.timestamp()

    def reload_certificates(self) -> None:
        """Read the listeners' certificate again, soon: for connections that come from then on."""
        if self._certificates is not None:
            self._certificates.reload()

    async def wait_failed(self) -> None:
        """Return when the coordinator has stopped; raises what made it stop, if it wasn't `stop`."""
        if self._main is not None:
            await asyncio.shield(self._main)

    async def stop(self) -> None:
        """Give up the lease, finish the requests under way, close everything. Idempotent."""
        if self._election is not None:
            # First, as requests may take their time, and nobody leads meanwhile.
            await self._election.resign()
            self._election = None
        if self._live is not None:
            self._live.stop()  # which would go on longer than the server waits for its answers
        if self._server is not None:
            self._server.should_exit = True
        if self._main is not None:
            await asyncio.gather(self._main, return_exceptions=True)
            self._main = None
        if self._grpc is not None:
            await self._grpc.stop()
            self._grpc = None
        if self._feed is not None:
            await self._feed.leave()
            self._feed = None
        if self.broker is not None:
            await self.broker.close()
            self.broker = None
        if self.database is not None:
            await self.database.close()
            self.database = None
        if self._telemetry is not None:
            await asyncio.to_thread(self._telemetry.close)
            self._telemetry = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None


async def _broker_keys(settings: CoordinatorSettings, database: Database) -> BrokerKeys | None:
    """Those by which it comes into a closed broker; None where the broker may be open."""
    if settings.broker_auth is BrokerAuth.NONE:
        allow_open_broker(settings.nats_url)
        return None
    return await BrokerKeys.load(database)
