"""Whatever of the standard library a handler reaches for: it ends, soon and clearly, and what it saved is saved."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from niyanta.domain.limits import MAX_TEXT_BYTES
from niyanta.wire.messages import CheckpointSaved, Completed, Failed, Progressed, Released
from support.station import FOLDER, Station, station

APP = f"{FOLDER / 'headlong.py'}:worker"
NO_RESULT = "the workload's process ended without a result"

SAVED_ONCE: dict[str, Any] = {
    "sets_the_start_method": [0, 1, 4],
    "an_executor_that_spawns": [0, 1, 4, 9],
    "an_executor_of_forks_in_a_thread": [0, 1, 4, 9],
    "a_server_that_forks": ["child"],
    "kills_its_children": 3,
    "waits_for_any_child": 1,
    "hears_of_its_children": 1,
    "waits_for_signals_in_a_thread": "SIGUSR1",
    "is_woken_through_a_descriptor": 10,
    "pauses_until_an_alarm": "woken",
    "shows_its_stack_on_a_signal": "done",
    "hears_signals_in_its_loop": ["SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1"],
    "copies_its_context": ["refused", "refused"],
    **dict.fromkeys(
        (
            "another_kind_of_loop", "any_kind_of_loop", "a_save_from_a_thread_by_the_loop",
            "a_save_from_a_thread_by_the_loop_inline", "imports_itself_again", "freezes_its_garbage",
        ),
    ),
}  # fmt: skip
"""What handlers return that save one checkpoint; None for its sequence."""

RETURNING: dict[str, Any] = {
    "pipes_and_barriers": [3, 1, 2],
    "old_ways_to_run_programs": [4, "popen", 5, 6],
    "programs_in_a_loop": [3, "given", "42", -15],
    "programs_in_a_loop_inline": [3, "given", "42", -15],
    "a_server_of_threads": 200,
    "variables_of_a_context": [*["handler"] * 4, "nobody"],
    "variables_of_a_context_inline": [*["handler"] * 4, "nobody"],
    "runs_a_file": 42,
    "logs_into_files": "INFO:own:in a file\nin a file",
    "writes_where_output_was": "caught",
    "turns_its_output_over": "in a file",
    **dict.fromkeys(
        (
            "a_pool_of_threads_is_left", "the_shell_leaves_something", "a_program_in_a_loop_is_left",
            "opens_a_prompt", "stops_in_the_debugger_after_an_error",
            "reports_nonsense", "draws_with_rich", "moves_the_cursor", "logs_in_its_own_levels", "turns_logging_off",
        ),
        "done",
    ),
}  # fmt: skip

LEAVING = (
    "leaves_a_deep_folder",
    "leaves_odd_files",
    "leaves_many_files",
    "removes_its_folder",
    "may_create_nothing",
)
"""Handlers that return where their scratch directory was."""

FAILED = {
    "the_shell_fails": "CalledProcessError: Command 'echo no such disk >&2; exit 7' returned non-zero exit status 7",
    "stops_in_the_debugger": "BdbQuit",
    "asks_for_a_password": "EOFError",
    "reads_a_command_line": f"{NO_RESULT} (exit status 2)",
    "is_a_command": f"{NO_RESULT} (exit status 0)",
    "runs_tests": f"{NO_RESULT} (exit status 1)",
    "a_group_in_which_one_fails": "ValueError: one of several",
    "a_group_in_which_one_fails_inline": "ValueError: one of several",
}

RAISED = {
    "called": "CalledProcessError: Command '['false']' returned non-zero exit status 1",
    "late": "TimeoutExpired: Command '['sleep', '60']' timed out after ",
    "invalid": "ValidationError: 1 validation error for Input",
    "unfit": "ValidationError: Expected `int`, got `str`",
    "refused": "URLError: <urlopen error",
    "nothing": "PermanentError",
    "missing": "KeyError: 'key'",
    "in_a_child": "of a child",
    "BrokenPipeError": "BrokenPipeError: mine",
    "ConnectionResetError": "ConnectionResetError: mine",
    "ConnectionError": "ConnectionError: mine",
    "EOFError": "EOFError: mine",
    "TimeoutError": "TimeoutError: mine",
    "BlockingIOError": "BlockingIOError: mine",
    "InterruptedError": "InterruptedError: mine",
    "ChildProcessError": "ChildProcessError: mine",
    "ProcessLookupError": "ProcessLookupError: mine",
    "IncompleteReadError": "IncompleteReadError: 0 bytes read on a total of 5 expected bytes",
    "InvalidStateError": "InvalidStateError: mine",
    "QueueEmpty": "QueueEmpty: mine",
    "CheckpointError": "CheckpointError: mine",
    "OwnError": "mine",
}
PERMANENT = {"nothing", "in_a_child", "OwnError"}

RETURNED: dict[str, Any] = {
    "model": {"count": 5},
    "model_within": {"all": [{"count": 5}]},
    "struct": {"x": 5, "tags": ["a"]},
    "struct_within": {"all": [{"x": 5, "tags": []}]},
    "range_list": {"value": list(range(10_000))},
    "huge_text": {"value": "x" * 900_000},
    "decimal_text": {"value": str(10**300)},
}
REFUSED = {
    "bytes_io": "is a BytesIO",
    "exception_group": "is a ExceptionGroup",
    "completed_process": "is a CompletedProcess",
    "lambda": "is a function",
    "context_variable": "is a ContextVar",
    "logger": "is a Logger",
    "thread": "is a _MainThread",
    "lock": "is a lock",
    "task": "is a Future",
    "undefined": "is a UnsetType",
    "raw": "is a Raw",
}
SAVED = ("range_list", "huge_text", "decimal_text")


@pytest.fixture
async def here() -> AsyncIterator[Station]:
    """In a folder with a name as short as a worker's own has: the path of a socket has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="n-") as folder:
        async with station(Path(folder) / "scratch", app=APP) as found:
            yield found


