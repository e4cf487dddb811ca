"""Audit events are sealed in an order that doesn't depend on who commits when, and nobody changes them unseen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from niyanta.domain.audit_chain import AuditKeys
from niyanta.server.store.database import Database
from support.audit import EPOCH, Record, broken, write

Attack = Callable[[asyncpg.Connection], Awaitable[object]]


@pytest.fixture
async def record(database: Database, database_url: str) -> Record:
    made = Record(database, database_url)
    await made.lead()
    return made


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A session of its own, as its transactions are left open."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def sealed_story(conn: asyncpg.Connection, record: Record) -> None:
    """Two customers' events, under three rounds of seals."""
    for number in range(1, 4):
        for customer_id in ("cust_a", "cust_b"):
            for workload in ("wl_1", "wl_2"):
                await write(conn, customer_id, workload, 2 * number - 1, 2 * number)
        assert await record.seal() == 8


async def without_triggers(conn: asyncpg.Connection, *statements: str) -> None:
    """What somebody with all rights does, who isn't stopped by triggers either."""
    async with conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            assert await conn.execute(statement) != "UPDATE 0", statement


async def test_what_is_sealed_verifies(conn: asyncpg.Connection, record: Record) -> None:
    await sealed_story(conn, record)
    await write(conn, "cust_a", "wl_3", 1)
    report = await record.verify()
    assert report.breaks == []
    assert (report.customers, report.seals, report.events, report.unsealed) == (2, 6, 24, 1)
    one = await record.verify(customer_id="cust_b")
    assert (one.customers, one.seals, one.events, one.unsealed) == (1, 3, 12, 0)


