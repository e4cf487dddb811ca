"""Attempts under user ids of their own (S28), which root gives them: with the other walls and without any.

``NIYANTA_BOX=off`` takes the others down, so that what is refused is refused by the ids alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from niyanta.domain.workers import Wall
from niyanta.errors import ConfigurationError
from niyanta.wire.messages import CheckpointSaved, Progressed
from niyanta.worker.box.policy import Policy, policy_by
from niyanta.worker.launcher.claim import claim
from niyanta.worker.launcher.pool import ProcessPool
from support.open_ways import open_ways
from support.pace import pace
from support.station import FOLDER, Station, station

APP = f"{FOLDER / 'hostile.py'}:worker"
FIRST = 1_900_000_000 + 1_000 * (os.getpid() % 100_000)
"""Tests that run beside this one have ids of their own."""
LAST = FIRST + 99

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives attempts user ids")


@pytest.fixture(scope="module", autouse=True)
def ways() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(open_ways())
        except OSError as exc:
            pytest.skip(f"other users can't read the interpreter here, and no view lets them: {exc}")
        yield


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder that others may pass through, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder / "scratch"
    shutil.rmtree(folder, ignore_errors=True)


def given(**environment: str) -> Policy:
    return policy_by(Policy(users=(FIRST, LAST)), {"NIYANTA_HIDDEN": "/root/.niyanta", **environment})


@pytest.fixture(params=["forked", "fresh", "forked, no other wall", "fresh, no other wall"])
async def here(request: pytest.FixtureRequest, scratch: Path) -> AsyncIterator[Station]:
    how, _, bare = request.param.partition(", ")
    policy = given(NIYANTA_BOX="off" if bare else "on")
    async with station(scratch, app=APP, fork=how == "forked", policy=policy) as found:
        walls = set(await found.pool.walls())
        assert Wall.USER in walls
        assert (walls == {Wall.USER}) == bool(bare)
        yield found


async def staying(here: Station, customer: str) -> tuple[Any, int, str]:
    attempt, record = here.start("stay", {"until": "/usr/niyanta-never"}, customer=customer)
    said = await record.until(Progressed)
    pid, _, folder = (said.message or "").partition(" ")
    return attempt, int(pid), folder


def user_of(pid: int) -> tuple[int, ...]:
    words = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Uid:"))
    return tuple(map(int, words.split()[1:]))


def assert_refused(found: dict[str, str]) -> None:
    assert found
    assert {name: how for name, how in found.items() if how == "open"} == {}


async def until_gone(user: int) -> None:
    async with asyncio.timeout(20 * pace()):
        while any(user in user_of(int(name)) for name in os.listdir("/proc") if name.isdigit() and exists(name)):
            await asyncio.sleep(0.02)


def exists(pid: str) -> bool:
    try:
        return bool(user_of(int(pid)))
    except (OSError, StopIteration):
        return False


async def test_each_has_its_own_and_can_t_reach_the_others(here: Station) -> None:
    one, pid, folder = await staying(here, "one")
    other, other_pid, _ = await staying(here, "other")
    users = {user_of(pid)[0], user_of(other_pid)[0]}
    assert len(users) == 2
    assert all(FIRST <= user <= LAST for user in users)
    assert len(set(user_of(pid))) == 1
    assert_refused((await here.run("look_at", {"pids": [os.getpid(), pid, other_pid]})).result)
    assert_refused((await here.run("kill_others", {"pids": [os.getpid(), pid, other_pid]})).result)
    paths = [folder, f"{folder}/secret", str(Path(folder).parent), str(here.scratch), "/etc/shadow"]
    assert_refused((await here.run("open_files", {"paths": paths})).result)
    assert (Path(folder) / "secret").read_text() == "of another customer"
    for attempt in (one, other):
        assert not attempt.task.done()
        attempt.disown()
        await attempt.task


async def test_it_has_nothing_of_the_worker_s_and_what_it_leaves_is_removed(here: Station) -> None:
    found = (await here.run("ids")).result
    (user,) = set(found["uids"])
    assert FIRST <= user <= LAST
    assert (set(found["gids"]), found["groups"], found["child"]) == ({user}, [], user)
    assert found["modes"] == ["0o700", "0o700"]
    assert found["capabilities"] == "0" * 16
    assert found["heard"] == "heard"
    # What it left has closed folders in it, so its process may serve no other before they are gone.
    async with asyncio.timeout(20 * pace()):
        while (Path(found["work"]) / "a").exists():
            await asyncio.sleep(0.02)


async def test_a_process_that_serves_several_keeps_its_own(here: Station) -> None:
    found = [(await here.run("ids")).result for _ in range(3)]
    assert len({tuple(each["uids"]) for each in found}) == len({each["pid"] for each in found}) == 1
    assert (await here.run("ids")).result["uids"] != found[0]["uids"]


async def test_it_can_t_lead_the_agent_elsewhere(here: Station) -> None:
    assert_refused((await here.run("move_folder")).result)


async def test_checkpoints_come_and_go(here: Station) -> None:
    assert (await here.run("count_on")).result["value"] == 1
    assert (await here.run("count_on", checkpoint_sequence=1)).result["value"] == 2
    assert (await here.run("count_on", checkpoint_sequence=2)).result["value"] == 3
    saved = (await here.run("count_on", checkpoint_sequence=3)).of(CheckpointSaved)
    assert len(saved) == 1


async def test_programs_run_under_it(here: Station) -> None:
    assert FIRST <= (await here.run("shell")).result["uid"] <= LAST


async def test_an_end_is_the_whole_tree_s(here: Station) -> None:
    attempt, record = here.start("linger", {})
    user = int((await record.until(Progressed)).message or "")
    attempt.disown()
    await attempt.task
    await until_gone(user)
    assert not any(os.lstat(path).st_uid == user for path in list(here.scratch.rglob("*")))


async def test_an_id_comes_back_and_serves_one_at_a_time(scratch: Path) -> None:
    """Of the fewest ids that do, each serves many attempts, and no two processes at once."""
    policy = policy_by(Policy(users=(FIRST, FIRST + 4)), {})
    async with station(scratch, app=APP, most=2, policy=policy) as here:
        seen: list[int] = []
        for _ in range(4):
            records = await asyncio.gather(*(here.run("shell", seconds=60) for _ in range(2)))
            both = [record.result["uid"] for record in records]
            assert len(set(both)) == 2
            seen += both
        assert len(seen) > len(set(seen))


async def test_a_strict_type_has_an_id_too(scratch: Path) -> None:
    async with station(scratch, app=APP, policy=given()) as here:
        missing = set(Wall) - set(await here.pool.walls())
        if missing:
            pytest.skip(f"this machine has no walls for {missing}")
        found = (await here.run("apart", {"ports": [], "shared": "none"})).result
        assert found["strangers"] == []
        assert found["interfaces"] == ["lo"]


@pytest.mark.parametrize(
    ("users", "says"),
    [
        ((FIRST, FIRST + 15), f"{FIRST}-{FIRST + 15} are 16 ids, and this worker needs 17"),
        ((1, 100), "is the user"),
    ],
    ids=["too_few", "of_the_machine"],
)
def test_what_can_t_do_is_refused(users: tuple[int, int], says: str, scratch: Path) -> None:
    scratch.mkdir()
    with pytest.raises(ConfigurationError, match=says):
        ProcessPool([APP], 1, scratch, most=8, policy=Policy(users=users))


async def test_ids_that_another_worker_has_are_refused_until_it_has_ended(scratch: Path) -> None:
    os.mkdir(scratch)
    with other_worker(FIRST + 40, FIRST + 60) as process:
        with pytest.raises(ConfigurationError, match=f"another worker on this machine has {FIRST + 40}-{FIRST + 60}"):
            ProcessPool([APP], 1, scratch, most=8, policy=given())
        beside = ProcessPool([APP], 1, scratch, most=8, policy=Policy(users=(FIRST + 61, FIRST + 99)))
        with pytest.raises(ConfigurationError, match=f"another worker on this machine has {FIRST + 61}-{FIRST + 99}"):
            ProcessPool([APP], 1, scratch, most=8, policy=Policy(users=(FIRST + 99, FIRST + 199)))
        await beside.close()
        process.kill()
        process.wait()
        last = ProcessPool([APP], 1, scratch, most=8, policy=given())
        await last.close()
        await last.close()


@contextlib.contextmanager
def other_worker(first: int, last: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has ids."""
    code = f"from niyanta.worker.launcher.claim import claim; claim({first}, {last}); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n"
            yield process
        finally:
            process.kill()


def test_where_no_file_can_tell_it_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert claim(FIRST, LAST, tmp_path / "none" / "folder" / "file") is None
    assert "worker.uids_unclaimed" in caplog.messages
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert claim(FIRST, LAST, tmp_path / "link") is None
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_others_can_t_reach_is_refused(scratch: Path) -> None:
    scratch.mkdir()
    scratch.parent.chmod(0o700)
    with pytest.raises(ConfigurationError, match=f"other users can't reach {scratch}, as {scratch.parent} is closed"):
        ProcessPool([APP], 1, scratch, most=8, policy=Policy(users=(FIRST, LAST)))


def test_who_isn_t_root_can_t_give_ids(scratch: Path) -> None:
    scratch.mkdir()
    told, tell = os.pipe()
    if (pid := os.fork()) == 0:
        os.setresuid(FIRST, FIRST, FIRST)
        try:
            ProcessPool([APP], 1, scratch, most=8, policy=Policy(users=(FIRST, LAST)))
        except ConfigurationError as exc:
            os.write(tell, str(exc).encode())
        os._exit(0)
    os.close(tell)
    with open(told, "rb") as file:
        assert b"the worker must run as root, or with CAP_CHOWN" in file.read()
    os.waitpid(pid, 0)
