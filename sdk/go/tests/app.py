"""The workloads that the tests submit."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from niyanta import Context, PermanentError, Worker

worker = Worker(capacity=8)


@worker.workload("echo", isolation="inline")
async def echo(ctx: Context) -> dict[str, Any]:
    """Give the input back."""
    return dict(ctx.input_params)


@worker.workload("count")
def count(ctx: Context) -> dict[str, Any]:
    """Count slowly, with a checkpoint at each step."""
    begun_at = number = (ctx.checkpoint or {"number": 0})["number"]
    ctx.log.info("counting from %d", number)
    while number < ctx.input_params["to"]:
        time.sleep(0.02)
        number += 1
        ctx.report_progress(100 * number / ctx.input_params["to"], f"at {number}")
        ctx.save_checkpoint({"number": number})
    return {"number": number, "begun_at": begun_at}


@worker.workload("endless", isolation="inline")
async def endless(ctx: Context) -> None:
    """Go on until it is cancelled."""
    await asyncio.Event().wait()


@worker.workload("hopeless", isolation="inline")
async def hopeless(ctx: Context) -> None:
    """Fail for good."""
    raise PermanentError("there is no such file")
