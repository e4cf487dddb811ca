"""What becomes of attempts whose handlers misbehave: real launcher, real processes, no service."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from niyanta.wire.messages import CheckpointSaved, Completed, Failed, Paused, Progressed, Released, Started
from niyanta.worker.handlers.link import Ask
from niyanta.worker.launcher.cgroups import Cgroups
from support.pace import pace
from support.station import Record, Station, station


@pytest.fixture(scope="module")
def kernel() -> dict[str, int]:
    """Which limits the kernel keeps on this machine."""
    groups = Cgroups()
    groups.close()
    return groups.controllers


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Station]:
    async with station(tmp_path / "scratch") as found:
        yield found
    assert not (tmp_path / "scratch").exists()


@pytest.fixture(params=["kernel", "measured"])
async def either(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """With limits kept by the kernel where it can, and by the launcher alone."""
    monkeypatch.setenv("NIYANTA_CGROUPS", "on" if request.param == "kernel" else "off")
    async with station(tmp_path / "scratch") as found:
        yield found


def message(record: Record) -> str:
    assert isinstance(record.end, Failed), record.end
    return record.end.message


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_child", [False, True])
async def test_too_much_memory_ends_the_attempt_and_nothing_else(either: Station, in_child: bool) -> None:
    _, beside = either.start("eat_memory", {"mb": 50, "seconds": 1.5}, memory_mb=200)
    greedy = await either.run("eat_memory", {"mb": 300, "in_child": in_child}, memory_mb=100)
    assert message(greedy).startswith("used more memory than its limit of 100 MB")
    assert not greedy.end.permanent
    await beside.until(Completed)


@pytest.mark.parametrize("groups", ["on", "off"])
async def test_more_memory_than_that_before_it_begins(
    groups: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh interpreter needs more than the limit; a forked one shares what it needs with the template."""
    monkeypatch.setenv("NIYANTA_CGROUPS", groups)
    async with station(tmp_path / "scratch", fork=False) as fresh:
        record = await fresh.run("burn", memory_mb=4)
    assert message(record).startswith("used more memory than its limit of 4 MB")


async def test_processor_time_is_shared_out(here: Station, kernel: dict[str, int]) -> None:
    if "cpu" not in kernel:
        pytest.skip("no writable cpu controller here")
    record = await here.run("burn", cpu_cores=0.25)
    assert record.result["value"] < 0.5


@pytest.mark.parametrize("left", [False, True])
async def test_threads_have_a_bound(here: Station, kernel: dict[str, int], left: bool) -> None:
    if "pids" not in kernel:
        pytest.skip("no writable pids controller here")
    record = await here.run("many_threads", {"left": left})
    assert 500 < record.result["value"] < 1024


@pytest.mark.parametrize("one_file", [False, True])
async def test_too_much_disk(here: Station, one_file: bool) -> None:
    record = await here.run("fill_disk", {"mb": 40, "one_file": one_file}, disk_mb=20)
    assert ("File too large" if one_file else "used more disk than its limit of 20 MB") in message(record)


async def test_a_real_time_agent_has_ordinary_attempts(tmp_path: Path) -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        pytest.skip("only root may do that")
    try:
        async with station(tmp_path / "scratch") as here:
            assert (await here.run("end", {"how": "nothing"})).result == {}
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


# --- ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", [False, True])
async def test_a_daemon_dies_with_its_attempt(either: Station, tmp_path: Path, waits: bool) -> None:
    pid_file = tmp_path / "pid"
    attempt, record = either.start("daemonize", {"pid_file": str(pid_file), "wait": waits})
    await record.until(Progressed)
    if waits:
        attempt.disown()
    await attempt.task
    # The attempt is over only once nothing of it is left.
    assert gone(int(pid_file.read_text()))
    assert isinstance(record.end, Completed) is not waits


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"how": "segfault"}, "ended without a result (signal SIGSEGV)"),
        ({"how": "kill"}, "ended without a result (signal SIGKILL)"),
        ({"how": "_exit", "code": 0}, "ended without a result (exit status 0)"),
        ({"how": "_exit", "code": 3}, "ended without a result (exit status 3)"),
        ({"how": "sys.exit", "code": 4}, "ended without a result (exit status 4)"),
        ({"how": "deep"}, "nested deeper than 64 levels"),
        ({"how": "recursion"}, "RecursionError"),
    ],
)
async def test_ends_without_a_result(here: Station, params: dict[str, Any], says: str) -> None:
    assert says in message(await here.run("end", params, seconds=10))


