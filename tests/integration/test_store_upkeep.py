"""Partitions and retention: made ahead, dropped when old, without stopping anybody, and history stays as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from niyanta.domain.ids import make_id
from niyanta.domain.records import LogLevel
from niyanta.errors import ConfigurationError, ServiceUnavailableError
from niyanta.server.fleet.contents import logged_at
from niyanta.server.leader.election import Election
from niyanta.server.leader.upkeep import Upkeep
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.audit_events import AuditStore
from niyanta.server.store.database import Database, LockNotFreeError
from niyanta.server.store.logs import LogsQuery, LogStore, NewLogLine
from niyanta.server.store.partitions import Lifetime
from niyanta.server.store.retention import LOGS, RetentionStore, SweptCheckpoint
from niyanta.wire.broker import Broker
from niyanta.wire.subjects import Subjects
from support.store_rows import add_workloads

_AUDIT_ROW = """INSERT INTO audit_events (customer_id, workload_id, event_id, event_type, occurred_at, actor_type,
                                          actor_id, details)
                VALUES ('cust_a', 'wl_1', $1, 'workload.created', $2, 'user', 'u', '{}')"""


def settings_for(database_url: str, **given: object) -> CoordinatorSettings:
    return CoordinatorSettings.from_environment({}, database_url=database_url, nats_url="nats://unused", **given)


def election_of(database: Database, settings: CoordinatorSettings) -> Election:
    """One that nobody runs."""
    return Election(database, ChangeFeed(Broker("", name="test"), Subjects("test"), "me"), settings)


@pytest.fixture
def settings(database_url: str) -> CoordinatorSettings:
    return settings_for(database_url)


@pytest.fixture
def upkeep(database: Database, settings: CoordinatorSettings) -> Upkeep:
    return Upkeep(database, election_of(database, settings), settings)


async def partitions(conn: asyncpg.Connection, parent: str) -> list[str]:
    rows = await conn.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = $1::regclass", parent
    )
    return sorted(row["name"] for row in rows)


async def add_old_partition(conn: asyncpg.Connection, parent: str, days: int, unit: str) -> str:
    """A partition for a time long ago, as an upkeep of that time would have made it."""
    before = set(await partitions(conn, parent))
    await conn.execute(
        "SELECT make_partitions($1, $2, now() - make_interval(days => $3), '0 days')", parent, unit, days
    )
    return min(set(await partitions(conn, parent)) - before)


@pytest.mark.usefixtures("nothing_ahead")
async def test_partitions_are_there_from_the_start_and_are_made_ahead(
    conn: asyncpg.Connection, upkeep: Upkeep
) -> None:
    today = datetime.now(UTC).date()
    assert f"workload_logs_p{today:%Y%m%d}" in await partitions(conn, "workload_logs")
    assert f"audit_events_p{today:%Y%m}01" in await partitions(conn, "audit_events")
    await upkeep.prepare()
    days = await partitions(conn, "workload_logs")
    wanted = [today + timedelta(days=n) for n in range(-1, LOGS.ahead.days + 1)]
    assert days == [f"workload_logs_p{day:%Y%m%d}" for day in wanted]
    assert len(await partitions(conn, "audit_events")) in (5, 6)
    assert (await upkeep.round()).partitions_made == 0
    assert await conn.fetchval("SELECT count(*) FROM pg_class WHERE relname LIKE '%default' AND relkind = 'r'") == 0


async def test_many_replicas_may_make_and_drop_partitions_at_once(
    conn: asyncpg.Connection, database: Database, settings: CoordinatorSettings
) -> None:
    await conn.execute(f"DROP TABLE {', '.join(await partitions(conn, 'workload_logs'))}")
    old = [await add_old_partition(conn, "workload_logs", days, "day") for days in (40, 50, 60)]
    rounds = [Upkeep(database, election_of(database, settings), settings) for _ in range(4)]
    await asyncio.gather(*(patient_round(keeper) for keeper in rounds))
    await rounds[0].round()
    left = await partitions(conn, "workload_logs")
    assert not set(old) & set(left)
    assert len(left) == LOGS.ahead.days + 2
    assert await conn.fetchval("SELECT count(*) FROM pg_class WHERE relname = ANY($1)", old) == 0


async def test_dropping_waits_for_nobody_and_nobody_for_it(
    conn: asyncpg.Connection, database: Database, database_url: str
) -> None:
    old = await add_old_partition(conn, "workload_logs", 40, "day")
    store, month = RetentionStore(database), timedelta(days=30)
    reader = await asyncpg.connect(database_url)
    try:
        async with reader.transaction():
            await reader.fetch("SELECT FROM workload_logs")
            with pytest.raises(LockNotFreeError):
                await store.drop_expired_partitions(LOGS, month)
            # Nothing is left of it that would be in anybody's way, nor of what it had begun.
            async with asyncio.timeout(5):
                assert old in await partitions(conn, "workload_logs")
                await conn.execute("BEGIN; LOCK TABLE workload_logs IN ROW EXCLUSIVE MODE NOWAIT; COMMIT")
                await store.make_partitions(LOGS)
        async with reader.transaction():
            # Whoever comes to drop while another makes or drops leaves it to that one, at once.
            await reader.execute("SELECT pg_advisory_xact_lock(hashtext('niyanta.make_partitions'))")
            assert await store.drop_expired_partitions(LOGS, month) == []
        assert old in await store.drop_expired_partitions(LOGS, month)
    finally:
        await reader.close()


async def patient_round(keeper: Upkeep) -> None:
    """A round, begun again when locks that others hold don't come free: that is no failure."""
    for _ in range(50):
        try:
            await keeper.round()
        except ServiceUnavailableError:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("the lock never came free")