async def test_append_only_holds_for_seals_too(conn: asyncpg.Connection, record: Record) -> None:
    await sealed_story(conn, record)
    for statement in ("UPDATE audit_seals SET event_count = 1", "DELETE FROM audit_seals"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await conn.execute(statement)


ROW = "customer_id = 'cust_a' AND workload_id = 'wl_1' AND event_id = 3"
OTHER = "customer_id = 'cust_a' AND workload_id = 'wl_1' AND event_id = 4"
CHANGED = [
    *(
        pytest.param(
            (f"UPDATE audit_events SET {change} WHERE {ROW}",), {("changed", "cust_a", "wl_1", 3)}, id=change
        )
        for change in (
            "event_type = 'workload.failed'",
            "occurred_at = occurred_at + interval '1 microsecond'",
            "actor_type = 'user'",
            "actor_id = 'somebody'",
            "details = '{}'",
        )
    ),
    pytest.param((f"DELETE FROM audit_events WHERE {ROW}",), {("missing", "cust_a", "wl_1", 3)}, id="a row deleted"),
    pytest.param(
        (
            """UPDATE audit_events e SET occurred_at = o.occurred_at FROM audit_events o
                 WHERE e.customer_id = 'cust_a' AND e.workload_id = 'wl_1' AND e.event_id IN (3, 4)
                   AND o.customer_id = 'cust_a' AND o.workload_id = 'wl_1' AND o.event_id = 7 - e.event_id
                   AND o.occurred_at <> e.occurred_at""",
        ),
        {("changed", "cust_a", "wl_1", 3), ("changed", "cust_a", "wl_1", 4)},
        id="two rows' times swapped",
    ),
    pytest.param(
        (
            f"""UPDATE audit_events SET entry_number = CASE event_id
                       WHEN 3 THEN (SELECT entry_number FROM audit_events WHERE {OTHER})
                       ELSE (SELECT entry_number FROM audit_events WHERE {ROW}) END
                 WHERE customer_id = 'cust_a' AND workload_id = 'wl_1' AND event_id IN (3, 4)""",
        ),
        {("changed", "cust_a", "wl_1", 3), ("changed", "cust_a", "wl_1", 4)},
        id="two rows' order swapped",
    ),
    pytest.param(
        (
            f"""INSERT INTO audit_events SELECT customer_id, 'wl_9', 1, event_type, occurred_at, actor_type, actor_id,
                       details, entry_number FROM audit_events WHERE {ROW}""",
        ),
        {("inserted", "cust_a", "wl_9", 1)},
        id="a row put among sealed ones",
    ),
    pytest.param(
        (
            f"""INSERT INTO audit_events SELECT customer_id, workload_id, event_id, event_type,
                       occurred_at + interval '1 s', actor_type, actor_id, '{{}}', entry_number
                  FROM audit_events WHERE {ROW}""",
        ),
        {("inserted", "cust_a", "wl_1", 3)},
        id="a second row with the same number",
    ),
    pytest.param(
        (f"UPDATE audit_events SET customer_id = 'cust_b', workload_id = 'wl_9' WHERE {ROW}",),
        {("missing", "cust_a", "wl_1", 3), ("inserted", "cust_b", "wl_9", 3)},
        id="given to another customer",
    ),
    pytest.param(
        (f"UPDATE audit_events SET entry_number = NULL WHERE {ROW}",),
        {("missing", "cust_a", "wl_1", 3)},
        id="as if from before the seals",
    ),
]


@pytest.mark.parametrize(("statements", "found"), CHANGED)
async def test_each_change_of_events_is_found_and_named(
    conn: asyncpg.Connection, record: Record, statements: tuple[str, ...], found: set[tuple[str, str, str, int]]
) -> None:
    await sealed_story(conn, record)
    await without_triggers(conn, *statements)
    assert {each for each in broken(await record.verify()) if each[0] != "numbers"} == found


@pytest.mark.parametrize(
    ("statement", "kind", "sequence"),
    [
        ("UPDATE audit_seals SET hash = sha256('x') WHERE sequence = 2", "seal_damaged", 2),
        ("UPDATE audit_seals SET manifest = 'wl_9 1 00' WHERE sequence = 2", "seal_damaged", 2),
        ("UPDATE audit_seals SET sealed_at = sealed_at + interval '1 ms' WHERE sequence = 2", "seal_damaged", 2),
        ("DELETE FROM audit_seals WHERE sequence = 1", "seal_missing", 1),
        ("DELETE FROM audit_seals WHERE sequence = 2", "seal_missing", 2),
        ("DELETE FROM audit_seals WHERE sequence = 3", "cut", 2),
        ("DELETE FROM audit_seals WHERE sequence > 0", "cut", 3),
        ("DELETE FROM audit_heads WHERE sequence > 0", "cut", 3),
    ],
)
async def test_each_change_of_seals_is_found(
    conn: asyncpg.Connection, record: Record, statement: str, kind: str, sequence: int
) -> None:
    await sealed_story(conn, record)
    await without_triggers(conn, f"{statement} AND customer_id = 'cust_a'")
    report = await record.verify()
    assert (kind, "cust_a", sequence) in {(b.kind.value, b.customer_id, b.sequence) for b in report.breaks}
    assert {b.customer_id for b in report.breaks} == {"cust_a"}


async def test_a_late_commit_is_waited_for_and_keeps_its_place(
    conn: asyncpg.Connection, record: Record, writer: asyncpg.Connection
) -> None:
    late = writer.transaction()
    await late.start()
    await write(writer, "cust_a", "wl_1", 1)
    await write(conn, "cust_a", "wl_2", 1)  # with a greater number, committed before
    for _ in range(3):
        assert await record.sealer.round(EPOCH) == 0
    await late.commit()
    assert await record.seal() == 2
    manifest = await conn.fetchval("SELECT manifest FROM audit_seals")
    assert [line.split()[0] for line in manifest.splitlines()] == ["wl_1", "wl_2"]
    assert (await record.verify()).breaks == []


async def test_a_number_is_given_only_to_a_transaction_that_has_an_id(writer: asyncpg.Connection) -> None:
    """The sealer counts on it; the order of the two in the column's default is what makes it so."""
    async with writer.transaction():
        default = await writer.fetchval(
            """SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef d JOIN pg_attribute a
                   ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                WHERE a.attrelid = 'audit_events'::regclass AND a.attname = 'entry_number'"""
        )
        assert await writer.fetchval("SELECT pg_current_xact_id_if_assigned()") is None
        assert await writer.fetchval(f"SELECT {default}") is not None
        assert await writer.fetchval("SELECT pg_current_xact_id_if_assigned()") is not None


async def test_what_was_rolled_back_leaves_holes_that_nobody_minds(
    conn: asyncpg.Connection, record: Record, writer: asyncpg.Connection
) -> None:
    await write(conn, "cust_a", "wl_1", 1)
    undone = writer.transaction()
    await undone.start()
    await write(writer, "cust_a", "wl_2", 1, 2, 3)
    await undone.rollback()
    assert await record.seal() == 1
    await write(conn, "cust_a", "wl_1", 2)
    assert await record.seal() == 1
    assert (await record.verify()).breaks == []


async def test_small_batches_make_the_same_record(
    conn: asyncpg.Connection, database: Database, database_url: str
) -> None:
    record = Record(database, database_url, batch_size=3)
    await record.lead()
    await write(conn, "cust_a", "wl_1", *range(1, 11))
    await write(conn, "cust_b", "wl_1", 1, 2)
    assert await record.seal() == 12
    assert await conn.fetchval("SELECT count(*) FROM audit_seals") == 5
    report = await record.verify()
    assert (report.breaks, report.events, report.unsealed) == ([], 12, 0)


async def test_of_two_leaders_only_the_one_of_the_epoch_seals(
    conn: asyncpg.Connection, record: Record, database: Database, database_url: str
) -> None:
    await write(conn, "cust_a", "wl_1", 1)
    assert await record.seal() == 1
    await write(conn, "cust_a", "wl_1", 2)
    for _ in range(20):
        assert await record.sealer.round(EPOCH - 1) == 0
    assert await conn.fetchval("SELECT count(*) FROM audit_seals") == 1
    # And of two that believe in the same epoch each event is sealed once.
    others = [Record(database, database_url, batch_size=2) for _ in range(3)]
    for number in range(3, 30):
        await write(conn, "cust_a", "wl_1", number)
    sealed = await asyncio.gather(record.seal(), *(other.seal() for other in others))
    assert sum(sealed) == 28
    report = await record.verify()
    assert (report.breaks, report.events) == ([], 29)


async def test_another_leader_goes_on_where_the_last_one_was(
    conn: asyncpg.Connection, record: Record, database: Database, database_url: str
) -> None:
    await sealed_story(conn, record)
    await write(conn, "cust_a", "wl_1", 7)
    await record.lead(EPOCH + 1)
    for _ in range(20):
        assert await record.sealer.round(EPOCH) == 0
    assert await Record(database, database_url).seal(EPOCH + 1) == 1
    assert (await record.verify()).breaks == []


async def test_an_event_that_is_deleted_before_its_seal_is_missed_by_its_neighbours(
    conn: asyncpg.Connection, record: Record
) -> None:
    await write(conn, "cust_a", "wl_1", 1, 2, 3)
    await without_triggers(conn, "DELETE FROM audit_events WHERE event_id = 2")
    await record.seal()
    assert broken(await record.verify()) == {("numbers", "cust_a", "wl_1", 0)}


async def test_a_key_keeps_who_has_only_the_database_from_forging(
    conn: asyncpg.Connection, database: Database, database_url: str
) -> None:
    keys = AuditKeys([b"k" * 32])
    record, forger = Record(database, database_url, keys), Record(database, database_url)
    await record.lead()
    await sealed_story(conn, record)
    assert (await record.verify()).breaks == []
    # The forger changes an event and makes the whole chain anew, as well as can be without the key.
    await without_triggers(
        conn,
        f"UPDATE audit_events SET actor_id = 'somebody' WHERE {ROW}",
        "DELETE FROM audit_seals",
        "DELETE FROM audit_heads",
        "UPDATE audit_sealing SET sealed_to = 0",
    )
    assert await forger.seal() == 24
    assert (await forger.verify()).breaks == []  # without a key, only a checkpoint would tell
    assert {b.kind.value for b in (await record.verify()).breaks} == {"unkeyed"}
    # And who is given no key, or another, can't tell.
    assert {b.kind.value for b in (await record.verify(keys=AuditKeys([b"x" * 32]))).breaks} == {"unkeyed"}


async def test_keys_can_be_changed(conn: asyncpg.Connection, database: Database, database_url: str) -> None:
    old, new = b"o" * 32, b"n" * 32
    for keys, number in ((AuditKeys([old]), 1), (AuditKeys([new, old]), 2)):
        record = Record(database, database_url, keys)
        await record.lead()
        await write(conn, "cust_a", "wl_1", number)
        assert await record.seal() == 1
    assert (await record.verify()).breaks == []
