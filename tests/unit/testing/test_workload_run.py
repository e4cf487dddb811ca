"""What handlers are tested with, tested with handlers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import pytest

from niyanta import Context, SyncContext, Worker
from niyanta.testing import AttemptEnded, Killed, WorkloadRun

worker = Worker()


@worker.workload("count")
def count(ctx: SyncContext) -> dict[str, int]:
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


offering = Worker()


@offering.workload("offer")
async def offer(ctx: Context) -> int:
    done = ctx.checkpoint or 0
    while done < ctx.input_params["to"]:
        done += 1
        await ctx.offer_checkpoint(done)
    return ctx.attempt


def test_each_offered_checkpoint_is_taken(tmp_path: Path) -> None:
    run = WorkloadRun(offering, "offer", {"to": 3}, tmp_path)
    assert run.until_done() == {"value": 4}
    assert (run.attempts, run.sequence, run.saved) == (4, 3, 3)


def test_offers_may_be_spaced_as_in_production(tmp_path: Path) -> None:
    run = WorkloadRun(offering, "offer", {"to": 3}, tmp_path, interval_seconds=300)
    assert run.attempt() == {"value": 1}
    assert run.sequence == 0


def test_a_run_that_saves_nothing_tests_nothing_and_says_so(tmp_path: Path) -> None:
    run = WorkloadRun(offering, "offer", {"to": 3}, tmp_path, interval_seconds=300)
    with pytest.raises(RuntimeError, match="'offer' came through without saving a checkpoint"):
        run.until_done()
    assert WorkloadRun(offering, "offer", {"to": 0}, tmp_path / "b").attempt() == {"value": 1}


class Named(msgspec.Struct):
    """Has a name that others write differently."""

    step_seconds: int = msgspec.field(default=1, name="stepSeconds")


@dataclasses.dataclass
class Plain:
    """As most people write them."""

    steps: int = 3


def named(ctx: SyncContext, params: Named) -> int:
    return params.step_seconds


def plain(ctx: SyncContext, params: Plain) -> int:
    return params.steps


async def plain_async(ctx: Context, params: Plain) -> int:
    return params.steps


def free(ctx: SyncContext, params: dict[str, int]) -> int:
    return len(params)


for handler in (named, plain, plain_async, free):
    worker.workload(handler.__name__)(handler)


@pytest.mark.parametrize(
    ("kind", "params", "unknown"),
    [
        ("plain", {"steps": 1}, None),
        ("plain", {"step": 1}, "'step'"),
        ("plain_async", {"Steps": 1, "n": 2}, "'Steps', 'n'"),
        ("named", {"stepSeconds": 2}, None),
        ("named", {"step_seconds": 2}, "'step_seconds'"),
        ("free", {"anything": 2}, None),
        ("plain", {f"n{n:02}": 1 for n in range(30)}, ", ".join(f"'n{n:02}'" for n in range(10)) + " and 20 more"),
    ],
)
def test_names_that_the_parameters_do_not_have_are_said(
    tmp_path: Path, kind: str, params: dict[str, int], unknown: str | None
) -> None:
    run = WorkloadRun(worker, kind, params, tmp_path)
    run.attempt()
    said = [line for _, line in run.log if line.startswith("input_params: ")]
    assert said == ([] if unknown is None else [f"input_params: the handler knows no {unknown}"])
