"""Row-level security: when a query forgets whose rows it is for, the database still knows."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from niyanta.embedded.postgres import url_as
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.list_query import ListQuery
from niyanta.server.store.listing import ListingStore
from niyanta.server.store.roles.writing import DatabaseRole
from niyanta.server.store.workloads import WorkloadStore
from niyanta.wire import messages
from support.system import System, beating, running_system, supported

_CONDITION = re.compile(r"(?:\w+\.)?customer_id = (\$\d+)")
_TABLES = (
    *(
        "customers",
        "customer_usage",
        "workload_configs",
        "workloads",
        "workload_hours",
        "workload_labels",
        "failure_hours",
        "workload_logs",
        "audit_events",
    ),
    *("workload_summaries", "listed_workloads", "workload_states"),
)


class Forgetful:
    """A connection over which every query has lost its condition on the customer.

    Attributes:
        forgotten: How many have.
    """

    forgotten = 0

    def __init__(self, conn: Any) -> None:
        self._conn = conn

    def _without(self, sql: str) -> str:
        changed, count = _CONDITION.subn(r"\1::text IS NOT NULL", sql)
        Forgetful.forgotten += count
        return changed

    async def fetch(self, sql: str, *args: Any) -> Any:
        return await self._conn.fetch(self._without(sql), *args)

    async def fetchrow(self, sql: str, *args: Any) -> Any:
        return await self._conn.fetchrow(self._without(sql), *args)

    async def execute(self, sql: str, *args: Any) -> Any:
        return await self._conn.execute(self._without(sql), *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)


@pytest.fixture
def forgetting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What requests of one customer ask the database is asked without saying for whom."""
    connection = Database.connection

    @contextlib.asynccontextmanager
    async def forgetful(
        self: Database, pool: Pool = Pool.API, *, customer_id: str | None = None, **options: Any
    ) -> AsyncIterator[Any]:
        async with connection(self, pool, customer_id=customer_id, **options) as conn:
            yield conn if customer_id is None else Forgetful(conn)

    monkeypatch.setattr(Forgetful, "forgotten", 0)
    monkeypatch.setattr(Database, "connection", forgetful)


async def fill(system: System) -> dict[str, dict[str, str]]:
    """Something of everything for both customers; gives the ids of each."""
    await supported(system)
    found: dict[str, dict[str, str]] = {}
    worker = await system.worker(capacity=4)
    async with beating(worker):
        for key in ("cust_a", "cust_b"):
            workload_id = await system.submit(key, input_params={"of": key})
            ref = (await worker.next_assignment()).ref
            await worker.report(ref, messages.Started())
            await worker.report(ref, messages.LogLine("INFO", f"log of {key}"))
            _, configs, _ = await system.call("GET", "/workload-configs", key=key)
            found[key] = {"workload": workload_id, "config": configs["configs"][0]["config_id"]}
    return found


def reads(ids: dict[str, str]) -> list[str]:
    workload = f"/workloads/{ids['workload']}"
    return [workload, f"{workload}/audit", f"{workload}/logs", f"/workload-configs/{ids['config']}"]


LISTS = (
    *("/workloads", "/workloads?status=RUNNING", "/workloads?workload_type=count&order_by=priority"),
    *("/workloads?order_by=started_at", "/workload-configs", "/customer"),
)


async def _sees_only_its_own(system: System, ids: dict[str, dict[str, str]]) -> None:
    theirs = set(ids["cust_b"].values())
    for path in reads(ids["cust_b"]):
        status, body, _ = await system.call("GET", path)
        assert status == 404, (path, body)
    for path in (*LISTS, *reads(ids["cust_a"])):
        status, body, _ = await system.call("GET", path)
        assert status == 200, (path, body)
        shown = str(body)
        assert not any(each in shown for each in theirs), path
        assert "cust_b" not in shown, path
    now = datetime.now(UTC).date()
    span = f"start_date={now - timedelta(days=2)}&end_date={now}"
    for grouping in ("day", "hour", "workload_type"):
        status, body, _ = await system.call("GET", f"/customer/stats?{span}&group_by={grouping}")
        assert (status, body["summary"]["total_workloads"]) == (200, 1), body
    _, body, _ = await system.call("GET", "/workloads")
    assert body["pagination"]["total"] == 1
    status, _, _ = await system.call("DELETE", f"/workload-configs/{ids['cust_b']['config']}")
    assert status == 404
    for path in reads(ids["cust_b"]):
        status, body, _ = await system.call("GET", path, key="cust_b")
        assert status == 200, (path, body)


