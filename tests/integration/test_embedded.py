"""The embedded engines: what they keep, who may use them, and that none outlives its parent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import nats
import psutil
import pytest

from niyanta.embedded import Engines, Nats, Postgres, engine, nats_server
from niyanta.errors import ConfigurationError

SMALL = {"shared_buffers": "16MB"}
# Longer than the guardian's grace plus PostgreSQL's own five seconds for a clean-up after a crash.
DEADLINE_SECONDS = 20.0

PARENT = """
import asyncio, json, sys
from pathlib import Path
from niyanta.embedded import Engines

async def main():
    engines = Engines(Path(sys.argv[1]), extra_settings={"shared_buffers": "16MB"})
    await engines.start()
    print(json.dumps({
        "database_url": engines.database_url,
        "pids": [engines.postgres.pid, engines.nats.pid],
        "guardians": [engines.postgres.guardian_pid, engines.nats.guardian_pid],
    }), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def living(data_dir: Path) -> list[psutil.Process]:
    """Guardians, engines and backends that work in a directory; not those that ended and wait for init."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(data_dir):
                found.append(process)
    return found


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_SECONDS} s: {what}"
        await asyncio.sleep(0.05)


async def until_nothing_lives(data_dir: Path) -> None:
    await until(lambda: not living(data_dir), "no process left in the data directory")


async def store(url: str, value: int) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (value int)")
    await connection.execute("INSERT INTO kept VALUES ($1)", value)
    await connection.close()


async def stored(url: str) -> list[int]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT value FROM kept ORDER BY value")
    await connection.close()
    return [row["value"] for row in rows]


@pytest.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[Postgres]:
    engine = Postgres(tmp_path / "postgres", extra_settings=SMALL)
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Nats]:
    engine = Nats(tmp_path / "nats")
    await engine.start()
    yield engine
    await engine.stop()


Start = Callable[[str], Awaitable[tuple[asyncio.subprocess.Process, dict[str, Any]]]]


@pytest.fixture
async def start_parent(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a program with both engines in ``tmp_path``, in a session of its own; gives it and what it said."""
    parents: list[asyncio.subprocess.Process] = []

    async def start(program: str) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
        parent = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(tmp_path), stdout=subprocess.PIPE, start_new_session=True
        )
        parents.append(parent)
        assert parent.stdout is not None
        return parent, json.loads(await asyncio.wait_for(parent.stdout.readline(), 60))

    yield start
    for parent in parents:
        if parent.returncode is None:
            parent.kill()
            await parent.wait()


async def test_data_port_and_password_survive_a_restart(postgres: Postgres) -> None:
    first = postgres.url
    assert await postgres.start() == first, "a second start does nothing"
    await store(first, 1)
    await postgres.stop()
    await postgres.stop()
    assert living(postgres.data_dir) == []

    again = Postgres(postgres.data_dir, extra_settings=SMALL)
    try:
        assert await again.start() == first
        assert await stored(first) == [1]
    finally:
        await again.stop()


