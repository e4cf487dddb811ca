"""What becomes of handlers that fork, take signals, log and end as Python programs do."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop

from niyanta import ConfigurationError, Worker
from niyanta.wire.messages import CheckpointSaved, Completed, Failed, Paused, Progressed, Released
from niyanta.worker.handlers.link import Ask
from support.pace import pace
from support.station import FOLDER, Record, Station, station

APP = f"{FOLDER / 'unruly.py'}:worker"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Station]:
    async with station(tmp_path / "scratch", app=APP) as found:
        yield found


def message(record: Record) -> str:
    assert isinstance(record.end, Failed), record.end
    return record.end.message


def noise(record: Record) -> list[str]:
    return [line for line in record.lines() if "Traceback" in line or "Exception" in line or 'File "' in line]


@pytest.mark.parametrize("kind", ["pool_then_save", "pool_then_save_sync"])
async def test_a_pool_and_a_save_after_it(here: Station, kind: str) -> None:
    for _ in range(3):
        record = await here.run(kind)
        assert len(record.result["value"]) == 4
        assert noise(record) == []


@pytest.mark.parametrize("kind", ["terminate_child", "terminate_child_sync", "terminate_child_inline"])
async def test_a_signal_for_a_child_is_the_child_s(here: Station, kind: str) -> None:
    heard: list[int] = []
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, heard.append, 1)
    try:
        record = await here.run(kind, seconds=15)
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    assert record.result == {"value": -signal.SIGTERM}
    assert heard == []
    assert noise(record) == []


@pytest.mark.parametrize("kind", ["busy_pool", "busy_pool_closed_sync", "busy_executor", "child_left"])
async def test_processes_that_are_left_over_hold_nothing_up(here: Station, kind: str) -> None:
    began = time.monotonic()
    record = await here.run(kind, seconds=15 * pace())
    assert record.result == {"value": "done"}
    assert time.monotonic() - began < 10 * pace()
    assert noise(record) == []


@pytest.mark.parametrize(
    "kind", ["pool_then_save", "terminate_child", "busy_pool", "save_in_child", "order", "timer_reports"]
)
async def test_the_same_in_an_interpreter_of_its_own(tmp_path: Path, kind: str) -> None:
    async with station(tmp_path / "scratch", app=APP, fork=False) as here:
        record = await here.run(kind, seconds=40)
        assert isinstance(record.end, Completed), record.end
        assert noise(record) == []


async def test_an_executor_in_an_event_loop(here: Station) -> None:
    assert (await here.run("executor_in_loop")).result == {"value": [n * n for n in range(20)]}


@pytest.mark.parametrize("kind", ["bare_fork", "bare_fork_async", "bare_fork_inline"])
@pytest.mark.parametrize(
    ("how", "status", "says"),
    [
        ("returns", 70, "a process that the handler forked returned from it"),
        ("raises", 70, "a process that the handler forked left it with ValueError: the child's own"),
        ("exits", 3, None),
    ],
)
async def test_a_forked_process_ends_itself(
    here: Station, capfd: pytest.CaptureFixture[str], kind: str, how: str, status: int, says: str | None
) -> None:
    record = await here.run(kind, {"how": how}, seconds=15)
    assert record.result == {"value": f"parent saw {status}"}
    said = "\n".join([*record.lines("WARN"), capfd.readouterr().err])
    assert (says in said) if says else (said.strip() == "")
    assert "Traceback" not in said


@pytest.mark.parametrize("kind", ["fork_and_await", "fork_and_await_inline", "fork_in_task_inline"])
async def test_a_forked_process_never_goes_on_in_the_event_loop(
    here: Station, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    record = await here.run(kind, seconds=15)
    assert record.result == {"value": "parent saw 70"}
    said = "\n".join([*record.lines("WARN"), capfd.readouterr().err])
    assert "a process that the handler forked" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("how", "child", "status"),
    [
        ("task", "returns", 70),
        ("task", "awaits", 70),
        ("task", "raises", 70),
        ("task", "is_cancelled", 70),
        ("task", "exits", 3),
        ("gather", "awaits", 70),
        ("group", "raises", 70),
        ("nested", "returns", 70),
        ("nested", "exits", 3),
        ("thread", "returns", 70),
        ("callback", "returns", 70),
        ("callback", "raises", 70),
        ("callback", "exits", 3),
        ("timer", "returns", 70),
        ("reader", "returns", 70),
        ("bare", "returns", 70),
    ],
)
def test_a_process_forked_beside_an_inline_handler_runs_nothing_of_the_agent_s(
    run: Any, how: str, child: str, status: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def of_the_agent() -> None:
        while True:
            with open(tmp_path / "ran", "a") as file:  # noqa: ASYNC230
                file.write(f"{os.getpid()}\n")
            await asyncio.sleep(0)

    async def record() -> Record:
        async with station(tmp_path / "scratch", app=APP) as here:
            agent = asyncio.create_task(of_the_agent())
            params = {"how": how, "child": child, "here": str(tmp_path / "ran")}
            found = await here.run("fork_beside_inline", params, seconds=20)
            agent.cancel()
            return found

    assert run(record()).result == {"status": status, "strangers": []}
    said = capfd.readouterr().err
    assert ("a process that the handler forked" in said) == (status == 70)
    assert "Traceback" not in said


async def test_forks_inline_harm_no_attempt_beside_them(here: Station) -> None:
    kinds = [
        "pool_then_save",
        "terminate_child_inline",
        "fork_in_task_inline",
        "fork_and_await_inline",
        "loggers_async",
    ]
    for record in await asyncio.gather(*(here.run(kind, seconds=40) for kind in kinds * 2)):
        assert isinstance(record.end, Completed), record.end


@pytest.mark.parametrize("kind", ["save_in_child", "save_in_child_async"])
async def test_a_save_from_a_forked_process_is_refused_and_harms_no_other(here: Station, kind: str) -> None:
    record = await here.run(kind, seconds=15)
    assert record.result["parent"] == 1
    assert "can't save checkpoints" in record.result["child"]
    assert [saved.data for saved in record.of(CheckpointSaved)] == [b'{"parent":1}']


async def test_a_forked_process_may_log(here: Station) -> None:
    record = await here.run("log_in_child")
    assert record.result == {"value": True}
    assert {"an info from the child", "printed by the child"} <= set(record.lines("INFO"))
    assert record.lines("WARN") == ["a warning from the child"]
    assert [line for line in record.lines() if line.startswith("parent")] == [f"parent {n}" for n in range(50)]


# --- signals ------------------------------------------------------------------------------------


async def test_a_signal_handler_may_report_in_the_middle_of_a_report(here: Station) -> None:
    record = await here.run("timer_reports", seconds=20)
    assert isinstance(record.end, Completed), record.end
    said = record.lines() + [p.message for p in record.of(Progressed) if p.message]
    assert any(line.startswith("tick") for line in said)
    assert all(line.startswith(("tick ", "tock ", "step ", "xxx")) or "were dropped" in line for line in said)


async def test_a_sigterm_handler_of_the_handler_s_own_may_log(here: Station) -> None:
    attempt, record = here.start("own_sigterm")
    await record.until(Progressed)
    attempt.hand_back("the worker stopped")
    async with asyncio.timeout(20):
        await attempt.task
    assert record.end == Released("the worker stopped")
    assert "stopping" in [p.message for p in record.of(Progressed)]


async def test_tools_end_by_the_signals_that_end_tools(here: Station) -> None:
    ends = (await here.run("signals_of_tools")).result
    assert ends == {name: -getattr(signal, name) for name in ("SIGINT", "SIGHUP", "SIGTERM", "SIGPIPE")}


async def test_an_interrupt_is_heard(here: Station) -> None:
    assert (await here.run("interrupts_itself")).result == {"value": "interrupted"}


# --- ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("beside", [None, "thread", "executor", "exit"])
@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("returns", None),
        ("interrupt", "KeyboardInterrupt"),
        ("own", "OwnEnd: of its own kind"),
        ("exit_text", "the workload's process ended without a result (exit status 1): no licence left"),
        ("exit_code", "the workload's process ended without a result (exit status 4)"),
        ("error", "ValueError: broken"),
    ],
)
async def test_every_end_is_an_end(here: Station, tmp_path: Path, how: str, says: str | None, beside: str) -> None:
    began = time.monotonic()
    record = await here.run(
        "ends", {"how": how, "beside": beside, "left": str(tmp_path / "left")}, seconds=20 * pace()
    )
    if says is None:
        assert record.result == {"value": "done"}
    else:
        assert message(record) == says
        assert not record.end.permanent
    assert time.monotonic() - began < 12 * pace()
    assert (tmp_path / "left").read_text() == "flushed"
    if beside != "exit":  # what was registered later runs earlier
        assert (tmp_path / "exit").read_text() == "ran"
    given_up = [line for line in record.lines("WARN") if "given up" in line]
    assert len(given_up) == (0 if beside is None else 1)


@pytest.mark.parametrize("beside", [None, "task", "stubborn_task", "to_thread"])
@pytest.mark.parametrize("how", ["returns", "interrupt", "exit_text", "own"])
async def test_every_end_of_an_async_handler_too(here: Station, tmp_path: Path, how: str, beside: str) -> None:
    record = await here.run("ends_async", {"how": how, "beside": beside, "left": str(tmp_path / "left")}, seconds=20)
    if how == "returns":
        assert record.result == {"value": "done"}
    else:
        says = {"interrupt": "KeyboardInterrupt", "exit_text": "no licence left", "own": "OwnEnd"}
        assert says[how] in message(record)
    assert (tmp_path / "left").read_text() == "flushed"
    assert (tmp_path / "exit").read_text() == "ran"


@pytest.mark.parametrize("beside", [None, "thread"])
async def test_a_pause_lets_it_end_as_well(here: Station, tmp_path: Path, beside: str | None) -> None:
    attempt, record = here.start("ends", {"how": "save", "beside": beside, "left": str(tmp_path / "left")})
    await record.until(CheckpointSaved)
    here.pausing = True
    attempt.ask(Ask.PAUSE)
    async with asyncio.timeout(15):
        await attempt.task
    assert record.end == Paused()
    assert (tmp_path / "left").read_text() == "flushed"
    assert (tmp_path / "exit").read_text() == "ran"


@pytest.mark.parametrize("params", [{}, {"save": True}, {"wait": True}])
async def test_a_closed_channel_ends_the_process(here: Station, params: dict[str, Any]) -> None:
    if params.get("wait"):
        params = {**params}
    record = await here.run("closes_descriptors", params, seconds=20, timeout_seconds=3)
    assert isinstance(record.end, Failed)
    if not params.get("wait"):
        assert any("can't be reached any more" in line for line in record.lines("WARN"))


# --- output -------------------------------------------------------------------------------------


async def test_what_libraries_log_is_in_the_log(here: Station) -> None:
    record = await here.run("loggers")
    assert record.lines("INFO") == ["library info", "root info"]
    assert record.lines("DEBUG") == []
    assert "library warning" in record.lines("WARN")
    assert any("a warning of Python" in line for line in record.lines("WARN"))
    assert {"library info", "thread info"} <= set((await here.run("loggers_async")).lines("INFO"))


async def test_what_libraries_log_inline_is_in_the_log_of_its_own_workload(here: Station) -> None:
    runs = [here.start("loggers_inline", {"name": name}) for name in ("a", "b", "c")]
    await asyncio.gather(*(attempt.task for attempt, _ in runs))
    for (_, record), name in zip(runs, "abc", strict=True):
        assert record.lines("INFO") == [f"library info {name}", f"task info {name}", f"thread info {name}"]


async def test_what_is_said_comes_out_in_order(here: Station) -> None:
    record = await here.run("order")
    said = []
    for event in record.events:
        text = getattr(event, "message", None)
        if text and text.isdigit():
            said.append(int(text))
    assert said == list(range(300))


async def test_a_line_in_the_middle_of_a_line(here: Station) -> None:
    assert (await here.run("partial_lines")).lines() == ["between", "one, two"]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("style", ["before", "after", "erase"])
@pytest.mark.parametrize("newline", [True, False])
async def test_of_a_progress_bar_the_last_state_stays(here: Station, stream: str, style: str, newline: bool) -> None:
    record = await here.run("bar", {"stream": stream, "style": style, "newline": newline})
    lines = record.lines()
    assert [line.replace("\x1b[2K", "") for line in lines] == ["100%|" + "#" * 100, *(["done"] if newline else [])]


async def test_lines_that_end_as_in_dos(here: Station) -> None:
    assert (await here.run("dos_lines")).lines() == ["one", "two", "three", "four"]


# --- what a process may say ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "what",
    [
        "ext",
        "deep_ext",
        "large_details",
        "number_as_key",
        "level",
        "percent",
        "percent_text",
        "message",
        "not_utf8",
        "infinite",
        "nan",
        "nul",
        "half",
        "large_number",
        "list",
        "empty",
        "twice",
        "deep",
        "very_deep",
        "large",
        "encoding",
        "other_file",
        "unknown",
        "garbage",
        "no_message",
    ],
)
async def test_what_can_not_be_passed_on_ends_the_attempt_that_said_it(here: Station, what: str) -> None:
    attempt, beside = here.start("own_sigterm")
    await beside.until(Progressed)
    record = await here.run("speaks_for_itself", {"what": what}, seconds=15)
    assert isinstance(record.end, Failed)
    assert record.end.permanent
    assert record.end.message
    for event in record.events:
        msgspec.json.encode(event)
    assert beside.end is None
    attempt.disown()
    await attempt.task


@pytest.mark.parametrize("kind", ["writes_infinite", "writes_latin", "writes_text"])
async def test_results_of_programs_are_looked_over_as_well(here: Station, kind: str) -> None:
    record = await here.run(kind)
    assert message(record).startswith("the result file is not JSON")
    assert record.end.permanent


# --- what it finds ------------------------------------------------------------------------------


@pytest.mark.parametrize("fork", [True, False])
async def test_variables_pass_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fork: bool) -> None:
    monkeypatch.setenv("NIYANTA_TEST_KEY", "k")
    monkeypatch.setenv("NIYANTA_TEST_OTHER", "o")
    async with station(tmp_path / "scratch", app=APP, fork=fork, pass_env=["NIYANTA_TEST_KEY"]) as here:
        assert (await here.run("environment")).result == {"NIYANTA_TEST_KEY": "k"}


async def test_a_coroutine_that_nobody_awaits_is_no_result(here: Station) -> None:
    record = await here.run("unseen_coroutine")
    assert "made a coroutine that nobody awaits" in message(record)
    assert record.end.permanent


@pytest.mark.parametrize("names", ["NIYANTA_API_KEY", ["A B"], [""], [5], ["A=B"]])
def test_names_of_variables_that_are_none(names: Any) -> None:
    with pytest.raises(ConfigurationError, match="pass_env"):
        Worker(pass_env=names)


def test_included_workers_bring_their_variables() -> None:
    outer, inner = Worker(id="w", pass_env=["A"]), Worker(pass_env=["B"])
    outer.include(inner)
    assert outer.spec().reach.pass_env == ("A", "B")
