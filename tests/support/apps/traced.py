"""Handlers that record spans of their own, and one that says what is loaded beside them."""

from __future__ import annotations

import asyncio
import logging
import sys

from niyanta import Context, SyncContext, Worker

worker = Worker(capacity=4)


@worker.workload("moves")
async def moves(ctx: Context) -> dict[str, str | None]:
    """Waits for its worker's end in the first attempt, and works in the second."""
    from opentelemetry import trace

    if ctx.checkpoint is None:
        await ctx.save_checkpoint({"half": True})
        ctx.log.info("half way")
        await asyncio.sleep(3600)
    with trace.get_tracer("app").start_as_current_span("work") as span:
        ctx.log.info("in its own span")
        await asyncio.to_thread(logging.getLogger("app").info, "in a thread")
        found = span.get_span_context()
    ctx.log.info("after it")
    return {"span_id": f"{found.span_id:016x}", "traceparent": ctx.traceparent}


@worker.workload("records", isolation="inline")
async def records_inline(ctx: Context) -> None:
    from opentelemetry import trace

    with trace.get_tracer("app").start_as_current_span("inline work"):
        ctx.log.info("in its own span")


@worker.workload("records_again", reuse=5)
def records_again(ctx: SyncContext) -> dict[str, int]:
    import os

    from opentelemetry import trace

    with trace.get_tracer("app").start_as_current_span("sync work"):
        return {"pid": os.getpid()}


def _loaded() -> list[str]:
    return sorted(name for name in sys.modules if name.startswith("opentelemetry"))


@worker.workload("loaded")
def loaded(ctx: SyncContext) -> dict[str, object]:
    return {"modules": _loaded(), "traceparent": ctx.traceparent}


@worker.workload("loaded_inline", isolation="inline")
async def loaded_inline(ctx: Context) -> dict[str, object]:
    return {"modules": _loaded(), "traceparent": ctx.traceparent}