async def test_text_that_can_not_be_stored_costs_no_result(here: Station) -> None:
    record = await here.run("end", {"how": "unfit"})
    assert record.result == {"re\ufffd\ufffdsult": "\ufffd"}
    assert "log\ufffd\ufffdline" in record.lines()
    assert [p.message for p in record.of(Progressed)] == ["pro\ufffd\ufffdgress"]
    failed = await here.run("end", {"how": "unfit_error"})
    assert message(failed).startswith("er\ufffd\ufffdror")
    assert len(message(failed).encode()) <= 8192
    assert failed.end.permanent


def _command(process: psutil.Process) -> str:
    """Of one that still runs; one that only waits to be reaped runs no more."""
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


async def test_what_ignores_the_signal_is_killed_with_its_children(here: Station) -> None:
    began = time.monotonic()
    attempt, record = here.start("stubborn", timeout_seconds=1)
    await record.until(Progressed)
    children = psutil.Process().children(recursive=True)
    assert len(children) >= 4  # launcher, warm process, runner, its child
    await attempt.task
    assert record.end == Failed("timed out after 1 s", timed_out=True)
    assert 5 < time.monotonic() - began < 10 * pace()
    assert [child for child in children if "trap" in _command(child)] == []


@pytest.mark.parametrize("kind", ["tidy", "tidy_async"])
async def test_a_time_out_leaves_time_to_clean_up(here: Station, kind: str) -> None:
    record = await here.run(kind, timeout_seconds=1)
    assert record.end == Failed("timed out after 1 s", timed_out=True)
    assert any(line.startswith("cleaned up") for line in record.lines())
    assert len(record.of(CheckpointSaved)) == (1 if kind == "tidy_async" else 0)


@pytest.mark.parametrize("kind", ["tidy", "tidy_async"])
async def test_a_cancelled_attempt_ends_and_says_nothing_more(here: Station, kind: str) -> None:
    attempt, record = here.start(kind)
    await record.until(Progressed)
    attempt.disown()
    count = len(record.events)
    async with asyncio.timeout(4):
        await attempt.task
    assert len(record.events) == count


async def test_an_attempt_cancelled_while_it_gets_ready_never_starts(here: Station) -> None:
    attempt, record = here.start("tidy")
    attempt.disown()
    await attempt.task
    assert record.events == []
    assert (await here.run("end", {"how": "nothing"})).result == {}


# --- pause and drain ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["saver", "saver_async", "saver_inline", "swallow", "steps", "on_signal"])
async def test_a_pause_ends_the_attempt_at_its_checkpoint(here: Station, kind: str) -> None:
    attempt, record = here.start(kind, checkpoint_interval_seconds=600.0)
    await record.until(Started)
    if kind == "on_signal":
        await record.until(Progressed)  # the program has set its trap
    here.pausing = True
    attempt.ask(Ask.PAUSE)
    async with asyncio.timeout(15):
        await attempt.task
    assert isinstance(record.end, Paused)
    assert record.events[-1] is record.end
    if kind.startswith("saver"):
        assert record.lines("WARN") == ["no checkpoint by checkpoint_with: RuntimeError: not yet"]


async def test_a_withdrawn_pause_leaves_the_drain_in_place(here: Station) -> None:
    attempt, record = here.start("saver_async", checkpoint_interval_seconds=600.0)
    await record.until(Started)
    attempt.ask(Ask.PAUSE)
    attempt.ask(Ask.DRAIN)
    attempt.ask(Ask.PAUSE, wanted=False)
    await attempt.task
    assert record.end == Released("drained")


async def test_a_drain_without_a_checkpoint_hands_back_all_the_same(here: Station) -> None:
    attempt, record = here.start("tidy")
    await record.until(Progressed)
    attempt.hand_back("the worker stopped")
    await attempt.task
    assert record.end == Released("the worker stopped")
    assert "cleaned up; cancelled=True" in record.lines()


# --- inline -------------------------------------------------------------------------------------


async def test_inline_handlers(here: Station) -> None:
    first, second = [(await here.run("scratch_inline")).result["value"] for _ in range(2)]
    assert first != second
    assert list(here.scratch.glob("wl_*")) == []
    assert message(await here.run("own_timeout_inline")) == "TimeoutError: mine"
    assert "SystemExit(3)" in message(await here.run("exit_inline"))


