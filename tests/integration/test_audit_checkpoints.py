"""What a chain alone can't show: an end that was cut off, and that something went for a reason."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from niyanta.cli.admin import command
from niyanta.domain.audit_chain import AuditKeys
from niyanta.domain.audit_checkpoints import AuditCheckpoint, DamagedCheckpointError
from niyanta.errors import ServiceUnavailableError
from niyanta.server.leader.audit_export import AuditExport, read_checkpoints, take_checkpoint
from niyanta.server.leader.upkeep import Upkeep
from niyanta.server.store.audit_proof import AuditProofStore
from niyanta.server.store.database import Database
from niyanta.server.store.queries import Connection
from niyanta.server.store.retention import AUDIT, RetentionStore
from niyanta.wire.objects import ObjectStore
from support.audit import Record, broken, write

NO_KEYS = AuditKeys()


@pytest.fixture
async def record(database: Database, database_url: str) -> Record:
    made = Record(database, database_url)
    await made.lead()
    return made


async def rounds(conn: asyncpg.Connection, record: Record, first: int, last: int) -> None:
    """A seal for each of these events of one workload."""
    for number in range(first, last + 1):
        await write(conn, "cust_a", "wl_1", number)
        assert await record.seal() == 1


async def checkpoint(record: Record, restored: str | None = None) -> AuditCheckpoint:
    return await take_checkpoint(record.database, datetime.now(UTC), restored)


async def cut(conn: asyncpg.Connection, after: int) -> None:
    """Everything newer than a seal goes, with all marks, as if it had never been. So does a restore from a backup."""
    async with conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.execute("DELETE FROM audit_events WHERE event_id > $1", after)
        await conn.execute("DELETE FROM audit_seals WHERE sequence > $1", after)
        await conn.execute(
            """UPDATE audit_heads h SET sequence = s.sequence, events_total = s.events_total, hash = s.hash,
                      sealed_at = s.sealed_at FROM audit_seals s WHERE s.sequence = $1""",
            after,
        )
        await conn.execute("UPDATE audit_sealing SET sealed_to = (SELECT max(entries_to) FROM audit_seals)")


async def test_a_tail_that_was_cut_off_is_told_by_a_checkpoint(conn: asyncpg.Connection, record: Record) -> None:
    await rounds(conn, record, 1, 3)
    seen = await checkpoint(record)
    await rounds(conn, record, 4, 5)
    assert ((await record.verify([seen])).breaks, (await record.verify([seen])).checkpoints) == ([], 1)
    await cut(conn, 2)
    assert (await record.verify()).breaks == []  # the chain alone is whole
    report = await record.verify([seen])
    assert [(b.kind.value, b.customer_id, b.sequence) for b in report.breaks] == [("cut", "cust_a", 2)]
    # And other events in their place don't hide it.
    await rounds(conn, record, 3, 5)
    assert [(b.kind.value, b.sequence) for b in (await record.verify([seen])).breaks] == [("seal_damaged", 3)]


async def test_a_customer_who_is_gone_wholly_is_missed(conn: asyncpg.Connection, record: Record) -> None:
    await rounds(conn, record, 1, 2)
    seen = await checkpoint(record)
    async with conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        for table in ("audit_events", "audit_seals", "audit_heads"):
            await conn.execute(f"DELETE FROM {table} WHERE customer_id = 'cust_a'")
    assert (await record.verify()).breaks == []
    assert [b.kind.value for b in (await record.verify([seen])).breaks] == ["cut"]


async def test_a_restore_that_is_declared_is_no_cut(conn: asyncpg.Connection, record: Record) -> None:
    await rounds(conn, record, 1, 2)
    before = await checkpoint(record)
    await rounds(conn, record, 3, 5)
    lost = await checkpoint(record)
    await cut(conn, 3)
    declared = await checkpoint(record, "disk lost, backup of last night")
    await rounds(conn, record, 4, 7)
    report = await record.verify([before, lost, declared, await checkpoint(record)])
    assert (report.breaks, report.checkpoints, report.given_up) == ([], 3, 1)
    # Declaring one doesn't cover a cut behind it.
    await cut(conn, 1)
    assert {b.kind.value for b in (await record.verify([before, lost, declared])).breaks} == {"cut"}


async def test_a_customers_row_may_go(conn: asyncpg.Connection, record: Record) -> None:
    await rounds(conn, record, 1, 2)
    await conn.execute("DELETE FROM customer_usage WHERE customer_id = 'cust_a'")
    await conn.execute("DELETE FROM customers WHERE customer_id = 'cust_a'")
    report = await record.verify([await checkpoint(record)])
    assert (report.breaks, report.events, report.checkpoints) == ([], 2, 1)


async def old_record(conn: asyncpg.Connection, record: Record, days: int) -> None:
    """Events and seals of long ago, and of today; the seals of then are made to look their age, with good hashes."""
    then = datetime.now(UTC) - timedelta(days=days)
    for table in ("audit_events", "audit_seals"):
        await conn.execute("SELECT make_partitions($1, 'month', $2, '40 days')", table, then)
    await write(conn, "cust_a", "wl_old", 1, 2, at=then)
    await write(conn, "cust_a", "wl_1", 1)


async def test_what_retention_drops_is_no_break(conn: asyncpg.Connection, record: Record, database: Database) -> None:
    await old_record(conn, record, 400)
    assert await record.seal() == 3
    assert await conn.fetchval("SELECT count(*) FROM audit_seals") == 2  # one for each month
    seen = await checkpoint(record)
    report = await Upkeep(database, record.election, record.settings).round()
    assert any(name.startswith("audit_events_p") for name in report.partitions_dropped)
    await rounds(conn, record, 2, 3)
    found = await record.verify([seen])
    assert (found.breaks, found.dropped, found.events, found.checkpoints) == ([], 2, 3, 1)
    # But dropped before its time it is one.
    early = await record.verify([seen], keep_days=500)
    assert broken(early) == {("missing", "cust_a", "wl_old", 1), ("missing", "cust_a", "wl_old", 2)}


@pytest.mark.parametrize("look", ["state", "months"])
async def test_what_retention_drops_while_somebody_verifies_is_no_break(
    conn: asyncpg.Connection, record: Record, database: Database, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    """A snapshot holds no partitions."""
    await old_record(conn, record, 400)
    assert await record.seal() == 3
    looked, dropped = getattr(AuditProofStore, look), []

    async def dropped_after(store: AuditProofStore, snapshot: Connection) -> Any:
        found = await looked(store, snapshot)
        with contextlib.suppress(ServiceUnavailableError):  # it is held
            dropped.extend(await RetentionStore(database).drop_expired_partitions(AUDIT, timedelta(days=365)))
        return found

    monkeypatch.setattr(AuditProofStore, look, dropped_after)
    found = await record.verify()
    assert (found.breaks, found.events, bool(dropped)) == ([], 1 if dropped else 3, look == "state")


async def test_seals_go_after_their_events_and_the_chain_holds(
    conn: asyncpg.Connection, record: Record, database: Database
) -> None:
    await old_record(conn, record, 500)
    assert await record.seal() == 3
    # As if they had been sealed then: the first seal lies where retention finds it.
    then = datetime.now(UTC) - timedelta(days=500)
    await rewrite_as_of(conn, record, then)
    seen = await checkpoint(record)
    dropped = (await Upkeep(database, record.election, record.settings).round()).partitions_dropped
    assert any(name.startswith("audit_seals_p") for name in dropped)
    assert await conn.fetchval("SELECT min(sequence) FROM audit_seals") == 2
    await rounds(conn, record, 2, 2)
    found = await record.verify([seen])
    assert (found.breaks, found.seals, found.events) == ([], 2, 2)
    # A first seal that was deleted lately is another thing.
    async with conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.execute("DELETE FROM audit_seals WHERE sequence = 2")
    assert "seal_missing" in {b.kind.value for b in (await record.verify([seen])).breaks}


async def rewrite_as_of(conn: asyncpg.Connection, record: Record, then: datetime) -> None:
    """Make the chain anew with the first seal at this moment, as the sealer would have then."""
    seals = [seal async for seal in record.store.seals(conn, "cust_a")]
    moved, last = [], None
    for seal in seals:
        fields = {name: getattr(seal, name) for name in seal.__slots__}
        fields["sealed_at"] = then if last is None else seal.sealed_at
        fields |= {} if last is None else {"previous_hash": last.hash, "previous_at": last.sealed_at}
        unsigned = type(seal)(**fields)
        last = unsigned.with_hash(unsigned.expected_hash(NO_KEYS))
        moved.append(last)
    async with conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        for seal in moved:
            await conn.execute(
                """UPDATE audit_seals SET sealed_at = $2, hash = $3, previous_hash = $4, previous_at = $5
                    WHERE sequence = $1""",
                *(seal.sequence, seal.sealed_at, seal.hash, seal.previous_hash, seal.previous_at),
            )
        await conn.execute("UPDATE audit_heads SET hash = $1, sealed_at = $2", moved[-1].hash, moved[-1].sealed_at)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"file://{tmp_path}/kept")


async def test_one_a_day_goes_to_the_object_store(
    conn: asyncpg.Connection, record: Record, database: Database, store: ObjectStore
) -> None:
    await rounds(conn, record, 1, 2)
    export = AuditExport(database, record.election, store, NO_KEYS)
    made = await export.round()
    assert made is not None
    assert await export.round() is None
    await conn.execute("UPDATE audit_sealing SET exported_at = exported_at - interval '25 hours'")
    assert await export.round() is not None
    found = await read_checkpoints(store, NO_KEYS)
    assert len(found) == 2
    assert made in found
    assert (await record.verify(found)).checkpoints == 1  # both saw the same end


def test_a_checkpoint_that_was_changed_is_refused() -> None:
    keys = AuditKeys([b"k" * 32])
    for given in (NO_KEYS, keys):
        raw = AuditCheckpoint(datetime.now(UTC), {}).encode(given)
        assert AuditCheckpoint.decode(raw, given).heads == {}
        for broken_raw in (raw.replace(b'"heads": {}', b'"heads": {"cust_a": [1, 1, "00"]}'), b"{}", b"[]", b"\xff"):
            with pytest.raises(DamagedCheckpointError):
                AuditCheckpoint.decode(broken_raw, given)
    with pytest.raises(DamagedCheckpointError, match="without a key"):
        AuditCheckpoint.decode(AuditCheckpoint(datetime.now(UTC), {}).encode(NO_KEYS), keys)
    with pytest.raises(DamagedCheckpointError, match="isn't given"):
        AuditCheckpoint.decode(AuditCheckpoint(datetime.now(UTC), {}).encode(keys), NO_KEYS)


async def test_the_commands(conn: asyncpg.Connection, record: Record, database_url: str, tmp_path: Path) -> None:
    await rounds(conn, record, 1, 3)

    async def run(*words: str) -> tuple[int, str]:
        runner = CliRunner(env={"NIYANTA_DATABASE_URL": database_url})
        result = await asyncio.to_thread(runner.invoke, command, words)
        return result.exit_code, result.output

    status, said = await run("export-audit", "--to", str(tmp_path), "--json")
    assert status == 0, said
    file = json.loads(said)["file"]
    status, said = await run("export-audit", "--to", f"file://{tmp_path}/kept")
    assert status == 0, said
    given = ("--checkpoint", file, "--checkpoint", f"file://{tmp_path}/kept")
    status, said = await run("verify-audit", *given, "--json")
    assert (status, json.loads(said)["verified"], json.loads(said)["events"]) == (0, True, 3), said
    await cut(conn, 2)
    status, said = await run("verify-audit", *given, "--json")
    assert (status, [found["kind"] for found in json.loads(said)["found"]]) == (1, ["cut"]), said
    status, said = await run("verify-audit", "--customer", "cust_a", *given)
    assert status == 1
    assert "cust_a: cut: the chain ends with seal 2, a checkpoint has seen seal 3" in said
    status, said = await run("verify-audit", "--checkpoint", str(tmp_path / "none.json"))
    assert status == 1
    assert "can't be read" in said
