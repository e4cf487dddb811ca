"""TLS to the engines: what comes through, whom nobody trusts, and that nothing goes on in the clear."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from niyanta.embedded import Nats
from niyanta.errors import ConfigurationError, ConnectionFailedError
from niyanta.server.fleet.broker_keys import BrokerKeys
from niyanta.server.store import migrate, schema
from niyanta.server.store.database import Database
from niyanta.server.store.workers import WorkerStore
from niyanta.wire.addresses import BrokerTls
from niyanta.wire.broker import Broker
from support.certificates import Authority, Issued
from support.system import running_system
from support.tls_front import secured_database

Start = Callable[..., Any]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a broker with a certificate."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(shown: Issued | None, ca: str = "", access: str = "") -> Nats:
            server = Nats(tmp_path / "nats")
            server.access = access
            if shown is not None:
                server.tls = BrokerTls(ca, shown.cert, shown.key)
            stack.push_async_callback(server.stop)
            await server.start()
            return server

        yield start


@contextlib.asynccontextmanager
async def linked(url: str, **options: Any) -> AsyncIterator[Broker]:
    broker = Broker(url, name="test", **options)
    try:
        await broker.connect(timeout_seconds=5)
        yield broker
    finally:
        await broker.close()


async def test_a_system_runs_over_a_broker_that_speaks_tls(
    nats: Start, authority: Authority, database_url: str, subject_prefix: str
) -> None:
    server = await nats(authority.issue("nats"))
    async with running_system(database_url, server.url, subject_prefix, nats_tls_ca=authority.ca) as system:
        worker = await system.worker()
        workload_id = await system.submit()
        assert (await worker.next_assignment()).ref.workload_id == workload_id


async def test_coordinators_and_workers_come_into_a_closed_broker_over_tls(
    nats: Start, authority: Authority, database_url: str
) -> None:
    database = await Database.open(database_url)
    keys = await BrokerKeys.load(database)
    await database.close()
    server = await nats(authority.issue("nats"), access=keys.configuration())
    async with linked(server.url, login=keys.login, tls=BrokerTls(authority.ca)) as broker:
        assert broker.connected


async def test_a_broker_of_another_authority_is_not_trusted(
    nats: Start, authority: Authority, tmp_path: Path
) -> None:
    server = await nats(authority.issue("nats"))
    other = Authority(tmp_path, "other")
    with pytest.raises(ConnectionFailedError, match=r"certificate isn't trusted.*NIYANTA_NATS_TLS_CA"):
        async with linked(server.url, tls=BrokerTls(other.ca)):
            pass


async def test_a_broker_with_another_name_or_one_that_is_over_is_not_trusted(
    nats: Start, authority: Authority
) -> None:
    server = await nats(authority.issue("elsewhere", "nats.example.com"))
    with pytest.raises(ConnectionFailedError, match="certificate isn't trusted"):
        async with linked(server.url, tls=BrokerTls(authority.ca)):
            pass


async def test_with_tls_asked_for_nothing_is_said_in_the_clear(nats: Start, authority: Authority) -> None:
    server = await nats(None)
    for url, tls in ((server.url.replace("nats://", "tls://"), BrokerTls()), (server.url, BrokerTls(authority.ca))):
        with pytest.raises(ConnectionFailedError, match="speaks no TLS"):
            async with linked(url, tls=tls):
                pass


async def test_a_broker_can_ask_for_certificates(nats: Start, authority: Authority) -> None:
    server = await nats(authority.issue("nats"), ca=authority.ca)
    own = authority.issue("worker", is_client=True)
    async with linked(server.url, tls=BrokerTls(authority.ca, own.cert, own.key)) as broker:
        assert broker.connected
    with pytest.raises(ConnectionFailedError):
        async with linked(server.url, tls=BrokerTls(authority.ca)):
            pass


async def test_files_that_can_not_be_used_are_said(nats: Start, authority: Authority) -> None:
    server = await nats(authority.issue("nats"))
    with pytest.raises(ConfigurationError, match=r"/nowhere\.crt can't be read"):
        async with linked(server.url, tls=BrokerTls("/nowhere.crt")):
            pass


async def test_a_replaced_authority_holds_from_the_next_connection_on(
    nats: Start, authority: Authority, tmp_path: Path
) -> None:
    shown = authority.issue("nats")
    server = await nats(shown)
    trusted = tmp_path / "trusted.crt"
    trusted.write_bytes(Path(authority.ca).read_bytes())  # noqa: ASYNC240 -- a small file of the test's own
    async with linked(server.url, tls=BrokerTls(str(trusted))) as broker:
        back = asyncio.Event()
        broker.on_reconnect.append(back.set)
        await server.stop()
        other = Authority(tmp_path, "other")
        shown.replaced_by(other.issue("nats"))
        trusted.write_bytes(Path(other.ca).read_bytes())  # noqa: ASYNC240 -- a small file of the test's own
        await server.start()
        async with asyncio.timeout(30):
            await back.wait()
        assert broker.connected


async def test_a_database_url_says_how_it_is_secured(database_url: str, authority: Authority, tmp_path: Path) -> None:
    async with secured_database(database_url, authority.issue("postgres")) as url:
        good = f"{url}?sslmode=verify-full&sslrootcert={authority.ca}"
        assert (await migrate.upgrade(good)).is_current
        database = await Database.open(good)
        async with database.connection() as conn:
            assert await WorkerStore().all(conn) == []
        await database.close()
        other = f"{url}?sslmode=verify-full&sslrootcert={Authority(tmp_path, 'other').ca}"
        for opening in (Database.open, schema.status):
            with pytest.raises(ConfigurationError, match=r"certificate isn't trusted.*sslrootcert"):
                await opening(other)
        with pytest.raises(ConfigurationError, match="a file that its URL names"):
            await Database.open(f"{url}?sslmode=verify-full&sslrootcert=/nowhere.crt")
    async with secured_database(database_url, authority.issue("elsewhere", "db.example.com")) as url:
        with pytest.raises(ConfigurationError, match="certificate isn't trusted"):
            await Database.open(f"{url}?sslmode=verify-full&sslrootcert={authority.ca}")


async def test_a_database_without_tls_is_refused_where_it_is_asked_for(database_url: str) -> None:
    with pytest.raises(ConfigurationError, match="SSL"):
        await Database.open(f"{database_url}?sslmode=require")
