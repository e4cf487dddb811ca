"""The app that the end-to-end tests run."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from niyanta import Context, PermanentError, SyncContext, Worker

worker = Worker(capacity=5)


@worker.workload("count")
def count(ctx: SyncContext) -> dict[str, Any]:
    """Count in a process of its own, slowly, with a checkpoint at each step."""
    begun_at = number = (ctx.checkpoint or {"number": 0})["number"]
    while number < ctx.input_params["to"]:
        time.sleep(0.02)
        number += 1
        ctx.report_progress(100 * number / ctx.input_params["to"])
        ctx.save_checkpoint({"number": number})
    return {"number": number, "begun_at": begun_at, "pid": os.getpid()}


@worker.workload("hello", isolation="inline")
async def hello(ctx: Context) -> str:
    """Answer at once, in the agent itself."""
    await asyncio.sleep(0)
    return "hello"


@worker.workload("hopeless")
def hopeless(ctx: SyncContext) -> None:
    """Fail for good."""
    raise PermanentError("there is no such file")


@worker.workload("stubborn")
def stubborn(ctx: SyncContext) -> None:
    """Never end by itself."""
    while True:
        time.sleep(0.05)


worker.command(
    "tool",
    [
        "sh",
        "-c",
        """echo '{"type": "progress", "percent": 50}'; echo a plain line; echo '{"ok": 1}' > $NIYANTA_RESULT_FILE""",
    ],
)
