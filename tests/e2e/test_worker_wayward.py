"""Every wayward handler ends, soon and clearly, and its result is what it returned, or refused by name."""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from niyanta.domain.limits import MAX_TEXT_BYTES
from niyanta.wire.messages import CheckpointSaved, Completed, Failed
from support.station import FOLDER, Station, station

APP = f"{FOLDER / 'wayward.py'}:worker"
NO_RESULT = "the workload's process ended without a result"
UNSAYABLE = "(its text can't be made)"

SAVING = (
    "dumps_its_stacks", "leads_a_session", "leads_a_group", "adopts_orphans", "outlives_its_parent",
    "is_no_longer_looked_into", "is_very_nice", "may_write_no_files", "may_dump_nothing_and_read_nothing",
    "stands_at_the_root", "traces_all", "hardly_recurses", "holds_the_interpreter", "forgets_all_modules",
    "forgets_where_modules_are", "has_no_streams", "warnings_are_errors", "raises_in_a_callback",
    "raises_in_a_callback_inline", "shuts_its_executor_down", "has_its_own_exception_handler", "debugs_its_loop",
    "debugs_its_loop_inline", "makes_tasks_its_own_way", "nothing_wakes_the_loop", "rings_for_ever",
    "cancels_all_tasks",
)  # fmt: skip
"""Handlers that save once, before or after something odd."""

RETURNING: dict[str, Any] = {
    "works_in_a_terminal": "from the terminal",
    "lives_elsewhere": "1234.5678",
    "a_lock_is_held_by_nobody": "held",
    "runs_a_loop_in_a_thread": 7,
    "runs_a_loop_in_a_thread_inline": 7,
    "leaves_a_loop": 5,
    "nests_loops": 2,
    **dict.fromkeys(
        (
            "may_write_no_large_checkpoint", "hears_no_hooks", "collects_garbage_with_errors",
            "opens_without_closing",
            "a_timer_is_left", "a_manager_is_left", "a_queue_is_full", "at_exit_of_a_child", "logs_through_a_queue",
            "a_filter_is_broken", "a_record_factory_is_broken", "a_logger_logs_what_it_logs", "logs_in_many_threads",
            "prints_a_lot_at_once", "prints_many_empty_lines", "prints_noise", "has_its_own_executor",
            "has_its_own_executor_inline", "an_executor_never_returns", "an_async_generator_is_left",
            "an_async_generator_is_left_inline", "hears_no_stop", "rings_after_its_end",
        ),
        "done",
    ),
}  # fmt: skip

FAILED = {
    "dumps_its_stacks_and_ends": f"{NO_RESULT} (exit status 1)",
    "crashes_with_a_report": f"{NO_RESULT} (signal SIGSEGV)",
    "becomes_another_program": f"{NO_RESULT} (exit status 0)",
    "becomes_a_program_that_stays": f"{NO_RESULT} (signal SIGKILL)",
    "has_little_room": "MemoryError",
    "has_little_time": f"{NO_RESULT} (signal SIGXCPU)",
    "hooks_are_asked_last": "ValueError: mine",
    "interrupts_from_a_thread": "KeyboardInterrupt",
    "raises_in_the_main_thread_later": "TimeoutError",
    "a_pool_that_breaks": "BrokenProcessPool: A process in the process pool was terminated abruptly",
    "a_pool_with_errors_that_stay": "BrokenProcessPool: A process in the process pool was terminated abruptly",
    "exits_in_a_task": f"{NO_RESULT} (exit status 1): from a task",
    "exits_in_a_task_inline": "the handler raised SystemExit('from a task')",
    "is_interrupted_in_a_task": "KeyboardInterrupt",
    "is_interrupted_in_a_task_inline": "the handler raised KeyboardInterrupt()",
    "exits_in_a_callback": f"{NO_RESULT} (exit status 3)",
    "stops_the_loop_later": "RuntimeError: Event loop stopped before Future completed.",
    "closes_the_loop": "RuntimeError: Cannot close a running event loop",
    "closes_the_loop_inline": "RuntimeError: Cannot close a running event loop",
    "runs_until_complete": "RuntimeError: This event loop is already running",
    "runs_until_complete_inline": "RuntimeError: This event loop is already running",
}

