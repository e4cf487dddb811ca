"""A system whose broker is closed, as it is in earnest: a broker of the test's own, real join tokens, real logins."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from niyanta.domain.join_tokens import Grant
from niyanta.embedded import Nats
from niyanta.embedded.postgres import url_as
from niyanta.errors import ConnectionFailedError
from niyanta.server.coordinator import Coordinator
from niyanta.server.fleet.broker_keys import BrokerKeys
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.server.store.join_tokens import JoinTokenStore
from niyanta.server.store.roles.writing import DatabaseRole
from niyanta.wire.broker import Broker
from niyanta.wire.login import WorkerPass
from niyanta.wire.subjects import ANY_SENDER, Subjects
from support.scripted_worker import ScriptedWorker
from support.system import LISTENERS, PATIENT, System, settings_for

__all__ = ["ClosedSystem", "closed", "closed_system"]


@dataclass
class ClosedSystem(System):
    """As `System`; its own link to the broker is a coordinator's.

    Attributes:
        nats: The broker.
        tokens: Where join tokens are made and revoked.
        links: Of workers, to be closed at the end.
    """

    nats: Nats = field(kw_only=True)
    tokens: JoinTokenStore = field(kw_only=True)
    broker_keys: BrokerKeys = field(kw_only=True)
    links: list[Broker] = field(default_factory=list)

    async def token(self, **grant: Any) -> str:
        """A new join token."""
        return (await self.tokens.create("test", Grant(**grant)))[1]

    async def link(self, worker_id: str, token: str) -> tuple[Broker, Subjects, WorkerPass]:
        """A worker's link, let in by a token."""
        ticket = WorkerPass.make(token, worker_id)
        broker = Broker(self.nats.url, name=worker_id, login=ticket.login)
        await broker.connect()
        self.links.append(broker)
        return broker, Subjects(self.subjects.prefix, sender=ticket.sender), ticket

    async def comes(self, worker_id: str, token: str, **options: Any) -> ScriptedWorker:
        """A worker that has come in, and hasn't registered."""
        broker, subjects, _ = await self.link(worker_id, token)
        return ScriptedWorker(broker, subjects, worker_id, **options)

    async def worker(self, worker_id: str = "w1", **options: Any) -> ScriptedWorker:
        """A registered worker with a token of its own."""
        worker = await self.comes(worker_id, options.pop("token", None) or await self.token(), **options)
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(ConnectionFailedError):  # a coordinator that is held up answers nobody
                    reply = await worker.register()
                    break
                await asyncio.sleep(0.05)
        assert reply.accepted, reply
        return worker


@contextlib.asynccontextmanager
async def closed_system(database_url: str, folder: Path, **settings: Any) -> AsyncIterator[ClosedSystem]:
    """A closed system with other settings than `PATIENT` where given."""
    database = await Database.open(database_url)
    customers = CustomerStore(database)
    keys = {}
    for customer_id in ("cust_a", "cust_b"):
        await customers.create_customer(customer_id, customer_id, "enterprise")
        keys[customer_id] = (await customers.create_key(customer_id, "test"))[1]
    keys["admin"] = (await customers.create_key("cust_a", "admin", "admin"))[1]
    broker_keys = await BrokerKeys.load(database)
    nats = Nats(folder / "nats")
    nats.access = broker_keys.configuration()
    await nats.start()
    given = PATIENT | LISTENERS | {"broker_auth": "token"} | settings
    coordinator = Coordinator(
        CoordinatorSettings.from_environment(
            {}, database_url=url_as(database_url, DatabaseRole.COORDINATOR), nats_url=nats.url, **given
        )
    )
    broker = Broker(nats.url, name="test", login=broker_keys.login)
    links: list[Broker] = []
    try:
        await coordinator.start()
        await broker.connect()
        async with aiohttp.ClientSession() as http:
            yield ClosedSystem(
                coordinator,
                broker,
                Subjects(sender=ANY_SENDER),
                customers,
                http,
                database_url,
                keys,
                nats=nats,
                tokens=JoinTokenStore(database),
                broker_keys=broker_keys,
                links=links,
            )
    finally:
        for link in (*links, broker):
            await link.close()
        await coordinator.stop()
        await nats.stop()
        await database.close()


@pytest.fixture
async def closed(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> AsyncIterator[ClosedSystem]:
    """One coordinator, patient unless the test's marker says otherwise."""
    async with closed_system(database_url, tmp_path, **settings_for(request)) as found:
        yield found
