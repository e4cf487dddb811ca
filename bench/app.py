"""The worker that the benchmark drives: does nothing, as fast as it can, and says when it began."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from niyanta import Context, SyncContext, Worker

worker = Worker(capacity=1000)


@worker.workload("bench_noop", isolation="inline")
async def noop(ctx: Context) -> dict[str, Any]:
    """Return the wall-clock time of the first line, in seconds."""
    return {"began": time.time()}


slow = Worker(capacity=2)


@slow.workload("bench_sleep", isolation="inline")
async def sleep(ctx: Context) -> None:
    """Run until it is stopped."""
    while True:
        await asyncio.sleep(1)


second = Worker(capacity=10)


@second.workload("bench_second", isolation="inline")
async def a_second(ctx: Context) -> None:
    """Take a second."""
    await asyncio.sleep(1)


given = Worker(capacity=40)


@given.workload("bench_given", isolation="inline")
async def as_long_as_given(ctx: Context) -> None:
    """Take the seconds that the submission says."""
    await asyncio.sleep(ctx.input_params["seconds"])


isolated = Worker(capacity=8)


@isolated.workload("bench_isolated")
def isolated_noop(ctx: SyncContext) -> None:
    """Do nothing, in a process of its own."""


@isolated.workload("bench_reused", reuse=1_000_000)
def reused_noop(ctx: SyncContext) -> None:
    """Do nothing, in a process that others of the customer have used and will use."""