async def test_history_can_not_be_changed_but_old_partitions_go(conn: asyncpg.Connection, upkeep: Upkeep) -> None:
    now = datetime.now(UTC)
    old = await add_old_partition(conn, "audit_events", 500, "month")
    starts = datetime.strptime(old[-8:], "%Y%m%d").replace(tzinfo=UTC)
    await conn.execute(_AUDIT_ROW, 1, starts + timedelta(days=3))
    await conn.execute(_AUDIT_ROW, 2, now)
    present = f"audit_events_p{now:%Y%m}01"
    for statement in (
        "UPDATE audit_events SET actor_id = 'x'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        f"UPDATE {present} SET actor_id = 'x'",
        f"DELETE FROM {present}",
        f"TRUNCATE {present}",
        f"TRUNCATE {old}",
    ):
        with pytest.raises(asyncpg.RestrictViolationError, match="never rewritten"):
            await conn.execute(statement)
    report = await upkeep.round()
    assert old in report.partitions_dropped
    assert await conn.fetchval("SELECT array_agg(event_id) FROM audit_events") == [2]
    assert await conn.fetchval("SELECT to_regclass($1)", old) is None


async def test_a_partition_is_kept_until_its_last_row_is_old(conn: asyncpg.Connection, database: Database) -> None:
    store = RetentionStore(database)
    young = await add_old_partition(conn, "workload_logs", 29, "day")
    assert await store.drop_expired_partitions(LOGS, timedelta(days=30)) == []
    assert await store.drop_expired_partitions(LOGS, timedelta(days=29)) == [young]


async def test_a_detached_partition_that_nobody_dropped_is_dropped_later(
    conn: asyncpg.Connection, upkeep: Upkeep
) -> None:
    old = await add_old_partition(conn, "workload_logs", 45, "day")
    await conn.execute(f"ALTER TABLE workload_logs DETACH PARTITION {old}")
    assert old in (await upkeep.round()).partitions_dropped
    assert await conn.fetchval("SELECT to_regclass($1)", old) is None


async def test_a_detaching_that_was_cut_off_is_finished_later(
    conn: asyncpg.Connection, database: Database, upkeep: Upkeep, database_url: str
) -> None:
    old = await add_old_partition(conn, "workload_logs", 45, "day")
    reader = await asyncpg.connect(database_url)
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch("SELECT * FROM workload_logs")
    await conn.execute("SET statement_timeout = '300ms'")
    with pytest.raises((asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError)):
        await conn.execute(f"ALTER TABLE workload_logs DETACH PARTITION {old} CONCURRENTLY")
    assert await conn.fetchval("SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = $1::regclass", old)
    await transaction.rollback()
    await reader.close()
    assert old in (await upkeep.round()).partitions_dropped
    assert await conn.fetchval("SELECT to_regclass($1)", old) is None