async def test_every_handler_is_looked_at_here(here: Station) -> None:
    others = {"raises", "raises_async", "raises_async_inline", "returns", "saves", "keeps_its_stop_to_itself"}
    others |= {"saves_very_often", "goes_on_after_its_end", "changes_its_parameters"}
    others |= {
        f"{kind}{how}" for kind in ("scopes_that_are_cancelled", "a_save_that_is_given_up") for how in ("", "_inline")
    }
    assert set(here.handlers) == {*SAVED_ONCE, *RETURNING, *LEAVING, *FAILED, *others}


async def test_what_is_saved_beside_something_odd_is_saved(here: Station) -> None:
    for (kind, wanted), record in zip(SAVED_ONCE.items(), await here.run_kinds(SAVED_ONCE), strict=True):
        assert isinstance(record.end, Completed), (kind, record.end)
        assert len(record.of(CheckpointSaved)) == 1, kind
        if wanted is not None:
            assert record.result == {"value": wanted}, kind
        assert not any("can't be reached" in line for line in record.lines()), kind


async def test_what_can_be_done_is_done(here: Station) -> None:
    records = await here.run_kinds(RETURNING)
    for (kind, wanted), record in zip(RETURNING.items(), records, strict=True):
        assert isinstance(record.end, Completed), (kind, record.end)
        assert record.result == {"value": wanted}, kind
    said = dict(zip(RETURNING, (record.lines() for record in records), strict=True))
    assert "FROM THE SHELL" in said["the_shell_leaves_something"]
    assert said["runs_a_file"] == ["in a script True"]
    assert "a heading" in said["draws_with_rich"]
    assert any(line.startswith("drawn") and "100%" in line for line in said["draws_with_rich"])
    assert len(said["draws_with_rich"]) < 10
    assert said["moves_the_cursor"][-1].endswith("after")
    assert {"a notice", "nearly critical", "critical", "adapted"} <= {
        line.splitlines()[0] for line in said["logs_in_its_own_levels"]
    }
    assert "a whisper" not in said["logs_in_its_own_levels"]
    assert said["turns_logging_off"] == ["printed"]  # as the standard library has it
    assert said["logs_into_files"] == ["by ctx"]
    assert {"by the first stream", "by its number", "by its name"} <= set(said["writes_where_output_was"])
    assert said["turns_its_output_over"] == ["back again"]


async def test_scopes_and_saves_that_are_given_up_leave_the_next_alone(here: Station) -> None:
    for how in ("", "_inline"):
        record = await here.run(f"scopes_that_are_cancelled{how}")
        assert record.result == {"value": [True, 1]}
        before = len(here.checkpoints)
        record = await here.run(f"a_save_that_is_given_up{how}")
        saved = [one.data for one in record.of(CheckpointSaved)]
        assert saved[-2:] == [b'{"x":3}', b'{"x":4}']
        last = len(here.checkpoints)
        assert record.result == {"value": [last - 1, last]}
        assert last == before + len(saved)
        here.checkpoints.clear()


