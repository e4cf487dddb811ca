"""What handlers reach that try to get out of their box, and that honest ones notice nothing of it (S28, S29).

All of it is done for forked processes and for fresh interpreters.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

from niyanta.domain.workers import Wall
from niyanta.wire.messages import CheckpointSaved, Completed, Failed, Progressed
from niyanta.wire.objects import ObjectStore
from niyanta.worker.box.policy import Policy, policy_by
from support.station import FOLDER, Station, station

APP = f"{FOLDER / 'hostile.py'}:worker"
HOME = Path.home()


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """A port on which somebody listens who greets."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    one, _ = listening.accept()
                except OSError:
                    return
                with one:
                    one.sendall(b"hi")

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


@pytest.fixture(scope="module")
def closed() -> Iterator[int]:
    """The broker's port, so to speak."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        yield listening.getsockname()[1]


@pytest.fixture(params=["forked", "fresh"])
async def here(request: pytest.FixtureRequest, tmp_path: Path, closed: int) -> AsyncIterator[Station]:
    (tmp_path / ".niyanta").mkdir()
    (tmp_path / ".niyanta" / "credentials.json").write_text("the admin's key")
    policy = policy_by(Policy(closed_ports=(closed,)), {"NIYANTA_HIDDEN": str(tmp_path / ".niyanta")})
    store = ObjectStore(f"file://{tmp_path}")
    async with station(tmp_path / "scratch", store, app=APP, fork=request.param == "forked", policy=policy) as found:
        walls = await found.pool.walls()
        missing = {Wall.FILES, Wall.PROCESSES, Wall.SIGNALS, Wall.CALLS, Wall.PRIVILEGES} - set(walls)
        if missing:
            pytest.skip(f"this machine has no walls for {missing}")
        yield found


def below(folder: Path, pattern: str) -> list[Path]:
    return list(folder.rglob(pattern))


def assert_refused(found: dict[str, str]) -> None:
    assert found
    assert {name: how for name, how in found.items() if how == "open"} == {}


class Victim:
    """An attempt of another customer's that is there to be attacked."""

    def __init__(self, here: Station) -> None:
        self._here = here

    async def __aenter__(self) -> Victim:
        self.attempt, self.record = self._here.start("stay", {"until": "/usr/niyanta-never"}, customer="other")
        said = await self.record.until(Progressed)
        pid, _, folder = (said.message or "").partition(" ")
        self.pid, self.folder = int(pid), folder
        return self

    async def __aexit__(self, *_: object) -> None:
        os.kill(self.pid, 0)
        assert self.record.end is None
        self.attempt.disown()
        await self.attempt.task


async def test_honest_handlers_notice_nothing(here: Station, server: int) -> None:
    record = await here.run("honest", {"port": server}, seconds=60)
    assert record.result["sqlite"] == 1
    assert record.result["fork"] == record.result["spawn"] == [1, 4, 9]
    assert record.result["shell"] == "hi\n"
    assert record.result["connected"] == "hi"
    assert {record.result[name] for name in ("tempfile", "home", "processors", "served")} == {True}
    assert record.lines("WARN") == []


async def test_other_processes_can_t_be_looked_at(here: Station, tmp_path: Path) -> None:
    async with Victim(here) as victim:
        record = await here.run("look_at", {"pids": [os.getpid(), victim.pid]})
        assert_refused(record.result)


async def test_other_processes_can_t_be_seen(here: Station) -> None:
    """Neither those of another slot, nor the agent and what else runs on the machine."""
    if Wall.SIGHT not in await here.pool.walls():
        pytest.skip("only root can keep a process from seeing that others are there")
    async with Victim(here) as victim:
        found = (await here.run("look_around")).result
        assert found["seen"] == found["own"]
        assert victim.pid not in found["seen"]


async def test_other_processes_can_t_be_signalled(here: Station, tmp_path: Path) -> None:
    async with Victim(here) as victim:
        record = await here.run("kill_others", {"pids": [os.getpid(), victim.pid]})
        assert_refused(record.result)


async def test_others_limits_turns_and_shared_objects_can_t_be_changed(here: Station, system_v_memory: int) -> None:
    """By limits one ends a process as surely as by a signal."""
    async with Victim(here) as victim:
        given = {"pids": [os.getpid(), victim.pid], "memory": system_v_memory}
        assert_refused((await here.run("change_others", given)).result)
    assert (await here.run("change_oneself")).result == {"value": "5"}