async def test_a_tests_database_has_what_a_coordinator_would_make(upkeep: Upkeep) -> None:
    assert (await upkeep.round()).partitions_made == 0


@pytest.mark.usefixtures("nothing_ahead")
async def test_one_that_nobody_has_kept_up_lacks_it(upkeep: Upkeep) -> None:
    assert (await upkeep.round()).partitions_made > LOGS.ahead.days


@pytest.mark.usefixtures("nothing_ahead")
async def test_making_partitions_waits_for_nobody_and_nobody_for_it(
    conn: asyncpg.Connection, upkeep: Upkeep, database_url: str
) -> None:
    writer = await asyncpg.connect(database_url)
    async with writer.transaction():
        await writer.execute(_AUDIT_ROW, 1, datetime.now(UTC))
        await writer.fetch("SELECT * FROM audit_events")
        async with asyncio.timeout(5):
            await upkeep.prepare()
        await writer.execute(_AUDIT_ROW, 2, datetime.now(UTC))
    await writer.close()
    assert await conn.fetchval("SELECT count(*) FROM audit_events") == 2


@pytest.mark.parametrize("year", [1, 1970, 2025, 9999])
async def test_a_workers_clock_can_not_make_rows_outside_the_partitions(conn: asyncpg.Connection, year: int) -> None:
    now: datetime = await conn.fetchval("SELECT now()")
    worker_ms = int((datetime(year, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
    at = logged_at(worker_ms, now, None)
    assert now - timedelta(days=1) <= at <= now
    line = NewLogLine(
        customer_id="cust_a",
        workload_id="wl_1",
        generation=1,
        sequence=1,
        logged_at=at,
        level=LogLevel.INFO,
        message="hello",
        details_json="{}",
    )
    await LogStore().add(conn, [line])
    query = LogsQuery(customer_id="cust_a", workload_id="wl_1", lifetime=Lifetime(now, None), levels=["INFO"])
    assert len(await LogStore().page(conn, query, 10)) == 1


async def test_reading_logs_and_history_opens_only_the_partitions_of_the_lifetime(
    conn: asyncpg.Connection, database: Database, upkeep: Upkeep
) -> None:
    await upkeep.prepare()
    now = datetime.now(UTC)
    plans: list[str] = []

    class Spy:
        async def fetch(self, sql: str, *args: object) -> Any:
            plans.append("\n".join(r[0] for r in await conn.fetch("EXPLAIN (ANALYZE) " + sql, *args)))
            return await conn.fetch(sql, *args)

    spy: Any = Spy()
    lived = Lifetime(now - timedelta(hours=1), now)
    query = LogsQuery(customer_id="cust_a", workload_id="wl_1", lifetime=lived, levels=["INFO"])
    for newest_first in (False, True):
        await LogStore().page(spy, replace(query, newest_first=newest_first), 10)
        plan = plans.pop()
        assert plan.count("Scan using workload_logs_p") + plan.count("Scan on workload_logs_p") <= 4, plan
        assert "Sort" not in plan, plan
    await AuditStore().page(spy, "cust_a", "wl_1", lived)
    assert plans[0].count("Scan using audit_events_p") + plans[0].count("Scan on audit_events_p") <= 3, plans[0]


async def test_old_ended_workloads_are_forgotten_in_batches_and_nothing_else(
    conn: asyncpg.Connection, database: Database, settings: CoordinatorSettings
) -> None:
    upkeep = Upkeep(database, election_of(database, settings), settings, batch_size=20)
    await add_workloads(conn, "cust_a", 400)
    await add_workloads(conn, "cust_b", 10)
    # Everything of cust_a moves 100 days back, ids too, but for twenty that ended yesterday.
    for row in await conn.fetch("SELECT workload_id FROM workloads WHERE customer_id = 'cust_a' ORDER BY 1"):
        await conn.execute(
            """UPDATE workloads SET workload_id = $2, created_at = created_at - interval '100 days',
                      completed_at = completed_at - interval '100 days', started_at = started_at - interval '100 days'
                WHERE customer_id = 'cust_a' AND workload_id = $1""",
            row["workload_id"],
            make_id(
                "wl_", int((datetime.now(UTC) - timedelta(days=100)).timestamp() * 1000), hash(row["workload_id"])
            ),
        )
    await conn.execute(
        """UPDATE workloads SET completed_at = now() - interval '1 day' WHERE workload_id IN (
               SELECT workload_id FROM workloads WHERE customer_id = 'cust_a' AND completed_at IS NOT NULL
                LIMIT 20)"""
    )
    old = await conn.fetchval("SELECT count(*) FROM workloads WHERE completed_at < now() - interval '90 days'")
    everything = await conn.fetchval("SELECT count(*) FROM workloads")
    figures = await conn.fetch("SELECT * FROM workload_hours ORDER BY customer_id, hour, workload_type")
    assert old > 40
    report = await upkeep.round()
    assert report.workloads_forgotten == old
    assert await conn.fetchval("SELECT count(*) FROM workloads") == everything - old
    assert await conn.fetchval("SELECT count(*) FROM workloads WHERE completed_at < now() - interval '90 days'") == 0
    assert figures == await conn.fetch("SELECT * FROM workload_hours ORDER BY customer_id, hour, workload_type")


async def add_checkpoint(
    conn: asyncpg.Connection, customer_id: str, workload_id: str, key: str | None = None
) -> None:
    await conn.execute(
        """INSERT INTO checkpoints (customer_id, workload_id, sequence, generation, encoding, data, object_key,
                                    size_bytes, sha256, progress_percent)
           SELECT $1, $2, n, 1, 'json', CASE WHEN $3::text IS NULL THEN ''::bytea END, $3 || n, 0, sha256(''), 0
             FROM generate_series(1, 3) n""",
        customer_id,
        workload_id,
        key,
    )


async def test_checkpoints_that_nothing_can_start_from_are_forgotten_with_their_objects(
    conn: asyncpg.Connection, database: Database, settings: CoordinatorSettings
) -> None:
    await add_workloads(conn, "cust_a", 100)
    rows = await conn.fetch("SELECT workload_id, status FROM workloads ORDER BY workload_id")
    of = {
        status: [r["workload_id"] for r in rows if r["status"] == status]
        for status in ("RUNNING", "PAUSED", "FAILED")
    }
    completed = [r["workload_id"] for r in rows if r["status"] == "COMPLETED"]
    await conn.execute(
        "UPDATE workloads SET completed_at = now() - interval '23 hours' WHERE workload_id = $1", completed[0]
    )
    await conn.execute(
        "UPDATE workloads SET completed_at = now() - interval '25 hours' WHERE workload_id = ANY($1)",
        [completed[1], completed[2], of["FAILED"][0]],
    )
    kept = [of["RUNNING"][0], of["PAUSED"][0], completed[0]]
    for workload_id in (*kept, completed[1], of["FAILED"][0], "wl_gone"):
        await add_checkpoint(conn, "cust_a", workload_id)
    await add_checkpoint(conn, "cust_a", completed[2], "object/")
    election = election_of(database, settings)
    without = Upkeep(database, election, settings, batch_size=7)
    assert (await without.round()).checkpoints_forgotten == 9
    gone: list[str] = []

    async def delete_objects(keys: Sequence[str]) -> None:
        gone.extend(keys)

    with_objects = Upkeep(database, election, settings, delete_objects, batch_size=7)
    assert (await with_objects.round()).checkpoints_forgotten == 3
    assert gone == ["object/1", "object/2", "object/3"]
    left = await conn.fetch("SELECT DISTINCT workload_id FROM checkpoints")
    assert sorted(r["workload_id"] for r in left) == sorted(kept)


async def test_a_checkpoint_that_is_pinned_while_it_is_about_to_be_forgotten_keeps_its_object(
    conn: asyncpg.Connection,
    database: Database,
    settings: CoordinatorSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await add_workloads(conn, "cust_a", 100)
    workload_id = await conn.fetchval("SELECT workload_id FROM workloads WHERE status = 'COMPLETED' LIMIT 1")
    await conn.execute(
        "UPDATE workloads SET completed_at = now() - interval '25 hours' WHERE workload_id = $1", workload_id
    )
    await add_checkpoint(conn, "cust_a", workload_id, "object/")
    sweep = RetentionStore.sweep_checkpoints
    gone: list[str] = []

    async def then_pinned(store: RetentionStore, *args: Any) -> list[SweptCheckpoint]:
        found = await sweep(store, *args)
        await conn.execute("UPDATE checkpoints SET pinned = true WHERE sequence = 2")
        return found

    async def delete_objects(keys: Sequence[str]) -> None:
        gone.extend(keys)

    monkeypatch.setattr(RetentionStore, "sweep_checkpoints", then_pinned)
    upkeep = Upkeep(database, election_of(database, settings), settings, delete_objects)
    assert (await upkeep.round()).checkpoints_forgotten == 2
    assert gone == ["object/1", "object/3"]
    assert await conn.fetchval("SELECT array_agg(sequence) FROM checkpoints") == [2]


async def test_nobody_can_pin_a_checkpoint_whose_object_is_being_deleted(
    conn: asyncpg.Connection, database: Database, settings: CoordinatorSettings
) -> None:
    await add_workloads(conn, "cust_a", 100)
    await add_checkpoint(conn, "cust_a", "wl_gone", "object/")

    async def delete_objects(keys: Sequence[str]) -> None:
        other = await asyncpg.connect(settings.database_url)
        try:
            await other.execute("SET lock_timeout = '50ms'")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await other.execute("UPDATE checkpoints SET pinned = true WHERE object_key = $1", keys[0])
        finally:
            await other.close()

    upkeep = Upkeep(database, election_of(database, settings), settings, delete_objects)
    assert (await upkeep.round()).checkpoints_forgotten == 3


async def test_what_a_slow_object_store_keeps_is_left_to_the_next_round(
    conn: asyncpg.Connection, database: Database, settings: CoordinatorSettings
) -> None:
    await add_checkpoint(conn, "cust_a", "wl_gone", "object/")
    asked: list[str] = []

    async def delete_objects(keys: Sequence[str]) -> None:
        asked.extend(keys)
        await asyncio.sleep(3600)

    slow = Upkeep(database, election_of(database, settings), settings, delete_objects)
    assert (await slow.round()).checkpoints_forgotten == 0
    assert asked == ["object/1"]
    assert await conn.fetchval("SELECT count(*) FROM checkpoints") == 3
    assert database.failures == 0, "it isn't the database that is slow"


async def add_keys(conn: asyncpg.Connection, count: int, minutes_apart: int, *, operation: str = "submit") -> None:
    """Keys numbered from 1, each older than the one before."""
    await conn.execute(
        """INSERT INTO idempotency_keys (customer_id, operation, key, body_sha256, answer, created_at)
           SELECT 'cust_a', $3, n::text, '', '[]', now() - make_interval(mins => n * $2)
             FROM generate_series(1, $1::int) n""",
        count,
        minutes_apart,
        operation,
    )


async def test_idempotency_keys_are_forgotten_after_a_day(conn: asyncpg.Connection, upkeep: Upkeep) -> None:
    await add_keys(conn, 2000, 1)
    await add_keys(conn, 2000, 0, operation="submit_batch")
    assert (await upkeep.round()).keys_forgotten in (561, 560)
    ages = "SELECT operation, max(key::int) FROM idempotency_keys GROUP BY operation ORDER BY operation"
    (submit, oldest), others = await conn.fetch(ages)
    assert (submit, oldest in (1439, 1440)) == ("submit", True)
    assert tuple(others) == ("submit_batch", 2000), "the same keys, but of another operation and young"


async def test_a_round_ends_when_the_leader_no_longer_leads(
    conn: asyncpg.Connection, database: Database, settings: CoordinatorSettings
) -> None:
    upkeep = Upkeep(database, election_of(database, settings), settings, batch_size=10)
    await add_keys(conn, 100, 2 * 24 * 60)
    leads = iter([True, True, *[False] * 20])
    assert (await upkeep.round(lambda: next(leads))).keys_forgotten == 20


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"log_retention_days": 1}, "log_retention_days"),
        ({"workload_retention_days": 1}, "workload_retention_days"),
        ({"audit_retention_days": 10, "workload_retention_days": 11}, "audit_retention_days"),
        ({"checkpoint_retention_hours": -1}, "checkpoint_retention_hours"),
        ({"upkeep_interval_seconds": 0}, "upkeep_interval_seconds"),
    ],
)
def test_settings_that_would_lose_something_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        settings_for("postgresql://unused", **wrong)