async def test_what_is_asked_for_all_gives_ones_own(system: System, forgetting: None) -> None:
    await _sees_only_its_own(system, await fill(system))
    assert Forgetful.forgotten > 15


async def test_what_is_asked_for_one_gives_ones_own_without_row_level_security(
    system: System, database_url: str
) -> None:
    ids = await fill(system)
    owner = await asyncpg.connect(database_url)
    for table in await owner.fetch("SELECT relname FROM pg_class WHERE relrowsecurity"):
        await owner.execute(f"ALTER TABLE {table['relname']} DISABLE ROW LEVEL SECURITY")
    await owner.close()
    await _sees_only_its_own(system, ids)


async def test_without_row_level_security_it_would_be_seen(
    database_url: str, nats_url: str, subject_prefix: str, forgetting: None
) -> None:
    owner = await asyncpg.connect(database_url)
    await owner.execute("ALTER TABLE workloads DISABLE ROW LEVEL SECURITY")
    await owner.close()
    async with running_system(database_url, nats_url, subject_prefix) as system:
        await supported(system)
        theirs = await system.submit("cust_b")
        status, _, _ = await system.call("GET", f"/workloads/{theirs}")
        assert status == 200


@pytest.fixture
async def narrow(system: System, database_url: str) -> AsyncIterator[Database]:
    """With one connection for requests of customers, beside a system that both have something in."""
    ids = await fill(system)
    owner = await asyncpg.connect(database_url)
    for key in ("cust_a", "cust_b"):
        await owner.execute("INSERT INTO workload_labels VALUES ($1, $2, 'of', $1)", key, ids[key]["workload"])
        await owner.execute(
            "INSERT INTO failure_hours VALUES ($1, now(), 'f', 'count', 1, now(), now(), $2)", key, f"of {key}"
        )
    await owner.close()
    found = await Database.open(url_as(database_url, DatabaseRole.COORDINATOR), customer_connections=1)
    yield found
    await found.close()


async def owners(conn: Any, table: str) -> list[str]:
    return sorted(row[0] for row in await conn.fetch(f"SELECT DISTINCT customer_id FROM {table}"))


async def test_a_connection_that_is_lent_again_shows_nothing_of_the_one_before(narrow: Database) -> None:
    async def look(customer_id: str) -> None:
        async with narrow.connection(customer_id=customer_id) as conn:
            for table in _TABLES:
                assert await owners(conn, table) == [customer_id], table

    await asyncio.gather(*(look(f"cust_{which}") for which in "abbaabab"))
    for spoil in ("SELECT 1/0", "SELECT pg_sleep(10)"):
        with contextlib.suppress(asyncpg.DivisionByZeroError, TimeoutError):
            async with asyncio.timeout(0.2), narrow.transaction(customer_id="cust_a") as conn:
                await conn.execute(spoil)
        await look("cust_b")
    async with narrow.connection(Pool.CUSTOMER) as conn:  # of nobody
        for table in _TABLES:
            assert await owners(conn, table) == [], table


async def test_a_connection_of_one_customer_reads_and_writes_nothing_else(narrow: Database) -> None:
    refused: Sequence[str] = (
        *(
            f"SELECT FROM {table}"
            for table in ("api_keys", "shared_secrets", "join_tokens", "workers", "leader_lease")
        ),
        *(
            "DELETE FROM workloads",
            "UPDATE workloads SET version = version",
            "INSERT INTO workload_hours DEFAULT VALUES",
        ),
        *("DELETE FROM audit_events", "UPDATE customers SET tier = tier", "UPDATE customer_usage SET running = 0"),
        "INSERT INTO workload_configs (customer_id, config_id, workload_type) VALUES ('cust_b', 'wlcfg_x', 'x')",
        "UPDATE workload_configs SET customer_id = 'cust_b'",
    )
    async with narrow.connection(customer_id="cust_a") as conn:
        for statement in refused:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement)
        assert await conn.execute("DELETE FROM workload_configs WHERE customer_id = 'cust_b'") == "DELETE 0"
        assert await conn.execute("UPDATE workload_configs SET description = 'x'") == "UPDATE 1"


async def test_coordinators_themselves_see_all(narrow: Database) -> None:
    async with narrow.connection() as conn:
        for table in _TABLES:
            assert await owners(conn, table) == ["cust_a", "cust_b"], table
        found = await ListingStore().page(conn, ListQuery("cust_b"))
        assert await WorkloadStore().get(conn, "cust_b", found[0].workload_id) is not None