async def test_an_inline_handler_that_can_not_be_cancelled_is_given_up(
    here: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("niyanta.worker.attempt.inline.GRACE_SECONDS", 0.2)
    record = await here.run("swallow_inline", timeout_seconds=1, seconds=5)
    assert record.end == Failed("timed out after 1 s", timed_out=True)
    assert any("gives it up" in line for line in record.lines("ERROR"))
    left = [task for task in asyncio.all_tasks() if "awaited()" in repr(task)]
    assert len(left) == 1
    while not left[0].done():  # it gives in later, and that harms nothing
        left[0].cancel()
        await asyncio.wait(left, timeout=0.1)


# --- floods -------------------------------------------------------------------------------------


def dropped(record: Record) -> int:
    found = [re.match(r"(\d+) log lines were dropped", line) for line in record.lines("WARN")]
    return sum(int(match.group(1)) for match in found if match)


@pytest.mark.parametrize(
    ("kind", "count", "lines"),
    [("bytes", 300, 300 * 128), ("lines", 300_000, 300_000), ("log", 100_000, 100_000)],
)
async def test_a_flood_is_dropped_and_counted(here: Station, kind: str, count: int, lines: int) -> None:
    before = psutil.Process().memory_info().rss
    record = await here.run("flood", {"kind": kind, "count": count})
    assert record.result == {"value": "done"}
    assert psutil.Process().memory_info().rss - before < 80 << 20
    kept = len(record.lines("INFO"))
    assert 4_000 <= kept < 30_000
    assert kept + dropped(record) == lines


# --- commands -----------------------------------------------------------------------------------


async def test_a_command_s_surroundings_and_events(here: Station) -> None:
    record = await here.run("events", {"a": 1}, config_json=b'{"b": 2}')
    result = record.result
    assert result["cwd"] == result["dir"]
    assert Path(result["dir"]).name == "work"
    assert result["input"] == {"input_params": {"a": 1}, "config": {"b": 2}}
    assert result["attempt"] == 1
    assert [(p.percent, p.message) for p in record.of(Progressed)] == [(30, "a third")]
    assert record.lines("ERROR") == ["bad"]
    assert record.lines("WARN") == ["complaint"]
    plain = [line for line in record.lines("INFO") if not line.startswith("yyy")]
    assert plain == ['{"type": "unknown"}', "{not json", '{"type": "log", "message": "\ufffd"}', "plain"]
    assert max(len(line) for line in record.lines()) <= 8192


async def test_what_a_command_leaves_running_holds_nothing_up(here: Station) -> None:
    record = await here.run("leaves_behind", seconds=15)
    assert record.result == {}
    assert gone(int(record.lines("INFO")[0]))


@pytest.mark.parametrize(
    ("kind", "says", "permanent"),
    [
        ("exits", "'sh' ended with exit status 7", False),
        ("says_permanent", "no such codec", True),
        ("says_transient", "busy", False),
        ("bad_result", "the result file is not JSON", True),
        ("large_result", "the result file is larger than the limit of 1048576 bytes", True),
        ("missing", "'/no/such/program' can't be started: No such file or directory", True),
    ],
)
async def test_how_commands_fail(here: Station, kind: str, says: str, permanent: bool) -> None:
    record = await here.run(kind)
    assert says in message(record)
    assert record.end.permanent is permanent


async def test_a_command_s_file_beyond_the_disk_limit(here: Station) -> None:
    record = await here.run("large_file", disk_mb=5)
    assert message(record) == "'sh' ended with signal SIGXFSZ: a file grew beyond the disk limit"


async def test_a_command_goes_on_from_its_checkpoint(here: Station) -> None:
    attempt, record = here.start("steps")
    for _ in range(5):
        await record.until(CheckpointSaved)
        record.events.clear()
    here.pausing = True
    attempt.ask(Ask.PAUSE)
    await attempt.task
    assert isinstance(record.end, Paused)
    here.pausing = False
    newest = max(here.checkpoints)
    assert here.checkpoints[newest].encoding == "bytes"
    again, resumed = here.start("steps", checkpoint_sequence=newest)
    await resumed.until(CheckpointSaved)
    assert resumed.lines("INFO")[0] == f"begin at {int(here.checkpoints[newest].data)}"
    again.disown()


async def test_what_a_handler_has_started_may_tidy_up_when_the_handler_is_gone(here: Station, tmp_path: Path) -> None:
    record = await here.run("leave_a_tidy_child", {"file": str(tmp_path / "file")}, timeout_seconds=1)
    assert record.end == Failed("timed out after 1 s", timed_out=True)
    assert (tmp_path / "file").read_text() == "tidied\n"


async def test_the_signal_reaches_a_command_and_its_children(here: Station) -> None:
    record = await here.run("family", timeout_seconds=1)
    assert record.end == Failed("timed out after 1 s", timed_out=True)
    assert {"parent got it", "child got it"} <= set(record.lines("INFO"))
