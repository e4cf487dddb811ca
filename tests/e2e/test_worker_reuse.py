"""Processes that serve several attempts: of whom, how many, and what of one the next may find."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from niyanta import ConfigurationError, SyncContext, Worker
from niyanta.wire.messages import Completed, Failed, Paused, Progressed
from niyanta.worker.handlers.link import Ask
from support.apps import reused
from support.pace import pace
from support.station import FOLDER, Station, station

APP = f"{FOLDER / 'reused.py'}:worker"


@pytest.fixture(params=["forked", "fresh"])
async def anyhow(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Station]:
    async with station(tmp_path / "scratch", app=APP, fork=request.param == "forked") as found:
        yield found


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Station]:
    async with station(tmp_path / "scratch", app=APP) as found:
        yield found


async def pid(here: Station, kind: str, params: Any = None, **options: Any) -> int:
    result: dict[str, Any] = (await here.run(kind, params, **options)).result
    return int(result["pid"])


async def gone(number: int, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while psutil.pid_exists(number):
            await asyncio.sleep(0.01)


def names(folder: Path) -> list[str]:
    return [found.name for found in folder.iterdir()]


# --- whose processes they are -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["look", "look_async"])
async def test_a_process_serves_one_attempt_after_another(anyhow: Station, kind: str) -> None:
    results = [(await anyhow.run(kind)).result for _ in range(5)]
    assert len({result["pid"] for result in results}) == 1
    assert [len(result["served"]) for result in results] == [1, 2, 3, 4, 5]


async def test_each_attempt_has_a_directory_of_its_own(here: Station) -> None:
    results = [(await here.run("look")).result for _ in range(3)]
    assert len({result["work_dir"] for result in results}) == 3
    assert all(result["cwd"] == result["work_dir"] and result["files"] == [] for result in results)
    assert [found for slot in names(here.scratch) for found in names(here.scratch / slot / "work")] == []


async def test_no_more_attempts_than_were_allowed(here: Station) -> None:
    pids = [await pid(here, "three") for _ in range(7)]
    assert [pids.index(one) for one in pids] == [0, 0, 0, 3, 3, 3, 6]


async def test_without_reuse_each_has_its_own(here: Station) -> None:
    assert len({await pid(here, "once") for _ in range(3)}) == 3


async def test_no_customer_sees_another_s_process(here: Station) -> None:
    """Also when they run by turns, and at once."""
    mine: dict[str, set[int]] = {"a": set(), "b": set(), "c": set()}
    owner: dict[str, str] = {}
    for _ in range(4):
        running = [(name, *here.start("look", customer=name)) for name in mine for _ in range(2)]
        for name, attempt, record in running:
            await asyncio.wait_for(attempt.task, 30)
            mine[name].add(record.result["pid"])
            owner[record.result["served"][-1]] = name
            assert {owner[workload] for workload in record.result["served"]} == {name}
    assert not mine["a"] & mine["b"]
    assert not mine["b"] & mine["c"]
    assert not mine["a"] & mine["c"]


async def test_no_type_and_no_other_limits_in_the_same_process(here: Station) -> None:
    pids = [
        await pid(here, "look"),
        await pid(here, "change"),
        await pid(here, "look", memory_mb=300),
        await pid(here, "look", disk_mb=77),
        await pid(here, "look", cpu_cores=0.5),
    ]
    assert len(set(pids)) == 5
    assert await pid(here, "look", memory_mb=300) == pids[2]


async def test_no_more_are_kept_than_run_at_once(tmp_path: Path) -> None:
    async with station(tmp_path / "scratch", app=APP, most=2) as here:
        first, second, third = [await pid(here, "look", customer=name) for name in "abc"]
        await gone(first)
        assert await pid(here, "look", customer="c") == third
        assert await pid(here, "look", customer="b") == second


async def test_one_that_waits_too_long_is_ended_as_programs_end(tmp_path: Path) -> None:
    async with station(tmp_path / "scratch", app=APP, rest_seconds=0.1) as here:
        number = await pid(here, "at_exit", {"path": str(tmp_path / "exit handler ran")})
        await gone(number)
        assert "exit handler ran" in names(tmp_path)
        assert await pid(here, "at_exit", {"path": str(tmp_path / "other")}) != number


async def test_the_end_of_the_worker_runs_exit_handlers(tmp_path: Path) -> None:
    async with station(tmp_path / "scratch", app=APP) as here:
        await here.run("at_exit", {"path": str(tmp_path / "exit handler ran")})
    assert "exit handler ran" in names(tmp_path)


async def test_one_that_dies_while_it_waits_is_not_taken(here: Station) -> None:
    first = await pid(here, "look")
    os.kill(first, 9)
    async with asyncio.timeout(20):
        while here.pool.kept:
            await asyncio.sleep(0.005)
    assert await pid(here, "look") != first


async def test_a_launcher_that_dies_takes_them_along(here: Station) -> None:
    result = (await here.run("look")).result
    first = result["pid"]
    os.kill(result["launcher"], 9)
    await gone(first)
    async with asyncio.timeout(20):
        while True:
            record = await here.run("look")
            if isinstance(record.end, Completed):
                break
    assert record.result["pid"] != first
    assert len(record.result["served"]) == 1


# --- what ends a process ------------------------------------------------------------------------------


async def test_one_whose_attempt_failed_is_not_used_again(here: Station) -> None:
    ends = [(await here.run("fails")).end for _ in range(2)]
    assert all(isinstance(end, Failed) for end in ends)
    assert ends[0].message != ends[1].message


async def test_one_that_was_asked_for_a_pause_is_not_used_again(here: Station, tmp_path: Path) -> None:
    """Not even when the wish was withdrawn."""
    go_on = tmp_path / "go on"
    attempt, record = here.start("hold", {"path": str(go_on)}, checkpoint_interval_seconds=3600)
    await record.until(Progressed)
    here.pausing = True
    attempt.ask(Ask.PAUSE)
    await record.until(Paused)
    here.pausing = False
    attempt, record = here.start("hold", {"path": str(go_on)}, checkpoint_interval_seconds=3600)
    await record.until(Progressed)
    attempt.ask(Ask.DRAIN)
    attempt.ask(Ask.DRAIN, wanted=False)
    go_on.touch()
    await asyncio.wait_for(attempt.task, 30)
    number = record.end and isinstance(record.end, Completed) and record.result["pid"]
    assert await pid(here, "hold", {"path": str(go_on)}) != number


async def test_a_cancel_ends_it(here: Station, tmp_path: Path) -> None:
    before = await pid(here, "hold", {"path": str(tmp_path)})
    attempt, record = here.start("hold", {"path": str(tmp_path / "never")})
    await record.until(Progressed)
    attempt.disown()
    await asyncio.wait_for(attempt.task, 30)
    await gone(before)
    assert await pid(here, "hold", {"path": str(tmp_path)}) != before


@pytest.mark.parametrize("what", reused.ENDS_IT)
async def test_what_is_left_behind_ends_it(here: Station, what: str) -> None:
    first = await here.run("change", {"what": what}, memory_mb=512)
    second = await here.run("change", memory_mb=512)
    assert second.result["pid"] != first.result["pid"]
    assert second.result["served"] == []
    await gone(first.result["pid"])


async def test_memory_that_is_shared_with_others_counts_for_nobody(here: Station) -> None:
    pids = [await pid(here, "look", memory_mb=40) for _ in range(3)]
    assert len(set(pids)) == 1


async def test_the_log_says_why_it_is_not_used_again(here: Station) -> None:
    record = await here.run("change", {"what": "thread"})
    assert "the process of this attempt is not used again: it has left left-behind running" in record.lines("INFO")


@pytest.mark.parametrize("what", ["daemon", "orphan", "child"])
async def test_processes_are_ended_with_the_attempt_that_left_them(here: Station, what: str) -> None:
    launcher = psutil.Process((await here.run("change", {"what": what})).result["launcher"])
    names = {one.name() for one in launcher.children(recursive=True)}
    assert names <= {"python", "niyanta-runner"}, "the template, and one that waits"


async def test_without_cgroups_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIYANTA_CGROUPS", "off")
    async with station(tmp_path / "scratch", app=APP) as here:
        first = await pid(here, "change")
        assert await pid(here, "change", {"what": "daemon"}) == first
        assert await pid(here, "change", {"what": "orphan"}) != first


# --- what the next attempt finds ----------------------------------------------------------------------


@pytest.mark.parametrize("what", reused.PUT_BACK)
async def test_what_can_be_put_back_is(here: Station, what: str) -> None:
    first = (await here.run("change", {"what": what})).result
    second = (await here.run("change")).result
    assert second["pid"] == first["pid"]
    for name in ("environ", "native", "umask", "threads", "sigterm", "stdout", "timer"):
        assert second[name] == first[name], name


async def test_output_belongs_to_the_attempt_that_wrote_it(here: Station) -> None:
    records = [await here.run("print", {"word": word}) for word in ("red", "green", "blue")]
    assert len({record.result["pid"] for record in records}) == 1
    for word, record in zip(("red", "green", "blue"), records, strict=True):
        expected = ["printed", "logged", "by a library", "raw", "unfinished", "unfinished error"]
        assert sorted(record.lines()) == sorted(f"{word} {line}" for line in expected)


async def test_an_earlier_attempt_s_context_is_dead(here: Station) -> None:
    records = [await here.run("keep_context") for _ in range(2)]
    assert records[0].result["pid"] == records[1].result["pid"]
    assert records[1].result["refused"] == "the attempt that this context belongs to is over"
    assert records[1].lines() == []
    assert records[1].of(Progressed) == []
    assert here.checkpoints == {}


async def test_open_files_are_flushed_with_each_attempt(here: Station, tmp_path: Path) -> None:
    path = tmp_path / "file"
    pids = []
    for n in range(3):
        pids.append(await pid(here, "write_late", {"path": str(path)}))
        assert path.read_text() == "written\n" * (n + 1)
    assert len(set(pids)) == 1


async def test_a_forgotten_task_is_ended_with_its_attempt(here: Station) -> None:
    for _ in range(3):
        assert (await here.run("look_async")).result["forgotten"] is False
    began = time.monotonic()
    await here.run("look_async")
    assert time.monotonic() - began < 10 * pace()


async def test_a_crowd(here: Station) -> None:
    records = await asyncio.gather(*(here.run("look", customer=f"c{n % 3}", seconds=60) for n in range(60)))
    assert len({record.result["pid"] for record in records}) <= 60
    for n, record in enumerate(records):
        assert all(int(workload.removeprefix("wl_")) % 3 == n % 3 for workload in record.result["served"])


# --- what its author may ask for ----------------------------------------------------------------------


@pytest.mark.parametrize("reuse", [0, -1, True, 1.5, "2", None, 10_000_000])
def test_a_number_that_can_t_work_is_refused(reuse: Any) -> None:
    def handler(ctx: SyncContext) -> None:
        pass

    with pytest.raises(ConfigurationError, match="how many attempts a process may serve"):
        Worker().workload("x", reuse=reuse)(handler)


def test_inline_handlers_have_no_process() -> None:
    async def handler(ctx: Any) -> None:
        pass

    with pytest.raises(ConfigurationError, match="no process to reuse"):
        Worker().workload("x", isolation="inline", reuse=2)(handler)
