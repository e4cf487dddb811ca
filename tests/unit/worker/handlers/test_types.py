"""What type checkers know of the public names: mypy reads this file with the sources, and pytest runs mypy on it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, assert_type

from niyanta import Context, SyncContext, Worker
from niyanta.testing import WorkloadRun

worker = Worker(id="w", tags={"a": "b"}, capacity=1)


@worker.workload("async")
async def handle(ctx: Context, params: dict[str, int]) -> int:
    assert_type(ctx.workload_id, str)
    assert_type(ctx.attempt, int)
    assert_type(ctx.input_params, dict[str, Any])
    assert_type(ctx.work_dir, Path)
    assert_type(ctx.cancelled, bool)
    saving: Coroutine[Any, Any, int] = ctx.save_checkpoint({})
    assert_type(await saving, int)
    assert_type(await ctx.save_checkpoint({}), int)
    assert_type(await ctx.offer_checkpoint({}), int | None)
    assert_type(ctx.in_thread, SyncContext)
    await ctx.report_progress(1, "one")
    return 1


@worker.workload("sync")
def handle_in_process(ctx: SyncContext) -> int | None:
    assert_type(ctx.save_checkpoint(b""), int)
    assert_type(ctx.offer_checkpoint({}), int | None)
    assert_type(ctx.report_progress(1), None)
    return ctx.offer_checkpoint([])


def run_it(scratch: Path) -> None:
    handling: Coroutine[Any, Any, int] = handle(_context(), {})
    handling.close()
    assert_type(handle_in_process(_sync_context()), int | None)
    assert_type(WorkloadRun(worker, "sync", {}, scratch).attempt(), dict[str, Any])


def _context() -> Context:
    raise NotImplementedError


def _sync_context() -> SyncContext:
    raise NotImplementedError


def test_public_names_have_the_types_that_are_written_here() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", __file__],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[4],
    )
    assert done.returncode == 0, done.stdout


def test_a_forgotten_await_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from niyanta import Context\nasync def handle(ctx: Context) -> None:\n    ctx.save_checkpoint({})\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(wrong)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[4],
    )
    assert "must be used" in done.stdout
