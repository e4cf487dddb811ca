"""The two real engines: one pair for each test process, a database and a subject prefix of its own for each test."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import asyncpg
import pytest

from niyanta.embedded import Engines
from niyanta.embedded.postgres import binaries
from niyanta.embedded.roles import coordinator_url
from niyanta.server.store import migrate
from niyanta.server.store.database import Database
from niyanta.server.store.retention import AUDIT, LOGS, SEALS, RetentionStore
from support.quick_folder import quick_folder

_SETTINGS = {
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    # A checkpoint goes with each database that is made: after it whole pages would be written again, and compressed.
    "full_page_writes": "off",
    "wal_compression": "off",
}
_NO_STRETCHING = {"scram_iterations": "1"}
"""Passwords are 24 random bytes: stretching them only makes each of a test's twenty connections take longer."""
_KNOWS_ITERATIONS = 16
"""The first release that has the setting."""


def _settings() -> dict[str, str]:
    return _SETTINGS | _NO_STRETCHING if postgres_release() >= _KNOWS_ITERATIONS else _SETTINGS


def postgres_release() -> int:
    """PostgreSQL's major release in this run."""
    said = subprocess.run([binaries() / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"\) (\d+)", said)[0])


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """URLs of the pair that this test process starts, and that ends with it."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(quick_folder(tmp_path_factory.mktemp("engines")))
        pair = Engines(folder, extra_settings=_settings())
        runner = stack.enter_context(asyncio.Runner())
        runner.run(pair.start())
        try:
            runner.run(_make_template(pair.database_url))
            yield {"database_url": pair.database_url, "nats_url": pair.nats_url}
        finally:
            runner.run(pair.stop())


async def _make_template(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(f"ALTER ROLE niyanta PASSWORD '{urlsplit(url).password}'")  # with the settings above
    await connection.execute("CREATE DATABASE niyanta_template")
    await connection.close()
    template = url.rpartition("/")[0] + "/niyanta_template"
    await migrate.upgrade(template)
    await _make_partitions(template)
    await coordinator_url(template)


async def _make_partitions(url: str) -> None:
    """As a coordinator does that finds some missing: a fifth of what a test's system cost was for these."""
    database = await Database.open(url, in_passing=True)
    try:
        for table in (LOGS, AUDIT, SEALS):
            await RetentionStore(database).make_partitions(table)
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def _database(engines: dict[str, str], made_how: str) -> AsyncIterator[str]:
    """The URL of a database of the test's own."""
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(engines["database_url"])
    await connection.execute(f"CREATE DATABASE {name} {made_how}")
    yield engines["database_url"].rpartition("/")[0] + f"/{name}"
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def database_url(engines: dict[str, str]) -> AsyncIterator[str]:
    """A migrated database of the test's own."""
    async with _database(engines, "TEMPLATE niyanta_template STRATEGY FILE_COPY") as url:
        yield url


@pytest.fixture
async def empty_database(engines: dict[str, str]) -> AsyncIterator[str]:
    """One that was never migrated."""
    async with _database(engines, "") as url:
        yield url


@pytest.fixture
async def nothing_ahead(database_url: str) -> None:
    """The test's database as one that nobody has kept up: without the partitions of the time to come."""
    connection = await asyncpg.connect(database_url)
    ahead = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' AND right(relname, 8) > $1",
        f"{datetime.now(UTC):%Y%m%d}",
    )
    await connection.execute(f"DROP TABLE {', '.join(row['relname'] for row in ahead)}")
    await connection.close()


@pytest.fixture
def nats_url(engines: dict[str, str]) -> str:
    """The broker that the tests of this process share."""
    return engines["nats_url"]


@pytest.fixture
def subject_prefix() -> str:
    """Keeps tests that share the broker apart."""
    return f"test{uuid.uuid4().hex[:12]}"
