"""What each role can do in the database, tried by somebody who has its password and means harm."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from niyanta.embedded.postgres import url_as
from niyanta.embedded.roles import coordinator_url
from niyanta.errors import ConfigurationError
from niyanta.server import store
from niyanta.server.services.diagnosis import Severity, role_finding
from niyanta.server.store import migrate
from niyanta.server.store.database import Database
from niyanta.server.store.queries import Queries
from niyanta.server.store.retention import AUDIT, RetentionStore
from niyanta.server.store.roles.writing import DatabaseRole, apply, renew, script
from support.engines import postgres_release

MODULES = [
    importlib.import_module(f"{store.__name__}.{found.name}")
    for found in pkgutil.iter_modules(store.__path__)
    if not found.ispkg
]
FILES = {
    queries.file_name: queries
    for module in MODULES
    for queries in vars(module).values()
    if isinstance(queries, Queries)
}
_FORBIDDEN = (asyncpg.InsufficientPrivilegeError, asyncpg.WrongObjectTypeError)
_EVENT = """INSERT INTO audit_events (customer_id, workload_id, event_id, event_type, occurred_at, actor_type,
                                      actor_id, details)
            VALUES ('cust_a', 'wl_1', 1, 'workload.created', $1, 'user', 'u', '{}')"""


@pytest.fixture
async def coordinator(database_url: str, conn: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url_as(database_url, DatabaseRole.COORDINATOR))
    yield connection
    await connection.close()


@pytest.fixture
async def reporting(database_url: str, conn: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    await apply(database_url, {DatabaseRole.REPORTING: "a password for reports"})
    place = database_url.rpartition("@")[2]
    connection = await asyncpg.connect(f"postgresql://{DatabaseRole.REPORTING}:a%20password%20for%20reports@{place}")
    yield connection
    await connection.close()


async def test_a_coordinator_can_add_to_history_and_not_change_it(
    coordinator: asyncpg.Connection, database: Database, conn: asyncpg.Connection
) -> None:
    now = datetime.now(UTC)
    await coordinator.execute(_EVENT, now)
    present = f"audit_events_p{now:%Y%m}01"
    for statement in (
        "UPDATE audit_events SET actor_id = 'nobody'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        f"UPDATE {present} SET actor_id = 'nobody'",
        f"DELETE FROM {present}",
        f"SELECT FROM {present}",
        f"DROP TABLE {present}",
        f"ALTER TABLE audit_events DETACH PARTITION {present}",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "DROP TRIGGER audit_is_append_only ON audit_events",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "SET session_replication_role = replica",
        "UPDATE workload_logs SET message = ''",
        "DELETE FROM workload_logs",
        "UPDATE audit_seals SET manifest = ''",
        "DELETE FROM audit_seals",
        "TRUNCATE audit_seals",
        "DELETE FROM audit_heads",
        "SELECT setval('audit_entry_numbers', 1)",
    ):
        with pytest.raises(_FORBIDDEN):
            await coordinator.execute(statement)
    assert await conn.fetchval("SELECT array_agg(actor_id) FROM audit_events") == ["u"]


async def test_a_coordinator_can_not_drop_what_is_young(
    coordinator: asyncpg.Connection, database: Database, conn: asyncpg.Connection
) -> None:
    async def parts() -> int:
        return int(await conn.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_events'::regclass"))

    before = await parts()
    for keep in (timedelta(0), timedelta(days=-9999)):
        assert await RetentionStore(database).drop_expired_partitions(AUDIT, keep) == []
    for statement in (
        "SELECT drop_expired_partition('customers', 'day', '0 days')",
        "SELECT drop_expired_partition('pg_class', 'day', '0 days')",
    ):
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await coordinator.execute(statement)
    assert await parts() == before


async def test_a_coordinator_makes_and_changes_nothing_but_rows(coordinator: asyncpg.Connection) -> None:
    owner = await coordinator.fetchval("SELECT tableowner FROM pg_tables WHERE tablename = 'workloads'")
    for statement in (
        "CREATE TABLE mine (x int)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "ALTER TABLE workloads ADD COLUMN x int",
        "ALTER TABLE workloads DISABLE ROW LEVEL SECURITY",
        "DROP POLICY niyanta_own ON workloads",
        "CREATE POLICY mine ON workloads TO PUBLIC USING (true)",
        "CREATE INDEX ON workloads (version)",
        "DROP TABLE workloads",
        "TRUNCATE workloads",
        "UPDATE shared_secrets SET value = value",
        "UPDATE alembic_version SET version_num = '0001'",
        "DELETE FROM customers",
        "DELETE FROM leader_lease",
        "DELETE FROM join_tokens",
        f"SET ROLE {owner}",
        f"SET SESSION AUTHORIZATION {owner}",
        f"SET ROLE {DatabaseRole.REPORTING}",
        f"GRANT {owner} TO {DatabaseRole.COORDINATOR}",
        "COPY workloads TO PROGRAM 'cat'",
        "COPY workloads TO '/tmp/workloads'",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT rolpassword FROM pg_authid",
        "ALTER SYSTEM SET fsync = off",
    ):
        with pytest.raises(_FORBIDDEN):
            await coordinator.execute(statement)


@pytest.mark.skipif(postgres_release() < 16, reason="PostgreSQL explains no statement without its values")
@pytest.mark.parametrize("file_name", FILES)
async def test_a_coordinator_may_do_all_that_it_asks(coordinator: asyncpg.Connection, file_name: str) -> None:
    """A query on a new table, or with a new verb, needs its line in `roles/grants.sql`."""
    for query in FILES[file_name].bound:
        if not query.sql.lstrip().upper().startswith("SET "):
            await coordinator.execute(f"EXPLAIN (GENERIC_PLAN) {query.sql}")


async def test_reports_see_no_inputs_no_results_and_no_secrets(reporting: asyncpg.Connection) -> None:
    views = await reporting.fetch("SELECT viewname FROM pg_views WHERE schemaname = 'reporting'")
    assert len(views) >= 10
    shown = set()
    for (name,) in views:
        shown |= {a.name for a in (await reporting.prepare(f"SELECT * FROM reporting.{name}")).get_attributes()}
    told = re.compile(
        "sha256|secret|input|result|message|details|config_json|schema|snapshot|rules|data|address|_from$"
    )
    assert {column for column in shown if told.search(column)} == set()
    assert await reporting.fetchval("SELECT count(*) FROM reporting.customers") == 2
    tables = await reporting.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')"
    )
    for (name,) in tables:
        for statement in (f"SELECT * FROM {name}", f"DELETE FROM {name}"):
            with pytest.raises(_FORBIDDEN):
                await reporting.execute(statement)
    for statement in (
        "DELETE FROM reporting.customers",
        "UPDATE reporting.customers SET name = ''",
        "CREATE TABLE mine (x int)",
        "SELECT make_partitions('workload_logs', 'day', now(), '1 day')",
        "SELECT drop_expired_partition('workload_logs', 'day', '1 day')",
        f"SET ROLE {DatabaseRole.COORDINATOR}",
        "SET ROLE niyanta_customer",
    ):
        with pytest.raises(_FORBIDDEN):
            await reporting.execute(statement)


async def test_a_report_sees_more_once_it_is_granted(
    reporting: asyncpg.Connection, conn: asyncpg.Connection, database_url: str
) -> None:
    await conn.execute("GRANT SELECT (customer_id, name) ON customers TO niyanta_reporting")
    await apply(database_url, {})  # which takes nothing away that somebody has granted
    assert len(await reporting.fetch("SELECT customer_id, name FROM customers")) == 2


async def test_every_table_of_customers_and_every_view_is_under_row_level_security(conn: asyncpg.Connection) -> None:
    """A new table: `roles/grants.sql` says what coordinators, and requests of one customer, may do with it."""
    open_tables = await conn.fetch(
        """SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'customer_id'
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
              AND (NOT c.relrowsecurity OR 2 <> (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid))"""
    )
    assert open_tables == []
    views = await conn.fetch(
        "SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'"
    )
    assert {name: options for name, options in views if options != ["security_invoker=true"]} == {}
    unused = await conn.fetch(
        """SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
              AND NOT relispartition AND NOT has_table_privilege('niyanta_coordinator', oid, 'SELECT')"""
    )
    assert unused == []


async def test_writing_the_roles_again_changes_nothing(conn: asyncpg.Connection, database_url: str) -> None:
    relations = """SELECT oid::regclass::text, relacl::text, relrowsecurity, reloptions::text FROM pg_class
                    WHERE relnamespace IN ('public'::regnamespace, 'reporting'::regnamespace) ORDER BY 1"""
    columns = "SELECT attrelid, attname, attacl::text FROM pg_attribute WHERE attacl IS NOT NULL ORDER BY 1, 2"
    policies = "SELECT polrelid, polname, polroles, polqual::text FROM pg_policy ORDER BY 1, 2"
    functions = "SELECT proname, proacl::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1"

    async def state() -> list[Any]:
        return [await conn.fetch(part) for part in (relations, columns, policies, functions)]

    before = await state()
    assert await apply(database_url, {})
    assert await renew(database_url)
    await conn.execute(script())
    assert await state() == before


async def test_roles_first_and_the_schema_later(database_url: str, conn: asyncpg.Connection) -> None:
    name = database_url.rpartition("/")[2] + "_later"
    url = database_url.rpartition("/")[0] + f"/{name}"
    await conn.execute(f"CREATE DATABASE {name}")
    try:
        assert not await apply(url, {})
        await migrate.upgrade(url)
        opened = await Database.open(url)
        assert not opened.standing.hides_others
        await opened.close()
        assert await renew(url)
        opened = await Database.open(await coordinator_url(url))
        assert opened.standing == (DatabaseRole.COORDINATOR, False, False, True)
        await opened.close()
    finally:
        await conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_who_may_not_make_roles_is_told_what_to_do(database_url: str, conn: asyncpg.Connection) -> None:
    with pytest.raises(ConfigurationError, match="owner of the schema"):
        await apply(url_as(database_url, DatabaseRole.COORDINATOR), {})
    for wrong in ("", "naïve", "two\nlines"):
        with pytest.raises(ConfigurationError, match="printable ASCII"):
            await apply(database_url, {DatabaseRole.REPORTING: wrong})


async def test_it_is_said_who_may_do_too_much(
    database_url: str, database: Database, conn: asyncpg.Connection
) -> None:
    assert role_finding(database.standing).severity is Severity.OK
    owner = await Database.open(database_url, api_connections=1, customer_connections=1, vital_connections=1)
    await owner.close()
    assert owner.standing.hides_others
    found = role_finding(owner.standing)
    assert (found.severity, "superuser" in found.text, "db roles" in found.advice) == (Severity.WARNING, True, True)
    plain = owner.standing._replace(is_superuser=False)
    assert "owns the schema" in role_finding(plain).text
    assert "row-level security is off" in role_finding(plain._replace(owns_schema=False, hides_others=False)).text
