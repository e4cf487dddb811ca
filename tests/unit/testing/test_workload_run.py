"""What handlers are tested with, tested with handlers."""

from __future__ import annotations

from pathlib import Path

import pytest

from niyanta import Context, SyncContext, Worker
from niyanta.testing import AttemptEnded, Killed, WorkloadRun

worker = Worker()


@worker.workload("count")
def count(ctx: Context) -> dict[str, int]:
    """Count to a number, with a checkpoint at each."""
    number = ctx.checkpoint or 0
    while number < ctx.input_params["to"]:
        number += 1
        ctx.report_progress(number, f"at {number}")
        ctx.save_checkpoint(number)
    return {"number": number, "step": ctx.config.get("step", 1)}


@worker.workload("count_async")
async def count_async(ctx: Context) -> int:
    """The same, asynchronously."""
    number = ctx.checkpoint or 0
    while number < ctx.input_params["to"]:
        number += 1
        await ctx.save_checkpoint(number)
    return number


@pytest.mark.parametrize(("kind", "result"), [("count", {"number": 3, "step": 2}), ("count_async", {"value": 3})])
def test_ended_at_every_checkpoint_it_comes_to_the_same(tmp_path: Path, kind: str, result: dict[str, int]) -> None:
    assert WorkloadRun(worker, kind, {"to": 3}, tmp_path / "a", {"step": 2}).attempt() == result
    run = WorkloadRun(worker, kind, {"to": 3}, tmp_path / "b", {"step": 2})
    assert run.until_done() == result
    assert (run.attempts, run.sequence, run.saved) == (4, 3, 3)


def test_a_killed_attempt_loses_what_was_not_acknowledged(tmp_path: Path) -> None:
    run = WorkloadRun(worker, "count", {"to": 3}, tmp_path)
    run.die_instead_of = 2
    with pytest.raises(Killed):
        run.attempt()
    assert run.saved == 1
    assert run.attempt()["number"] == 3
    assert run.messages == ["at 1", "at 2", "at 2", "at 3"]


def test_a_pause_ends_it_at_its_next_checkpoint(tmp_path: Path) -> None:
    run = WorkloadRun(worker, "count", {"to": 3}, tmp_path)
    run.waiting = "pause"
    with pytest.raises(AttemptEnded):
        run.attempt()
    assert run.sequence == 1


@worker.workload("offers")
def offers(ctx: SyncContext) -> int:
    """Offer a checkpoint at each step, as loops do."""
    number = ctx.checkpoint or 0
    while number < ctx.input_params["to"]:
        number += 1
        ctx.offer_checkpoint(number)
    return int(number)


def test_every_offer_is_due(tmp_path: Path) -> None:
    run = WorkloadRun(worker, "offers", {"to": 3}, tmp_path / "a")
    assert run.until_done() == {"value": 3}
    assert run.attempts == 4
    never = WorkloadRun(worker, "offers", {"to": 3}, tmp_path / "b", interval_seconds=3600)
    with pytest.raises(RuntimeError, match="without a single checkpoint"):
        never.until_done()


def test_a_run_without_any_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="being stopped was not tested"):
        WorkloadRun(worker, "count", {"to": 0}, tmp_path).until_done()
