"""Handlers whose processes serve several attempts, and what they do to these processes."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from niyanta import Context, SyncContext, Worker

worker = Worker()
served: list[str] = []
kept: list[Any] = []


def seen() -> dict[str, Any]:
    """What a process knows of its attempts so far."""
    return {"pid": os.getpid(), "launcher": os.getppid(), "served": list(served), "cwd": os.getcwd()}


@worker.workload("look", reuse=1_000)
def look(ctx: SyncContext) -> dict[str, Any]:
    served.append(ctx.workload_id)
    return {**seen(), "work_dir": str(ctx.work_dir), "files": os.listdir(ctx.work_dir)}


@worker.workload("look_async", reuse=1_000)
async def look_async(ctx: Context) -> dict[str, Any]:
    served.append(ctx.workload_id)
    await asyncio.to_thread(time.sleep, 0)
    forgotten = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    return {**seen(), "forgotten": forgotten.done()}


@worker.workload("three", reuse=3)
def three(ctx: SyncContext) -> dict[str, Any]:
    return seen()


@worker.workload("once")
def once(ctx: SyncContext) -> dict[str, Any]:
    return seen()


@worker.workload("print", reuse=1_000)
def prints(ctx: SyncContext, params: dict[str, Any]) -> dict[str, Any]:
    word = params["word"]
    print(f"{word} printed")
    ctx.log.info("%s logged", word)
    logging.getLogger("library").warning("%s by a library", word)
    os.write(2, f"{word} raw\n".encode())
    print(f"{word} unfinished error", end="", file=sys.stderr)
    print(f"{word} unfinished", end="")
    return seen()


@worker.workload("keep_context", reuse=1_000)
def keep_context(ctx: SyncContext) -> dict[str, Any]:
    refused = ""
    for earlier in kept:
        earlier.log.info("said through an earlier attempt's context")
        earlier.report_progress(99, "of an earlier attempt")
        try:
            earlier.save_checkpoint({"of": "an earlier attempt"})
        except Exception as exc:
            refused = str(exc)
    kept.append(ctx)
    return {**seen(), "refused": refused}


@worker.workload("write_late", reuse=1_000)
def write_late(ctx: SyncContext, params: dict[str, Any]) -> dict[str, Any]:
    file = open(params["path"], "a")  # noqa: SIM115 -- left open and unflushed, which is the point
    file.write("written\n")
    kept.append(file)
    return seen()


@worker.workload("at_exit", reuse=1_000)
def at_exit(ctx: SyncContext, params: dict[str, Any]) -> dict[str, Any]:
    atexit.register(Path(params["path"]).touch)
    return seen()


@worker.workload("hold", reuse=1_000)
def hold(ctx: SyncContext, params: dict[str, Any]) -> dict[str, Any]:
    ctx.report_progress(1)
    while not Path(params["path"]).exists():
        time.sleep(0.01)
        ctx.offer_checkpoint({})
    return seen()


@worker.workload("fails", reuse=1_000)
def fails(ctx: SyncContext) -> None:
    raise RuntimeError(f"pid {os.getpid()}")


# --- what an attempt may do to its process ------------------------------------------------------------


def _daemon() -> None:
    """A process that its parent knows nothing of."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(60)
        os._exit(0)
    os.wait()


def _orphan_without_environment() -> None:
    subprocess.Popen(["/bin/sh", "-c", "env -i setsid sleep 60 &"], start_new_session=True).wait()


def _native_thread() -> None:
    libc = ctypes.CDLL(None)
    thread = ctypes.c_ulong()
    libc.pthread_create(ctypes.byref(thread), None, ctypes.cast(libc.pause, ctypes.c_void_p), None)


def _close_pipes() -> None:
    for number in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{number}").startswith("pipe:"):
                os.close(number)


PUT_BACK: dict[str, Callable[[], object]] = {
    "environ": lambda: os.environ.update(PATH="/nowhere", LEFT="behind"),
    "environ_removed": lambda: os.environ.pop("PATH"),
    "native_environ": lambda: os.putenv("LEFT", "behind"),
    "umask": lambda: os.umask(0o777),
    "cwd": lambda: os.chdir("/"),
    "stdout": lambda: setattr(sys, "stdout", None),
    "sigterm": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "timer": lambda: signal.setitimer(signal.ITIMER_REAL, 60),
}
ENDS_IT: dict[str, Callable[[], object]] = {
    "thread": lambda: threading.Thread(target=time.sleep, args=(60,), daemon=True, name="left-behind").start(),
    "native_thread": _native_thread,
    "child": lambda: kept.append(subprocess.Popen(["/bin/sleep", "60"])),
    "zombie": lambda: kept.append(subprocess.Popen(["/bin/true"])),
    "daemon": _daemon,
    "orphan": _orphan_without_environment,
    "signal_handler": lambda: signal.signal(signal.SIGUSR1, lambda *_: None),
    "sigint": lambda: signal.signal(signal.SIGINT, lambda *_: None),
    "ignored_signal": lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    "blocked_signal": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]),
    "rlimit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 1024)),
    "nice": lambda: os.nice(5),
    "affinity": lambda: os.sched_setaffinity(0, [0]),
    "closed_stdout": lambda: os.close(1),
    "other_stdout": lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 1),
    "closed_errors": lambda: os.close(2),
    "closed_all": _close_pipes,
    "memory": lambda: kept.append(b"x" * (300 << 20)),
}


@worker.workload("change", reuse=1_000)
def change(ctx: SyncContext, params: dict[str, Any]) -> dict[str, Any]:
    """Say how things are, and then change one of them."""
    mask = os.umask(0)
    os.umask(mask)
    found = {
        **seen(),
        "environ": dict(os.environ),
        "native": subprocess.run(["/usr/bin/env"], capture_output=True, text=True, check=True).stdout.splitlines(),
        "umask": mask,
        "threads": threading.active_count(),
        "sigterm": signal.getsignal(signal.SIGTERM) in (signal.SIG_IGN, signal.SIG_DFL),
        "stdout": sys.stdout is not None,
        "timer": signal.getitimer(signal.ITIMER_REAL)[0],
    }
    if what := params.get("what"):
        changes: dict[str, Callable[[], object]] = {**PUT_BACK, **ENDS_IT}
        changes[what]()
    return found