async def test_a_state_is_what_it_was_when_it_was_saved(here: Station) -> None:
    record = await here.run("changes_its_parameters")
    assert [one.data for one in record.of(CheckpointSaved)] == [b'{"rows":[1]}', b'{"rows":[1,2]}']
    record = await here.run("saves_very_often", seconds=120)
    assert len(record.of(CheckpointSaved)) == 1000
    assert record.result["value"] == len(here.checkpoints)


async def test_nothing_comes_after_the_end(here: Station) -> None:
    record = await here.run("goes_on_after_its_end")
    assert record.result == {"value": "done"}
    assert isinstance(record.events[-1], Completed)


async def test_progress_is_between_0_and_100(here: Station) -> None:
    record = await here.run("reports_nonsense")
    reported = record.of(Progressed)
    assert all(0 <= one.percent <= 100 for one in reported)
    assert all(len((one.message or "").encode()) <= MAX_TEXT_BYTES for one in reported)


async def test_who_keeps_a_stop_to_itself_is_ended_all_the_same(here: Station) -> None:
    attempt, record = here.start("keeps_its_stop_to_itself")
    await record.until(Progressed)
    attempt.hand_back("the worker stopped")
    await attempt.task
    assert record.end == Released("the worker stopped")
    assert "noted" in record.lines()


async def test_nothing_is_left_of_a_scratch_directory_but_what_it_points_to(here: Station, tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"x")
    runs = [(kind, {"outside": str(tmp_path)}) for kind in LEAVING]
    for kind, record in zip(LEAVING, await here.run_all(runs), strict=True):
        assert isinstance(record.end, Completed), (kind, record.end)
        assert not os.path.lexists(record.result["value"]), kind  # noqa: ASYNC240 -- of this machine
    assert (tmp_path / "kept").read_bytes() == b"x"


async def test_what_fails_says_why(here: Station) -> None:
    records = dict(zip(FAILED, await here.run_kinds(FAILED), strict=True))
    for kind, words in FAILED.items():
        record = records[kind]
        assert isinstance(record.end, Failed), (kind, record.end)
        assert words in record.end.message, kind
        assert not record.end.permanent, kind
    assert "no such disk" in records["the_shell_fails"].lines()
    assert any("unrecognized arguments: --no-such-option" in line for line in records["reads_a_command_line"].lines())
    assert "as a command" in records["is_a_command"].lines()
    assert any("not today" in line for line in records["runs_tests"].lines())


@pytest.mark.parametrize("how", ["raises", "raises_async", "raises_async_inline"])
async def test_whatever_is_raised_is_said(here: Station, how: str) -> None:
    runs = [(how, {"what": what}) for what in RAISED]
    for (what, words), record in zip(RAISED.items(), await here.run_all(runs), strict=True):
        assert isinstance(record.end, Failed), (what, record.end)
        assert record.end.message.startswith(words), what
        assert record.end.permanent is (what in PERMANENT), what
        assert not record.end.timed_out, what
        assert len(record.of(CheckpointSaved)) == 1, what


async def test_results_are_what_they_were_or_refused(here: Station) -> None:
    runs = [("returns", {"what": what}) for what in (*RETURNED, *REFUSED)]
    for (_, params), record in zip(runs, await here.run_all(runs), strict=True):
        what = params["what"]
        if what in RETURNED:
            assert record.result == RETURNED[what], what
        else:
            assert isinstance(record.end, Failed), (what, record.end)
            assert record.end.permanent
            assert re.search(REFUSED[what], record.end.message), (what, record.end)


async def test_states_come_back_equal_or_are_refused(here: Station) -> None:
    runs = [("saves", {"what": what}) for what in (*RETURNED, *REFUSED)]
    for (_, params), record in zip(runs, await here.run_all(runs), strict=True):
        what = params["what"]
        if what in SAVED:
            assert isinstance(record.end, Completed), (what, record.end)
        else:
            assert isinstance(record.end, Failed), (what, record.end)
            assert "the checkpoint can't be saved" in record.end.message, what
            assert record.of(CheckpointSaved) == []