async def test_modes_owners_and_times_of_files_outside_can_t_be_changed(here: Station) -> None:
    """Landlock looks after none of these: who has the worker's user id owns what the worker owns."""
    if Wall.SOCKETS not in await here.pool.walls():
        pytest.skip("without a view of its own a process can't be kept from it")
    with tempfile.TemporaryDirectory(dir=HOME) as folder:
        (Path(folder) / "file").touch()
        paths = [folder, f"{folder}/file", str(FOLDER / "hostile.py"), os.__file__, sys.executable]
        assert_refused((await here.run("change_files", {"paths": paths})).result)


@pytest.fixture
def system_v_memory() -> Iterator[int]:
    """A piece of shared memory that another program of the same user has."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = libc.shmget(0, 4096, 0o1600)
    assert number >= 0
    yield number
    libc.shmctl(number, 0, None)


async def test_secrets_and_other_attempts_folders_can_t_be_read(here: Station, tmp_path: Path) -> None:
    async with Victim(here) as victim:
        secrets = tmp_path / ".niyanta"
        paths = [str(secrets), str(secrets / "credentials.json"), victim.folder, f"{victim.folder}/secret"]
        paths += [str(here.scratch), "/etc/shadow", "/root", "/tmp", "/dev/shm"]
        record = await here.run("open_files", {"paths": paths})
        assert_refused(record.result)
        assert (secrets / "credentials.json").read_text() == "the admin's key"


async def test_who_meets_the_box_without_meaning_to_is_told_how_it_is_opened(here: Station) -> None:
    denied = "PermissionError: [Errno 13] Permission denied"
    if Wall.SOCKETS in await here.pool.walls():
        elsewhere = "FileNotFoundError: [Errno 2] No such file or directory"
    else:
        elsewhere = denied
    for place, error in ((HOME, denied), ("/var/tmp", elsewhere)):
        with tempfile.NamedTemporaryFile(dir=place) as file:
            record = await here.run("read_file", {"path": file.name})
        assert record.end.message == f"{error}: '{file.name}'"
        assert "Worker(reads=[…], writes=[…])" in record.lines("ERROR")[-1]
    record = await here.run("read_file", {"path": "missing"})
    assert "Worker(reads=[…], writes=[…])" not in record.lines("ERROR")[-1]


async def test_nothing_is_written_outside(here: Station, tmp_path: Path) -> None:
    folders = [
        str(tmp_path),
        str(FOLDER),
        "/root",
        "/tmp",
        "/var/tmp",
        "/etc",
        "/usr",
        "/sys/fs/cgroup",
    ]
    record = await here.run("write_files", {"folders": folders})
    assert_refused(record.result)
    assert below(tmp_path, "planted*") == []


async def test_what_is_hidden_is_hidden_also_where_all_around_may_be_written_to(tmp_path: Path) -> None:
    hidden, secret = tmp_path / ".niyanta", tmp_path / ".niyanta" / "credentials.json"
    hidden.mkdir()
    secret.write_text("the admin's key")
    missing = tmp_path / "nowhere" / ".niyanta"
    policy = policy_by(Policy(writes=(str(tmp_path),)), {"NIYANTA_HIDDEN": f"{hidden}:{missing}"})
    async with station(tmp_path / "scratch", app=APP, policy=policy) as here:
        if Wall.FILES not in await here.pool.walls():
            pytest.skip("this machine has no wall around files")
        record = await here.run("open_files", {"paths": [str(secret)]})
        assert_refused(record.result)
        record = await here.run("write_files", {"folders": [str(hidden)]})
        assert record.result[f"{hidden} new"] != "open"
        record = await here.run("write_files", {"folders": [str(tmp_path)]})
        assert record.result[f"{tmp_path} new"] == "open"
    assert secret.read_text() == "the admin's key"


async def test_a_strict_type_has_files_and_memory_of_its_own_and_no_network(here: Station, server: int) -> None:
    missing = set(Wall) - {Wall.USER} - set(await here.pool.walls())
    if missing:
        pytest.skip(f"this machine has no walls for {missing}")
    shared = SharedMemory(create=True, size=16)
    try:
        record = await here.run("apart", {"ports": [server], "shared": shared.name})
    finally:
        shared.close()
        shared.unlink()
    found = record.result
    assert found.pop("pool") == [4]
    assert found.pop("interfaces") == ["lo"]
    assert found.pop("own network") is True
    assert found.pop("strangers") == []
    assert_refused(found)
    assert (await here.run("silent", {"port": server})).result["value"] != "open"
    assert (await here.run("connect", {"ports": [server]})).result[f"{server} 127.0.0.1"] == "open"


async def test_the_machine_is_left_alone(here: Station) -> None:
    record = await here.run("change_machine")
    found = record.result
    assert {name: found.pop(name) for name in ("CapPrm", "CapEff", "CapBnd")} == dict.fromkeys(
        ("CapPrm", "CapEff", "CapBnd"), "0" * 16
    )
    assert (found.pop("NoNewPrivs"), found.pop("Seccomp")) == ("1", "2")
    assert_refused(found)


async def test_the_broker_s_port_is_closed_and_others_are_not(here: Station, server: int, closed: int) -> None:
    if Wall.PORTS not in await here.pool.walls():
        pytest.skip("this machine can't close ports")
    record = await here.run("connect", {"ports": [closed]})
    assert_refused(record.result)
    record = await here.run("connect", {"ports": [server]})
    assert record.result[f"{server} 127.0.0.1"] == "open"


@contextlib.contextmanager
def named_socket(place: str) -> Iterator[str]:
    """The path of a socket on which somebody listens."""
    with tempfile.TemporaryDirectory(dir=place) as folder, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{folder}/socket")
        listening.listen(10)
        yield f"{folder}/socket"


@pytest.mark.parametrize("place", ["/run", "/tmp", "/var/tmp"])
async def test_nobody_is_spoken_to_by_a_socket_with_a_name(here: Station, place: str) -> None:
    """A session's bus, a terminal's server, a database: each does for its user what the box keeps from doing."""
    if Wall.SOCKETS not in await here.pool.walls() or not os.access(place, os.W_OK):
        pytest.skip("this machine has no wall before sockets, or none can be made there")
    with named_socket(place) as path:
        assert_refused((await here.run("connect_by_name", {"paths": [path]})).result)


async def test_sockets_elsewhere_are_covered_and_those_that_are_allowed_are_not(tmp_path: Path) -> None:
    policy = policy_by(Policy(writes=(str(tmp_path),)))
    with named_socket(str(HOME)) as other, named_socket(str(tmp_path)) as allowed:
        async with station(tmp_path / "scratch", app=APP, policy=policy) as here:
            if Wall.SOCKETS not in await here.pool.walls():
                pytest.skip("this machine has no wall before sockets")
            found = (await here.run("connect_by_name", {"paths": [other, allowed]})).result
    assert found.pop(allowed) == found.pop(f"{allowed} by link") == "open"
    assert_refused(found)


async def test_the_agent_isn_t_led_to_another_file_by_a_link(here: Station, tmp_path: Path) -> None:
    record = await here.run("plant_checkpoint", {"path": str(tmp_path / ".niyanta" / "credentials.json")})
    assert isinstance(record.end, Failed)
    assert "the checkpoint's file is none" in record.end.message
    assert record.of(CheckpointSaved) == []
    assert below(tmp_path, "checkpoints/**/*") == []


async def test_a_fork_bomb_ends_with_its_attempt(here: Station) -> None:
    attempt, record = here.start("bomb")
    async with asyncio.timeout(60):
        await attempt.task
    assert isinstance(record.end, Failed) or record.result["value"] <= 1024
    assert isinstance((await here.run("stay", {"until": "/usr"})).end, Completed)


async def test_the_disk_isn_t_filled_beside_the_work_directory(here: Station) -> None:
    record = await here.run("fill_disk", disk_mb=64)
    assert isinstance(record.end, Failed)
    assert "more disk than its limit of 64 MB" in record.end.message


async def test_no_daemon_stays(here: Station) -> None:
    record = await here.run("leave_daemon")
    with pytest.raises(ProcessLookupError):
        os.kill(record.result["value"], 0)


async def test_nothing_of_an_attempt_s_folder_is_left(here: Station) -> None:
    await here.run("honest", {"port": 9})  # fails, with its files there
    for attempt, _ in here.attempts.values():
        await attempt.task
    await here.pool.close()
    assert below(here.scratch, "*") == []
