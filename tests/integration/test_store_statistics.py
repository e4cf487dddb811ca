"""Statistics and estimates' inputs: exact, of one customer only, and served from indexes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from niyanta.domain.placement import Affinity
from niyanta.server.directory import Directory
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.services import estimator as estimates
from niyanta.server.services.estimator import Estimator
from niyanta.server.services.occupancy import Occupancy
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.server.store.statistics import Period, StatisticsStore
from niyanta.server.store.workers import WorkerStore
from niyanta.server.store.workloads import WorkloadStore
from niyanta.wire.broker import Broker
from niyanta.wire.messages import HandlerInfo, Register
from niyanta.wire.subjects import Subjects
from support.store_rows import ExplainFirst, add_customer, add_workloads, whole

STORE = StatisticsStore()
EVER = Period(date.min, date.max)


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[asyncpg.Connection]:
    async with database.connection() as connection:
        for customer_id in ("cust_a", "cust_b", "cust_empty"):
            await add_customer(connection, customer_id)
        await add_workloads(connection, "cust_a", 2000)
        await add_workloads(connection, "cust_b", 300)
        yield whole(connection)


async def test_the_figures_are_those_of_the_rows(conn: asyncpg.Connection) -> None:
    first: datetime = await conn.fetchval("SELECT min(created_at) FROM workloads WHERE customer_id = 'cust_a'")
    periods = [EVER, Period(first.date(), first.date()), Period(date.max, date.max)]
    periods.append(Period(first.date() - timedelta(days=9), first.date() - timedelta(days=1)))
    assert first.date() < datetime.now(UTC).date(), "the rows span a midnight"
    for period in periods:
        since, until = period.bounds()
        rows = await conn.fetch(
            "SELECT * FROM workloads WHERE customer_id = 'cust_a' AND created_at >= $1 AND created_at < $2",
            since,
            until,
        )
        summary = await STORE.summary(conn, "cust_a", period)
        by = {s: [r for r in rows if r["status"] == s] for s in ("COMPLETED", "FAILED", "CANCELLED")}
        assert (summary.total, summary.completed) == (len(rows), len(by["COMPLETED"]))
        assert (summary.failed, summary.cancelled) == (len(by["FAILED"]), len(by["CANCELLED"]))
        ran = [r for r in rows if r["started_at"] and r["completed_at"]]
        hours = sum((r["completed_at"] - r["started_at"]).total_seconds() for r in ran) / 3600
        assert summary.total_execution_hours == pytest.approx(hours)
        types = await STORE.by_type(conn, "cust_a", period)
        assert [t.count for t in types] == sorted((t.count for t in types), reverse=True)
        assert sum(t.count for t in types) == len(rows)
        for figures in types:
            mine = [r for r in rows if r["workload_type"] == figures.workload_type]
            done = [r for r in mine if r["status"] == "COMPLETED"]
            failed = [r for r in mine if r["status"] == "FAILED"]
            assert figures.count == len(mine)
            assert figures.failure_rate == pytest.approx(len(failed) / (len(done) + len(failed)))
            seconds = sum((r["completed_at"] - r["started_at"]).total_seconds() for r in done)
            assert figures.avg_duration_seconds == pytest.approx(seconds / len(done))
        for times, step in (
            (await STORE.by_day(conn, "cust_a", period), 24),
            (await STORE.by_hour(conn, "cust_a", period), 1),
        ):
            starts = [t.start for t in times]
            assert starts == sorted(set(starts))
            for row in times:
                end = row.start + timedelta(hours=step)
                mine = [r for r in rows if row.start <= r["created_at"] < end]
                assert row.count == len(mine)
                for name in ("completed", "failed", "cancelled"):
                    assert getattr(row, name) == sum(r["status"] == name.upper() for r in mine)
            assert sum(t.count for t in times) == len(rows)


async def test_a_customer_without_workloads_has_zeros(conn: asyncpg.Connection) -> None:
    summary = await STORE.summary(conn, "cust_empty", EVER)
    assert (summary.total, summary.total_execution_hours) == (0, 0)
    assert await STORE.by_type(conn, "cust_empty", EVER) == []
    assert await STORE.by_hour(conn, "cust_empty", EVER) == []
    assert await STORE.created_today(conn, "cust_empty") == 0


async def test_created_today_counts_from_midnight_utc(conn: asyncpg.Connection) -> None:
    wanted = await conn.fetchval(
        "SELECT count(*) FROM workloads"
        " WHERE customer_id = 'cust_a' AND created_at >= date_trunc('day', now(), 'UTC')"
    )
    assert await STORE.created_today(conn, "cust_a") == wanted


async def test_the_place_in_the_queue_counts_ones_own_ready_workloads(conn: asyncpg.Connection) -> None:
    await conn.execute("UPDATE workloads SET placement_key = abs(hashtext(workload_id)) % 3 WHERE ready")
    rows = await conn.fetch(
        "SELECT workload_id, queue_rank FROM workloads WHERE customer_id = 'cust_a' AND ready"
        " ORDER BY queue_rank, workload_id"
    )
    assert len(rows) > 100
    lanes = await STORE.lanes(conn, "cust_a")
    assert sorted(lane.placement_key for lane in lanes) == [0, 1, 2]
    for place in (0, 1, 50, len(rows) - 1):
        row = rows[place]
        before = row["queue_rank"], row["workload_id"]
        assert await STORE.count_ahead(conn, "cust_a", lanes, before, most=10_000) == place
        assert await STORE.count_ahead(conn, "cust_a", lanes, before, most=20) == min(place, 20)
        apart = [await STORE.count_ahead(conn, "cust_a", [lane], before, most=10_000) for lane in lanes]
        assert sum(apart) == place
    assert await STORE.count_ahead(conn, "cust_a", lanes, most=10_000) == len(rows)
    assert await STORE.count_ahead(conn, "cust_a", [], most=10_000) == 0
    assert len(await STORE.lanes(conn, "cust_a", most=2)) == 2
    assert await STORE.lanes(conn, "cust_empty") == []


async def test_recent_durations_are_of_the_last_completed_of_the_type(conn: asyncpg.Connection) -> None:
    rows = await conn.fetch(
        """SELECT extract(epoch FROM completed_at - started_at)::float AS s FROM workloads
            WHERE customer_id = 'cust_a' AND status = 'COMPLETED' AND workload_type = 'type_1'
            ORDER BY completed_at DESC, workload_id DESC LIMIT 50"""
    )
    assert await STORE.recent_durations(conn, "cust_a", "type_1") == [r["s"] for r in rows]
    assert await STORE.recent_durations(conn, "cust_empty", "type_1") == []


async def test_no_figure_reads_the_whole_table(conn: asyncpg.Connection) -> None:
    await add_customer(conn, "cust_big")
    await add_workloads(conn, "cust_big", 20_000)
    await conn.execute("VACUUM ANALYZE workloads, workload_hours")
    lanes = await STORE.lanes(conn, "cust_big")
    spy = ExplainFirst(conn)
    plans = []
    for read in (
        lambda: STORE.summary(spy, "cust_a", EVER),
        lambda: STORE.by_type(spy, "cust_a", EVER),
        lambda: STORE.by_hour(spy, "cust_a", EVER),
        lambda: STORE.created_today(spy, "cust_a"),
        lambda: STORE.recent_durations(spy, "cust_big", "type_1"),
        lambda: STORE.lanes(spy, "cust_big"),
        lambda: STORE.count_ahead(spy, "cust_big", lanes, (100.0, "wl_x"), most=10_000),
    ):
        await read()
        plans.append(spy.plan)
    assert len(set(plans)) == 7
    for plan in plans:
        assert "Seq Scan on workloads" not in plan, plan
    for plan in plans[:4]:
        assert "workloads" not in plan, plan


async def test_estimates_come_from_the_customers_own_counters(
    conn: asyncpg.Connection, database: Database, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(nats_url, name="test")
    customers = CustomerStore(database)
    directory = Directory(database, customers, ChangeFeed(broker, Subjects("test"), "c1"))
    occupancy = Occupancy(database, directory)
    now = 0.0
    estimator = Estimator(database, customers, directory, occupancy, clock=lambda: now)

    async def sample(at: float, assigned: int, queued: int) -> None:
        nonlocal now
        now = at
        await conn.execute(
            # As many run as may, or what waits would wait for a worker.
            "UPDATE customer_usage SET assigned = $1, queued = $2, running = 100000 WHERE customer_id = 'cust_a'",
            assigned,
            queued,
        )
        await directory.refresh()
        await estimator.know("cust_a")
        await estimator.note()

    present: datetime = await conn.fetchval("SELECT now()")
    asked = (present, "type_1", Affinity())
    await sample(0, 0, 0)
    assert estimator.start_of_submission("cust_a", *asked) is None, "no worker, nothing served yet"
    await sample(1, 0, 99)
    await sample(11, 20, 99)
    assert estimator.start_of_submission("cust_a", *asked) == present + timedelta(seconds=50)
    assert estimator.start_of_submission("cust_b", *asked) is None
    assert estimator.start_of_submission("cust_missing", *asked) is None
    workloads = WorkloadStore()
    rows = await conn.fetch(
        "SELECT workload_id FROM workloads WHERE customer_id = 'cust_a' AND ready ORDER BY queue_rank"
    )
    row = await workloads.get(conn, "cust_a", rows[3]["workload_id"])
    assert row is not None
    assert await estimator.start(row) is None, "no worker suits it"
    types = await conn.fetch("SELECT DISTINCT workload_type FROM workloads")
    handlers = [HandlerInfo(kind["workload_type"]) for kind in types]
    assert await WorkerStore().register(conn, Register("w1", "incarnation", 10, {}, handlers, "test"), 10.0)
    await directory.refresh()
    assert await estimator.start(row) == row.db_now + timedelta(seconds=2)
    with monkeypatch.context() as bounded:
        bounded.setattr(estimates, "MAX_AHEAD", 3)
        prospect = await estimator.prospect(row)
        assert (prospect.ahead, prospect.is_bounded, prospect.half, prospect.late) == (3, True, None, None)
        assert await estimator.start(row) is None, "who counts no further doesn't know when"
    assert await estimator.completion(row) is None
    running = await conn.fetchval(
        "SELECT workload_id FROM workloads WHERE customer_id = 'cust_a' AND status = 'RUNNING'"
    )
    await conn.execute(
        """UPDATE workloads SET attempt_started_at = now() - interval '60 s', generation = 1, progress_percent = 75
            WHERE workload_id = $1 AND customer_id = 'cust_a'""",
        running,
    )
    row = await workloads.get(conn, "cust_a", running)
    assert row is not None
    found = await estimator.completion(row)
    assert found is not None
    assert (found - row.db_now).total_seconds() == pytest.approx(20, abs=1)
    assert await estimator.start(row) is None
