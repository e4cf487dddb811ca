"""The app whose workloads the tests of the console look at: steps to watch, failures to group."""

from __future__ import annotations

import time
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from niyanta import PermanentError, SyncContext, Worker

worker = Worker(capacity=3)


class Steps(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What ``steps`` takes."""

    steps: Annotated[int, Meta(ge=1, le=100_000, description="How many steps to take.")] = 100
    pause_ms: Annotated[int, Meta(ge=0, le=10_000, description="How long each step takes, in milliseconds.")] = 50
    mood: Annotated[Literal["calm", "hasty"], Meta(description="What the log says of it.")] = "calm"


class Import(msgspec.Struct, forbid_unknown_fields=True):
    """What ``import_file`` takes."""

    path: Annotated[str, Meta(min_length=1, max_length=200, description="The file to read.")]


@worker.workload("steps")
def steps(ctx: SyncContext, params: Steps) -> dict[str, int]:
    """Take steps, with a line in the log and a checkpoint at every tenth."""
    taken = begun_at = (ctx.checkpoint or {"taken": 0})["taken"]
    ctx.log.info("beginning", extra={"from": begun_at, "mood": params.mood})
    while taken < params.steps:
        time.sleep(params.pause_ms / 1000)
        taken += 1
        ctx.report_progress(100 * taken / params.steps, f"step {taken} of {params.steps}")
        if taken % 10 == 0:
            ctx.log.info("step %d is done", taken)
        if taken % 10 == 0 or ctx.checkpoint_due:
            ctx.save_checkpoint({"taken": taken})
    return {"taken": taken, "begun_at": begun_at}


@worker.workload("import_file")
def import_file(ctx: SyncContext, params: Import) -> None:
    """Fail for good."""
    ctx.log.error("can't open %s", params.path)
    raise PermanentError(f"there is no file {params.path}")
