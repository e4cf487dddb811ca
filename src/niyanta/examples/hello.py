"""``hello``: a greeting that takes its time, to see a workload run, be moved and end where no file is at hand."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from msgspec import Meta

from niyanta.worker import Context

__all__ = ["HelloParams", "HelloResult", "greet"]


class HelloParams(msgspec.Struct, forbid_unknown_fields=True):
    """What ``hello`` takes, as the worker that ``niyanta new hello`` writes does."""

    name: Annotated[str, Meta(max_length=200, description="Whom to greet.")] = "world"
    steps: Annotated[
        int, Meta(ge=0, le=86_400, description="Seconds that it takes, with a checkpoint after each.")
    ] = 30


class HelloResult(msgspec.Struct):
    """The greeting, and where the last attempt began."""

    greeting: str
    attempt: int
    began_at_step: int


async def greet(ctx: Context, params: HelloParams) -> HelloResult:
    """Wait a second a step, then greet."""
    began_at = ctx.checkpoint["done"] if ctx.checkpoint else 0
    for step in range(began_at + 1, params.steps + 1):
        await asyncio.sleep(1)
        await ctx.save_checkpoint({"done": step})
        await ctx.report_progress(100 * step // params.steps, f"step {step}")
    return HelloResult(f"Hello, {params.name}!", ctx.attempt, began_at)