RAISED = {
    "deep_group": "ExceptionGroup: level: ExceptionGroup: level: ",
    "shared_group": "ExceptionGroup: level: ExceptionGroup: level: ",
    "wide_group": "ExceptionGroup: many: ValueError: xxx",
    "base_group": "BaseExceptionGroup: both: KeyboardInterrupt; ValueError: one",
    "odd_group": "OddGroup: odd: ValueError: one",
    "long_chain": "ValueError: number 4999",
    "circle": "ValueError: one",
    "notes": "ValueError: with notes",
    "arguments": r"ValueError: ('one', {'two': 2}, b'\xff', 'xxx",
    "silent": f"Silent: {UNSAYABLE}",
    "ending": f"Ending: {UNSAYABLE}",
    "interrupting": f"Interrupting: {UNSAYABLE}",
    "endless": f"Endless: {UNSAYABLE}",
    "printing": "Printing: seen",
    "unicode": "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff",
    "system": "OSError: [Errno 28] No space left on device: '/a/b'",
    "assertion": "AssertionError",
}
EXITS = {
    "exit_object": ("(exit status 1): {'a': 1}", "SystemExit()"),
    "exit_odd": (f"(exit status 1): {UNSAYABLE}", "SystemExit()"),
    "exit_true": ("(exit status 1)", "SystemExit(True)"),
    "exit_negative": ("(exit status 255)", "SystemExit(-1)"),
    "exit_long": ("(exit status 1): xxx", "SystemExit('xxx"),
    "exit_lines": ("(exit status 1): one\ntwo \ufffd\ufffd", r"SystemExit('one\ntwo \ud800\x00')"),
}
"""What is said of ``sys.exit``; and where it would have ended the agent."""

SAME: dict[str, Any] = {
    "text": "a",
    "number": 5,
    "fraction": 0.5,
    "mapping": {"a": 1},
    "rows": [1],
    "int_enum": 1,
    "str_enum": "one",
    "float64": 0.1,
    "str_": "a",
    "int63": 2**63 - 1,
    "int64_least": -(2**63),
    "tiny": 5e-324,
    "large": 1.7976931348623157e308,
    "third": 1 / 3,
    "whole_float": 1e22,
    "empty_key": {"": 1},
    "text_key": {"a": 1},
    "enum_key": {"one": 1},
    "long_text": "é" * 200_000,
    "lines": "a\r\n\u2028\u0085b",
    "false": False,
    "zero": 0,
    "empty": "",
    "empty_list": [],
    "empty_dict": {},
}
"""Values that come back equal, from a result and from a state."""

ONLY_RETURNED: dict[str, Any] = {
    "flag": 3,
    "slots": {"x": 1, "when": "2025-01-02"},
    "naive": "2025-01-02T03:04:05",
    "far": "9999-12-31T23:59:59.999999Z",
    "date": "2025-01-02",
    "time": "03:04:00",
    "zone": "2025-01-02T00:00:00+05:30",
    "decimal_nan": "NaN",
    "decimal_far": "1E+999999",
}
"""Values that a result may hold, and a state may not, as they would come back different."""

REFUSED = {
    "round": "nested deeper than 64 levels|is a Round",
    "shared": "larger than",
    "float32": "is a float32.*tolist",
    "int64": "is a int64.*tolist",
    "uint64": "is a uint64.*tolist",
    "bool": "is a bool.*tolist",
    "array": "is a ndarray.*tolist",
    "array_of_floats": "is a ndarray.*tolist",
    "no_number64": "is nan",
    "datetime64": "is a datetime64.*tolist",
    "path": "is a PosixPath",
    "address": "is a IPv6Address",
    "exact": "is a Fraction",
    "pattern": "is a Pattern",
    "namespace": "is a SimpleNamespace",
    "proxy": "is a mappingproxy",
    "keys_view": "is a dict_keys",
    "iterator": "is a list_iterator",
    "generator": "is a generator",
    "mapped": "is a map",
    "future": "is a coroutine|coroutine that nobody awaits",
    "frozenset": "is a frozenset",
    "bytearray": "is a bytearray",
    "int64_more": "beyond 64 bits",
    "int64_most": "beyond 64 bits",
    "bool_key": "has the key True",
    "date_key": r"has the key datetime.date\(2025, 1, 2\)",
    "unfit_keys": "keys that are the same|half of a surrogate pair",
    "nul_key": "keys that are the same",
    "type": "is a type",
    "module": "is a module",
    "not_implemented": "is a NotImplementedType",
}
ONLY_SAVED = ("nul_key",)
"""A state is bytes to everybody else; a result is stored as text is, without NUL."""