async def test_postgres_is_durable_and_on_loopback_only(postgres: Postgres) -> None:
    connection = await asyncpg.connect(postgres.url)
    for name, value in {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "jit": "off"}.items():
        assert await connection.fetchval("SELECT current_setting($1)", name) == value
    await connection.close()
    assert postgres.pid is not None
    listening = [c for c in psutil.Process(postgres.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert {c.laddr.ip for c in listening} == {"127.0.0.1"}


async def test_the_password_is_needed_and_private(postgres: Postgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.url.replace(postgres.secret, "wrong"))
    assert stat.S_IMODE((postgres.data_dir / "engine.json").stat().st_mode) == 0o600
    assert not (postgres.data_dir / "password.new").exists()
    assert postgres.pid is not None
    assert postgres.secret not in " ".join(psutil.Process(postgres.pid).cmdline())


async def test_nats_takes_eight_megabytes_with_the_token(broker: Nats) -> None:
    client = await nats.connect(broker.url)
    assert client.max_payload == 8 * 1024 * 1024
    subscription = await client.subscribe("big")
    await client.publish("big", b"x" * client.max_payload)
    assert len((await subscription.next_msg(timeout=10)).data) == client.max_payload
    await client.close()
    for private in ("nats.conf", "engine.json"):
        assert stat.S_IMODE((broker.data_dir / private).stat().st_mode) == 0o600


async def test_nats_refuses_another_token(broker: Nats) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    assert (await reader.readline()).startswith(b"INFO ")
    writer.write(b'CONNECT {"auth_token": "wrong", "verbose": false}\r\nPING\r\n')
    assert b"Authorization Violation" in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_directory_in_use_is_refused(postgres: Postgres) -> None:
    second = Postgres(postgres.data_dir, extra_settings=SMALL)
    with pytest.raises(ConfigurationError, match=rf"is in use by process {os.getpid()}\b"):
        await second.start()
    await second.stop()
    await store(postgres.url, 1)
    assert await stored(postgres.url) == [1]


async def test_a_server_started_by_hand_is_respected(postgres: Postgres) -> None:
    pid_file = postgres.data_dir / "cluster" / "postmaster.pid"
    by_hand = pid_file.read_text().partition("\n")[0]
    other = Postgres(postgres.data_dir, extra_settings=SMALL)
    with pytest.raises(ConfigurationError, match=rf"is in use by process {by_hand}\b"):
        other.clear_stale_pid()
    assert pid_file.exists()


@pytest.mark.parametrize("how", ["program", "group"])
async def test_nothing_outlives_a_killed_parent(tmp_path: Path, start_parent: Start, how: str) -> None:
    parent, said = await start_parent(PARENT)
    await store(said["database_url"], 1)
    at_work = {process.pid for process in living(tmp_path)}
    assert at_work >= {*said["pids"], *said["guardians"]}, "both engines and guardians must be there to be missed"

    if how == "group":
        os.killpg(parent.pid, signal.SIGKILL)
    else:
        parent.kill()
    await parent.wait()
    engines = Engines(tmp_path, extra_settings=SMALL)
    try:
        await engines.start()  # at once: it waits for the guardians of the dead parent
        assert at_work.isdisjoint(process.pid for process in living(tmp_path))
        assert await stored(engines.database_url) == [1]
    finally:
        await engines.stop()
    await until_nothing_lives(tmp_path)


async def test_ctrl_c_in_the_terminal_does_not_reach_the_engines(tmp_path: Path, start_parent: Start) -> None:
    parent, said = await start_parent("import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + PARENT)
    at_work = {process.pid for process in living(tmp_path)}
    os.killpg(parent.pid, signal.SIGINT)  # which this parent ignores, as one does that is still draining
    assert {os.getpgid(pid) for pid in at_work}.isdisjoint({parent.pid})
    await store(said["database_url"], 1)
    assert {process.pid for process in living(tmp_path)} >= at_work
    parent.kill()
    await parent.wait()
    await until_nothing_lives(tmp_path)


async def test_a_stale_pid_file_is_recovered(postgres: Postgres) -> None:
    await store(postgres.url, 1)
    processes = living(postgres.data_dir)
    for process in processes:
        process.suspend()  # so that none of them can clean up when another dies
    for process in processes:
        process.kill()
    await postgres.wait_exit()
    await until_nothing_lives(postgres.data_dir)
    pid_file = postgres.data_dir / "cluster" / "postmaster.pid"
    assert pid_file.exists(), "the fault did not fire"
    # The worst case: another process has got the number since, as happens in containers.
    pid_file.write_text("\n".join([str(os.getpid()), *pid_file.read_text().split("\n")[1:]]))

    await postgres.start()
    assert await stored(postgres.url) == [1]


async def test_a_killed_server_takes_its_busy_backends_along_and_starts_again(postgres: Postgres) -> None:
    await store(postgres.url, 1)
    connection = await asyncpg.connect(postgres.url)
    backend = connection.get_server_pid()
    busy = asyncio.create_task(connection.execute("SELECT count(*) FROM generate_series(1, 100000000000)"))
    await until(lambda: psutil.Process(backend).cpu_times().user > 0.2, "a backend that computes")
    before = postgres.pid
    assert before is not None

    os.kill(before, signal.SIGKILL)
    assert await asyncio.wait_for(postgres.wait_exit(), DEADLINE_SECONDS) == 128 + signal.SIGKILL
    assert living(postgres.data_dir) == []
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await busy

    await postgres.start()
    assert postgres.pid not in (None, before)
    assert await stored(postgres.url) == [1]


@pytest.mark.parametrize("kind", [Postgres, Nats])
async def test_an_engine_ends_when_its_guardian_is_killed(tmp_path: Path, kind: type[Postgres] | type[Nats]) -> None:
    engine = kind(tmp_path / "engine")
    await engine.start()
    try:
        assert engine.guardian_pid is not None
        os.kill(engine.guardian_pid, signal.SIGKILL)
        await engine.wait_exit()
        await engine.start()  # waits until the orphan has let go of the lock
        assert engine.pid is not None
    finally:
        await engine.stop()
    await until_nothing_lives(tmp_path)


async def test_an_engine_that_hangs_is_stopped_by_force(postgres: Postgres) -> None:
    await store(postgres.url, 1)
    assert postgres.pid is not None
    os.kill(postgres.pid, signal.SIGSTOP)
    begun = time.monotonic()
    await asyncio.wait_for(postgres.stop(), DEADLINE_SECONDS)
    assert time.monotonic() - begun > 4, "the fault did not fire: it obeyed the grace signal"
    assert living(postgres.data_dir) == []
    await postgres.start()
    assert await stored(postgres.url) == [1]


async def test_a_port_that_was_taken_meanwhile_is_left_alone(broker: Nats) -> None:
    before = broker.port
    await broker.stop()
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", before))
        stranger.listen()
        await broker.start()
        assert broker.port != before
        fixed = Nats(broker.data_dir.parent / "fixed", port=before)
        with pytest.raises(ConfigurationError, match=f"port {before} is in use"):
            await fixed.start()
        assert living(fixed.data_dir) == []


async def test_a_port_lost_in_a_race_is_replaced(tmp_path: Path) -> None:
    strangers: list[socket.socket] = []

    class LosesItsPortOnce(Nats):
        async def prepare(self) -> Sequence[str]:
            if not strangers:
                strangers.append(socket.create_server(("127.0.0.1", self.port)))
            return await super().prepare()

    engine = LosesItsPortOnce(tmp_path / "nats")
    try:
        await engine.start()
        assert strangers
        assert engine.port != strangers[0].getsockname()[1]
    finally:
        await engine.stop()
        for stranger in strangers:
            stranger.close()


async def test_a_broker_that_answers_in_the_place_of_ours_is_not_taken_for_it(tmp_path: Path) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_name": "another"}\r\n')
        await reader.readuntil(b"PING\r\n")
        writer.write(b"PONG\r\n")
        await reader.read()
        writer.close()

    class NeverListens(Nats):
        start_seconds = 1.0

        async def prepare(self) -> Sequence[str]:
            await super().prepare()
            strangers.append(await asyncio.start_server(greet, "127.0.0.1", self.port))
            return ["sleep", "60"]

    strangers: list[asyncio.Server] = []
    engine = NeverListens(tmp_path / "nats")
    try:
        with pytest.raises(ConfigurationError, match="did not answer"):
            await engine.start()
    finally:
        await engine.stop()
        for stranger in strangers:
            stranger.close()


async def test_an_interrupted_first_start_is_begun_again(tmp_path: Path) -> None:
    leftover = tmp_path / "postgres" / "cluster.new" / "base"
    leftover.mkdir(parents=True)
    engine = Postgres(tmp_path / "postgres", extra_settings=SMALL)
    try:
        await store(await engine.start(), 1)
    finally:
        await engine.stop()
    assert not leftover.exists()


async def test_a_folder_that_is_no_cluster_is_not_overwritten(tmp_path: Path) -> None:
    precious = tmp_path / "postgres" / "cluster" / "precious"
    precious.mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="not a PostgreSQL cluster"):
        await Postgres(tmp_path / "postgres").start()
    assert precious.exists()


async def test_a_setting_that_cannot_work_shows_the_servers_words(tmp_path: Path) -> None:
    engine = Postgres(tmp_path / "postgres", extra_settings={"shared_buffers": "nonsense"})
    with pytest.raises(ConfigurationError, match=r"would not start.*shared_buffers"):
        await engine.start()
    assert living(tmp_path) == []


async def test_a_lost_password_is_named(postgres: Postgres) -> None:
    await postgres.stop()
    (postgres.data_dir / "engine.json").unlink()
    with pytest.raises(ConfigurationError, match=r"engine\.json"):
        await Postgres(postgres.data_dir, extra_settings=SMALL).start()
    assert living(postgres.data_dir) == []


async def test_when_one_engine_fails_the_other_is_not_left_running(tmp_path: Path) -> None:
    (tmp_path / "nats").write_text("in the way")
    engines = Engines(tmp_path, extra_settings=SMALL)
    with pytest.raises(ConfigurationError, match="can't be used"):
        await engines.start()
    assert living(tmp_path) == []


async def test_a_cancelled_start_leaves_nothing(tmp_path: Path) -> None:
    engines = Engines(tmp_path, extra_settings=SMALL)
    starting = asyncio.create_task(engines.start())
    await until(lambda: bool(living(tmp_path)), "a first process")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await until_nothing_lives(tmp_path)


def _accounts() -> dict[str, bytes]:
    files = [Path("/etc/passwd"), Path("/etc/group"), Path("/etc/shadow"), Path("/etc/subuid"), Path("/etc/subgid")]
    return {str(path): path.read_bytes() for path in files if path.exists()}


def _uid_map(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/uid_map").read_text().split()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs the user namespace")
async def test_as_root_no_account_and_no_permission_changes(tmp_path: Path) -> None:
    before, above = _accounts(), os.stat(tmp_path)
    engine = Postgres(tmp_path / "postgres", extra_settings=SMALL)
    await engine.start()
    try:
        assert engine.pid is not None
        assert _uid_map(engine.pid) == ["1000", "0", "1"]
        await store(engine.url, 1)
    finally:
        await engine.stop()
    assert _accounts() == before
    after = os.stat(tmp_path)
    assert (after.st_mode, after.st_uid, after.st_gid) == (above.st_mode, above.st_uid, above.st_gid)
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in (tmp_path / "postgres").rglob("*")}
    assert owners == {(0, 0)}


def pick_once(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Have the next port that is looked for be one that somebody takes before it is used."""
    look = engine.free_port
    picks = [port]

    def pick(wanted: int = 0) -> int:
        return picks.pop() if picks else look(wanted)

    monkeypatch.setattr(engine, "free_port", pick)


async def test_two_postgres_that_picked_the_same_port_both_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (Postgres(tmp_path / name, extra_settings=SMALL) for name in ("first", "second"))
    try:
        await first.start()
        await store(first.url, 1)
        pick_once(monkeypatch, first.port)
        await second.start()
        assert second.port != first.port
        await store(second.url, 2)
        assert (await stored(first.url), await stored(second.url)) == ([1], [2])
        await second.stop()
        await second.start()
        assert await stored(second.url) == [2]
    finally:
        await second.stop()
        await first.stop()


async def test_a_nats_whose_port_a_stranger_took_starts_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = engine.free_port()
    stranger = await asyncio.create_subprocess_exec(
        nats_server.program(), "-a", "127.0.0.1", "-p", str(port), stderr=subprocess.DEVNULL
    )
    ours = Nats(tmp_path)
    try:
        await until(lambda: engine.free_port(port) != port, "the stranger listens")
        pick_once(monkeypatch, port)
        await ours.start()
        assert ours.port != port
        client = await nats.connect(ours.url)
        await client.close()
    finally:
        await ours.stop()
        stranger.terminate()
        await stranger.wait()


async def test_a_port_that_was_taken_for_a_moment_only_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another start's look at the port, say: by the time of ours it is free again."""
    ours = Nats(tmp_path)
    taken = socket.create_server(("127.0.0.1", 0))
    port: int = taken.getsockname()[1]
    look = engine.free_port
    picks = [port]

    def pick(wanted: int = 0) -> int:
        if picks:
            return picks.pop()
        taken.close()
        return look(wanted)

    monkeypatch.setattr(engine, "free_port", pick)
    try:
        await ours.start()
        client = await nats.connect(ours.url)
        await client.close()
    finally:
        await ours.stop()
        taken.close()
