"""Every stray handler ends, soon and clearly: with its result, or with words that say what to mend."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from niyanta.wire.messages import CheckpointSaved, Completed, Failed
from support.station import FOLDER, Station, station

APP = f"{FOLDER / 'stray.py'}:worker"
GROUP = "ExceptionGroup: several: ValueError: one; PermanentError: two"
STOPPED = "the handler was told to stop (SIGTERM), or cancelled itself"
NO_RESULT = "the workload's process ended without a result"

COMPLETED: dict[str, Any] = {
    "fork_in_thread": 0,
    "fork_in_generator": 70,
    "fork_in_finalizer": 70,
    "fork_in_comprehension": [70],
    "fork_in_async_generator": 70,
    "fork_in_async_generator_inline": 70,
    "fork_in_async_with": 70,
    "fork_in_async_with_inline": 70,
    "spawn_pool": [0, 1, 4, 9],
    "forkserver_pool": [0, 1, 4, 9],
    "manager_and_queue": 3,
    "kills_itself_PIPE": "survived",
    "kills_itself_CHLD": "survived",
    "alarm_raises": "too slow",
    "redirects_its_output": "caught",
    **dict.fromkeys(
        (
            "fork_at_exit", "daemon_that_stays", "program_that_stays", "shared_memory", "exits_in_a_thread",
            "raises_in_a_thread", "at_exit_raises", "at_exit_sleeps", "at_exit_says", "at_exit_saves",
            "threads_go_on", "executor_is_full", "swallows_its_own_cancel", "leaves_tasks", "closes_its_output",
            "prints_differently", "logs_wrongly", "logs_odd_extras", "logs_exceptions", "configures_logging",
            "configures_logging_wholly", "shuts_logging_down", "warns", "writes_bytes", "writes_without_an_end",
            "changes_the_encoding",
        ),
        "done",
    ),
}  # fmt: skip
"""What handlers return."""

SAVING = (
    "blocks_all_signals", "ignores_children", "runs_a_loop", "blocks_the_loop", "few_descriptors", "stands_nowhere",
    "clears_its_environment", "stops_time", "saves_at_once", "saves_in_threads",
)  # fmt: skip
"""Handlers that do something odd and save after it."""

FAILED = {
    **{f"kills_itself_{name}": f"(signal SIG{name})" for name in ("SEGV", "ABRT", "KILL", "HUP", "ALRM", "USR1")},
    **dict.fromkeys(("kills_itself_TERM", "kills_its_group", "cancels_itself"), STOPPED),
    "kills_itself_INT": "KeyboardInterrupt",
    "exits_at_once": f"{NO_RESULT} (exit status 0)",
    "exits_from_a_thread_hard": f"{NO_RESULT} (exit status 5)",
    "quits": f"{NO_RESULT} (exit status 1): bye",
    "recurses": "RecursionError: maximum recursion depth exceeded",
    "stops_the_loop": "RuntimeError: Event loop stopped before Future completed.",
    "runs_a_loop_in_a_loop": "RuntimeError: asyncio.run() cannot be called from a running event loop",
    "a_future_of_another_loop": "attached to a different loop",
    "closes_every_descriptor": NO_RESULT,
    "closes_output_descriptors": "Bad file descriptor",
    "asks_for_input": "EOFError",
}

RAISED = {
    "KeyboardInterrupt": ("KeyboardInterrupt", "the handler raised KeyboardInterrupt()"),
    "GeneratorExit": ("GeneratorExit",),
    "StopIteration": ("StopIteration",),
    "StopAsyncIteration": ("StopAsyncIteration",),
    "CancelledError": (STOPPED, "CancelledError: the handler cancelled itself"),
    "Own": ("Own",),
    "Unsayable": ("Unsayable: (its text can't be made)",),
    "MemoryError": ("MemoryError",),
    "RecursionError": ("RecursionError",),
    "NotImplementedError": ("NotImplementedError",),
    "group": (GROUP,),
    "long": ("ValueError: xxxx",),
    "surrogate": ("ValueError: lone \ufffd and \ufffd",),
    "text": (f"{NO_RESULT} (exit status 1): no such file", "the handler raised SystemExit('no such file')"),
    "zero": (f"{NO_RESULT} (exit status 0)", "the handler raised SystemExit(0)"),
    "chained": ("ValueError: outer",),
}
"""What is said of an exception; of one that leaves an inline handler last."""

RETURNED = {
    "datetime": "2025-01-02T00:00:00Z",
    "timedelta": "PT1S",
    "decimal": "1.10",
    "uuid": "00000000-0000-0000-0000-000000000001",
    "enum": "red",
    "dataclass": {"x": 1, "y": 2.0},
    "namedtuple": [1, 2],
    "ordered": {"a": 1},
    "counter": {"a": 2, "b": 1},
    "defaultdict": {"a": 1},
    "surrogate": "\ufffd",
    "nul": "a\ufffdb",
    "none": None,
    "true": True,
    "negative_zero": -0.0,
}
"""Values that a result may hold, as JSON has them."""

REFUSED = {
    "generator": "is a generator",
    "set": "is a set",
    "bytes": "is a bytes",
    "chainmap": "is a ChainMap",
    "deque": "is a deque",
    "range": "is a range",
    "huge": "is an integer beyond 64 bits",
    "infinite": "is inf",
    "keys": "has the key 1",
    "mixed_keys": "has the key 1",
    "tuple_keys": "has the key (1, 2)",
    "deep": "nested deeper than 64 levels",
    "round": "holds itself",
    "function": "is a function",
    "partial": "is a partial",
    "exception": "is a ValueError",
    "memoryview": "is a memoryview",
    "class": "is a type",
    "ellipsis": "is a ellipsis",
    "complex": "is a complex",
}
"""Values that neither a result nor a state may hold."""

ONLY_RETURNED = ("datetime", "timedelta", "decimal", "uuid", "enum", "dataclass", "namedtuple", "surrogate")
"""Values that a state may not hold, as they would come back different."""


@pytest.fixture
async def here() -> AsyncIterator[Station]:
    # The sockets of a fork server lie in the attempt's temporary folder, and their paths may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="n-") as folder:
        async with station(Path(folder) / "scratch", app=APP) as found:
            yield found


async def test_every_handler_is_looked_at_here(here: Station) -> None:
    raising = {f"raises_{name}{how}" for name in RAISED for how in ("", "_async", "_inline")}
    assert set(here.handlers) == {*COMPLETED, *SAVING, *FAILED, *raising, "returns", "saves"}


async def test_what_can_be_done_is_done(here: Station) -> None:
    records = await here.run_kinds(COMPLETED)
    for (kind, wanted), record in zip(COMPLETED.items(), records, strict=True):
        assert isinstance(record.end, Completed), (kind, record.end)
        assert record.result == {"value": wanted}, kind
    said = dict(zip(COMPLETED, (record.lines() for record in records), strict=True))
    assert set(said["at_exit_says"]) == {"said at exit", "said by a finalizer"}
    for kind in ("closes_its_output", "redirects_its_output", "prints_differently"):
        assert "still here" in said[kind]
    for kind in ("logs_wrongly", "logs_odd_extras", "logs_exceptions"):
        assert said[kind][-1] == "after"
    for kind in ("configures_logging", "configures_logging_wholly"):
        assert said[kind][-1] == "by ctx"
    assert said["changes_the_encoding"] == ["gr\ufffdn ?"]
    assert "ValueError" not in "".join(said["spawn_pool"] + said["forkserver_pool"])


async def test_what_is_saved_after_something_odd_is_saved(here: Station) -> None:
    for kind, record in zip(SAVING, await here.run_kinds(SAVING), strict=True):
        assert isinstance(record.end, Completed), (kind, record.end)
        assert len(record.of(CheckpointSaved)) in (1, 5), kind


async def test_what_fails_says_why(here: Station) -> None:
    for (kind, words), record in zip(FAILED.items(), await here.run_kinds(FAILED), strict=True):
        assert isinstance(record.end, Failed), (kind, record.end)
        assert words in record.end.message, kind


@pytest.mark.parametrize("how", ["", "_async", "_inline"])
async def test_whatever_is_raised_is_said(here: Station, how: str) -> None:
    records = await here.run_kinds(f"raises_{name}{how}" for name in RAISED)
    for (name, words), record in zip(RAISED.items(), records, strict=True):
        assert isinstance(record.end, Failed), (name, record.end)
        assert words[-1 if how == "_inline" else 0] in record.end.message, name
        assert record.end.permanent is (name == "group"), name
        assert len(record.end.message) < 100_000


@pytest.mark.parametrize("within", [False, True])
async def test_results_are_what_they_were_or_refused(here: Station, within: bool) -> None:
    runs: list[tuple[str, dict[str, Any]]] = [
        ("returns", {"what": what, "within": within}) for what in (*RETURNED, *REFUSED)
    ]
    for (_, params), record in zip(runs, await here.run_all(runs), strict=True):
        what = params["what"]
        if what in RETURNED:
            wanted = RETURNED[what]
            whole = not within and (isinstance(wanted, dict) or wanted is None)
            assert record.result == ((wanted or {}) if whole else {"value": wanted}), what
        else:
            assert isinstance(record.end, Failed), (what, record.end)
            assert record.end.permanent
            assert REFUSED[what] in record.end.message, what


async def test_states_come_back_equal_or_are_refused(here: Station) -> None:
    refused = {*REFUSED, *ONLY_RETURNED}
    runs: list[tuple[str, dict[str, Any]]] = [("saves", {"what": what}) for what in (*RETURNED, *REFUSED)]
    for (_, params), record in zip(runs, await here.run_all(runs), strict=True):
        what = params["what"]
        if what not in refused:
            assert isinstance(record.end, Completed), (what, record.end)
        else:
            assert isinstance(record.end, Failed), (what, record.end)
            assert "the checkpoint can't be saved" in record.end.message, what
            assert record.of(CheckpointSaved) == []


async def test_in_interpreters_of_their_own_it_is_the_same(tmp_path: Path) -> None:
    some = ("spawn_pool", "changes_the_encoding", "fork_in_generator")
    async with station(tmp_path / "scratch", app=APP, fork=False) as here:
        for kind, record in zip(some, await here.run_kinds(some), strict=True):
            assert record.result == {"value": COMPLETED[kind]}, kind


async def test_an_app_s_file_keeps_out_of_others_ways(tmp_path: Path) -> None:
    """Two files of one name, and one that is named as a module that is there already, have their own handlers."""
    apps = []
    for folder, name in (("one", "twin"), ("two", "twin"), ("three", "asyncio")):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / f"{name}.py"
        file.write_text(
            "import asyncio\nfrom niyanta import Worker\nworker = Worker()\n"
            f"@worker.workload('{folder}')\ndef handler(ctx):\n    return [__file__, asyncio.__name__]\n"
        )
        apps.append(f"{file}:worker")
    for app, kind in zip(apps, ("one", "two", "three"), strict=True):
        async with station(tmp_path / "scratch", app=app) as here:
            assert (await here.run(kind)).result["value"] == [app.removesuffix(":worker"), "asyncio"]