@pytest.fixture
async def here() -> AsyncIterator[Station]:
    """In a folder with a name as short as a worker's own has: the path of a socket has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="niyanta-") as scratch:
        async with station(Path(scratch), app=APP) as found:
            yield found


async def test_every_handler_is_looked_at_here(here: Station) -> None:
    raising = {"raises", "raises_async", "raises_async_inline"}
    assert set(here.handlers) == {*SAVING, *RETURNING, *FAILED, *raising, "returns", "saves"}


async def test_what_is_saved_beside_something_odd_is_saved(here: Station) -> None:
    for kind, record in zip(SAVING, await here.run_kinds(SAVING), strict=True):
        assert isinstance(record.end, Completed), (kind, record.end)
        assert len(record.of(CheckpointSaved)) == 1, kind
        assert not any("can't be reached" in line for line in record.lines()), kind


async def test_what_can_be_done_is_done(here: Station) -> None:
    records = await here.run_kinds(RETURNING)
    for (kind, wanted), record in zip(RETURNING.items(), records, strict=True):
        assert isinstance(record.end, Completed), (kind, record.end)
        assert record.result == {"value": wanted}, kind
    said = dict(zip(RETURNING, (record.lines() for record in records), strict=True))
    assert said["at_exit_of_a_child"] == ["at exit"]
    assert said["logs_through_a_queue"] == ["from a child, through a queue"]
    assert sorted(said["logs_in_many_threads"]) == sorted(f"{one} {n}" for one in range(8) for n in range(100))
    assert said["a_logger_logs_what_it_logs"] == ["once", "again: once"]
    for kind in ("prints_a_lot_at_once", "prints_many_empty_lines", "prints_noise"):
        assert any(line == "after" or "were dropped" in line for line in said[kind]), kind
    long = said["prints_a_lot_at_once"]
    assert sum(line.count("x") for line in long) == 30 << 20
    assert max(map(len, long)) <= MAX_TEXT_BYTES


async def test_what_fails_says_why(here: Station) -> None:
    for (kind, words), record in zip(FAILED.items(), await here.run_kinds(FAILED), strict=True):
        assert isinstance(record.end, Failed), (kind, record.end)
        assert words in record.end.message, kind


@pytest.mark.parametrize("how", ["raises", "raises_async", "raises_async_inline"])
async def test_whatever_is_raised_is_said(here: Station, how: str) -> None:
    runs: list[tuple[str, dict[str, Any]]] = [(how, {"what": what}) for what in (*RAISED, *EXITS)]
    for (_, params), record in zip(runs, await here.run_all(runs), strict=True):
        what = params["what"]
        assert isinstance(record.end, Failed), (what, record.end)
        assert len(record.end.message.encode()) <= MAX_TEXT_BYTES
        if what in RAISED:
            wanted = RAISED[what]
        else:
            inline = how == "raises_async_inline"
            wanted = f"the handler raised {EXITS[what][1]}" if inline else f"{NO_RESULT} {EXITS[what][0]}"
        assert record.end.message.startswith(wanted), what
        assert not record.end.permanent


@pytest.mark.parametrize("within", [False, True])
async def test_results_are_what_they_were_or_refused(here: Station, within: bool) -> None:
    returned = {**SAME, **ONLY_RETURNED}
    runs: list[tuple[str, dict[str, Any]]] = [
        ("returns", {"what": what, "within": within}) for what in (*returned, *REFUSED)
    ]
    for (_, params), record in zip(runs, await here.run_all(runs), strict=True):
        what = params["what"]
        if what in returned:
            whole = not within and isinstance(returned[what], dict)
            assert record.result == (returned[what] if whole else {"value": returned[what]}), what
        else:
            assert isinstance(record.end, Failed), (what, record.end)
            assert record.end.permanent
            assert re.search(REFUSED[what], record.end.message), (what, record.end)


async def test_states_come_back_equal_or_are_refused(here: Station) -> None:
    refused = {*REFUSED, *ONLY_RETURNED} - {*ONLY_SAVED}
    runs: list[tuple[str, dict[str, Any]]] = [("saves", {"what": what}) for what in (*SAME, *ONLY_RETURNED, *REFUSED)]
    for (_, params), record in zip(runs, await here.run_all(runs), strict=True):
        what, saved = params["what"], record.of(CheckpointSaved)
        if what not in refused:
            assert isinstance(record.end, Completed), (what, record.end)
            wanted = SAME.get(what, {"a\0": 1, "a\ufffd": 2})
            assert msgspec.json.decode(saved[0].data) == {"list": [wanted]}, what
        else:
            assert isinstance(record.end, Failed), (what, record.end)
            assert "the checkpoint can't be saved" in record.end.message, what
            assert saved == []
