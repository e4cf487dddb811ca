"""The worker under test. Its handlers write down what they do, each attempt into a file of its own.

A line is written by one ``write`` to a file opened for appending, with the machine's monotonic clock, so that lines
of different processes can be compared, and each proves that its attempt was alive at that moment.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from typing import Any

import psutil

from niyanta import Context, SyncContext, TransientError, Worker

worker = Worker(capacity=4)


class _Diary:
    def __init__(self, ctx: Context | SyncContext, exclusive: bool = False) -> None:
        path = f"{os.environ['CHAOS_TRACES']}/{ctx.workload_id}.{ctx.attempt}.{os.getpid()}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._always = {
            "workload_id": ctx.workload_id,
            "attempt": ctx.attempt,
            "worker_id": os.environ["CHAOS_WORKER"],
            "pid": os.getpid(),
            "exclusive": exclusive,
        }

    def write(self, what: str, step: int, **more: Any) -> None:
        line = {**self._always, "at": time.monotonic(), "what": what, "step": step, **more}
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)


def _agent() -> psutil.Process:
    return next(
        p for p in psutil.Process().parents() if "niyanta.cli.main" in p.cmdline() and "worker" in p.cmdline()
    )


def _mishap(ctx: Context | SyncContext, diary: _Diary, step: int) -> None:
    """What the submission asked to go wrong at this step of the first attempts."""
    wanted = ctx.input_params.get("mishap")
    if not wanted or ctx.attempt > wanted["attempts"] or step != wanted["step"]:
        return
    kind = wanted["kind"]
    diary.write("mishap", step, mishap=kind)
    if kind == "kill_agent":
        _agent().kill()
    elif kind == "exit_agent":
        os._exit(1)  # of an inline handler, so of the agent itself
    elif kind == "kill_itself":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "fail":
        raise TransientError("as the submission asked")
    elif kind == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _walk(ctx: SyncContext, exclusive: bool) -> dict[str, Any]:
    diary = _Diary(ctx, exclusive)
    step = (ctx.checkpoint or {"step": 0})["step"]
    diary.write("start", step)
    try:
        _mishap(ctx, diary, step)
        while step < ctx.input_params["steps"]:
            time.sleep(ctx.input_params["pause_ms"] / 1000)
            step += 1
            diary.write("step", step)
            ctx.log.info("step %d", step)
            ctx.report_progress(100 * step / ctx.input_params["steps"])
            if step % ctx.input_params["every"] == 0 or ctx.checkpoint_due:
                diary.write("saved", step, sequence=ctx.save_checkpoint({"step": step}))
            _mishap(ctx, diary, step)
    finally:
        diary.write("stop", step)
    return {"step": step, "token": ctx.input_params["token"]}


@worker.workload("chaos_steps")
def steps(ctx: SyncContext) -> dict[str, Any]:
    """Walk in a process of its own."""
    return _walk(ctx, exclusive=False)


@worker.workload("chaos_exclusive", exclusive=True)
def exclusive_steps(ctx: SyncContext) -> dict[str, Any]:
    """Walk, and never twice at once."""
    return _walk(ctx, exclusive=True)


@worker.workload("chaos_inline", isolation="inline")
async def inline_steps(ctx: Context) -> dict[str, Any]:
    """Walk in the agent itself."""
    diary = _Diary(ctx)
    step = (ctx.checkpoint or {"step": 0})["step"]
    diary.write("start", step)
    try:
        _mishap(ctx, diary, step)
        while step < ctx.input_params["steps"]:
            await asyncio.sleep(ctx.input_params["pause_ms"] / 1000)
            step += 1
            diary.write("step", step)
            ctx.log.info("step %d", step)
            await ctx.report_progress(100 * step / ctx.input_params["steps"])
            if step % ctx.input_params["every"] == 0 or ctx.checkpoint_due:
                diary.write("saved", step, sequence=await ctx.save_checkpoint({"step": step}))
            _mishap(ctx, diary, step)
    finally:
        diary.write("stop", step)
        diary.close()
    return {"step": step, "token": ctx.input_params["token"]}
