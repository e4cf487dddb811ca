"""Handlers that fork, take signals, log and end as Python programs do."""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import logging
import multiprocessing
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from niyanta import CheckpointError, Context, SyncContext, Worker

worker = Worker(capacity=4)
fork = multiprocessing.get_context("fork")
kept: list[Any] = []
"""What must not be collected before the process ends."""


def square(number: int) -> int:
    return number * number


# --- pools and processes ------------------------------------------------------------------------


@worker.workload("pool_then_save")
async def pool_then_save(ctx: Context) -> list[int]:
    """Open and close pools, and save in between."""
    saved = []
    for _ in range(4):
        with fork.Pool(3) as pool:
            assert pool.map(square, range(10)) == [n * n for n in range(10)]
        saved.append(await ctx.save_checkpoint({"x": 1}))
    return saved


@worker.workload("pool_then_save_sync")
def pool_then_save_sync(ctx: SyncContext) -> list[int]:
    saved = []
    for _ in range(4):
        with fork.Pool(3) as pool:
            assert pool.map(square, range(10)) == [n * n for n in range(10)]
        saved.append(ctx.save_checkpoint({"x": 1}))
    return saved


def _terminated(ctx: Any) -> int | None:
    child = fork.Process(target=time.sleep, args=(60,))
    child.start()
    child.terminate()
    child.join()
    return child.exitcode


@worker.workload("terminate_child")
async def terminate_child(ctx: Context) -> int | None:
    return _terminated(ctx)


@worker.workload("terminate_child_sync")
def terminate_child_sync(ctx: SyncContext) -> int | None:
    return _terminated(ctx)


@worker.workload("terminate_child_inline", isolation="inline")
async def terminate_child_inline(ctx: Context) -> int | None:
    code = _terminated(ctx)
    await asyncio.sleep(0.2)  # a signal that came to the agent would be heard by now
    return code


@worker.workload("busy_pool")
async def busy_pool(ctx: Context) -> str:
    """Return while a pool works."""
    pool = fork.Pool(2)
    pool.map_async(time.sleep, [60, 60, 60])
    kept.append(pool)
    return "done"


@worker.workload("busy_pool_closed_sync")
def busy_pool_closed_sync(ctx: SyncContext) -> str:
    with fork.Pool(2) as pool:
        pool.map_async(time.sleep, [60, 60, 60])
        time.sleep(0.2)
    return "done"


@worker.workload("busy_executor")
async def busy_executor(ctx: Context) -> str:
    executor = ProcessPoolExecutor(2, mp_context=fork)
    kept.append(executor.submit(time.sleep, 60))
    kept.append(executor)
    return "done"


@worker.workload("child_left")
def child_left(ctx: SyncContext) -> str:
    """Return while a process that isn't a daemon runs."""
    child = fork.Process(target=time.sleep, args=(60,))
    child.start()
    kept.append(child)
    return "done"


@worker.workload("executor_in_loop")
async def executor_in_loop(ctx: Context) -> list[int]:
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(2, mp_context=fork) as executor:
        found = await asyncio.gather(*(loop.run_in_executor(executor, square, n) for n in range(20)))
    return list(found)


# --- bare forks ---------------------------------------------------------------------------------


def _forked(how: str) -> str:
    if os.fork() == 0:
        if how == "raises":
            raise ValueError("the child's own")
        if how == "exits":
            sys.exit(3)
        return "child"
    _, status = os.wait()
    return f"parent saw {os.waitstatus_to_exitcode(status)}"


@worker.workload("bare_fork")
def bare_fork(ctx: SyncContext) -> str:
    return _forked(ctx.input_params["how"])


@worker.workload("bare_fork_async")
async def bare_fork_async(ctx: Context) -> str:
    return _forked(ctx.input_params["how"])


@worker.workload("bare_fork_inline", isolation="inline")
async def bare_fork_inline(ctx: Context) -> str:
    return _forked(ctx.input_params["how"])


async def _forked_and_waiting() -> str:
    if os.fork() == 0:
        await asyncio.sleep(0.01)
        return "child"
    _, status = os.wait()  # noqa: ASYNC222 -- the child ends at once
    return f"parent saw {os.waitstatus_to_exitcode(status)}"


@worker.workload("fork_and_await")
async def fork_and_await(ctx: Context) -> str:
    return await _forked_and_waiting()


@worker.workload("fork_and_await_inline", isolation="inline")
async def fork_and_await_inline(ctx: Context) -> str:
    return await _forked_and_waiting()


@worker.workload("fork_in_task_inline", isolation="inline")
async def fork_in_task_inline(ctx: Context) -> str:
    return await asyncio.create_task(_forked_and_waiting())


@worker.workload("fork_beside_inline", isolation="inline")
async def fork_beside_inline(ctx: Context) -> dict[str, Any]:
    """Fork in something that the event loop runs beside the handler; say in which processes the rest has run."""
    loop, here, what = asyncio.get_running_loop(), Path(ctx.input_params["here"]), ctx.input_params["child"]

    async def beside() -> None:
        for _ in range(5):
            with open(here, "a") as file:  # noqa: ASYNC230
                file.write(f"{os.getpid()}\n")
            await asyncio.sleep(0)

    others = [loop.create_task(beside()) for _ in range(2)]
    match ctx.input_params["how"]:
        case "task":
            child = await loop.create_task(_left_by_child(what))
        case "gather":
            child, _ = await asyncio.gather(_left_by_child(what), beside())
        case "group":
            async with asyncio.TaskGroup() as group:
                task = group.create_task(_left_by_child(what), name="forks", context=contextvars.Context())
                group.create_task(beside())
            child = task.result()
        case "nested":
            child = await loop.create_task(_in_a_task_of_its_own(what))
        case "callback":
            made: asyncio.Future[int] = loop.create_future()
            loop.call_soon(lambda: made.set_result(_child_of_callback(what)))
            child = await made
        case "timer":
            made = loop.create_future()
            loop.call_later(0.001, lambda: made.set_result(_child_of_callback(what)))
            child = await made
        case "reader":
            child = await _forked_by_reader(loop, what)
        case "bare":
            child = await _bare_fork_in_callback(loop)
        case "thread":
            child = await asyncio.to_thread(_child_of_callback, what)
    await asyncio.gather(*others, beside())
    return {"status": await asyncio.to_thread(_status, child), "strangers": _strangers(here)}


async def _in_a_task_of_its_own(what: str) -> int:
    return await asyncio.create_task(_left_by_child(what))


async def _left_by_child(what: str) -> int:
    """Fork a process that leaves this coroutine; gives its id."""
    await asyncio.sleep(0)
    if (child := os.fork()) == 0:
        match what:
            case "awaits":
                await asyncio.sleep(0.01)
            case "raises":
                raise ValueError("the child's own")
            case "exits":
                sys.exit(3)
            case "is_cancelled":
                raise asyncio.CancelledError
    return child


def _child_of_callback(what: str) -> int:
    if (child := os.fork()) == 0:
        if what == "raises":
            raise ValueError("the child's own")
        if what == "exits":
            os._exit(3)
    return child


async def _forked_by_reader(loop: asyncio.AbstractEventLoop, what: str) -> int:
    made: asyncio.Future[int] = loop.create_future()
    left, right = socket.socketpair()

    def readable() -> None:
        loop.remove_reader(left)
        made.set_result(_child_of_callback(what))

    with left, right:
        loop.add_reader(left, readable)
        right.send(b"x")
        return await made


async def _bare_fork_in_callback(loop: asyncio.AbstractEventLoop) -> int:
    """The id of a child that ``os.fork`` made as the callback itself."""
    before = set(_children())
    loop.call_soon(os.fork)
    while not (made := set(_children()) - before):
        await asyncio.sleep(0)
    (child,) = made
    return child


def _children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()]


def _status(child: int) -> int | None:
    """Exit status of a child; None when it doesn't end."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _strangers(here: Path) -> list[str]:
    return sorted(set(here.read_text().split()) - {str(os.getpid())})


# --- what children say --------------------------------------------------------------------------


def _save_in_child(ctx: Any) -> str:
    try:
        ctx.save_checkpoint({"child": 1})
    except CheckpointError as exc:
        return str(exc)
    return "saved"


def _in_pool(work: Any, argument: Any) -> Any:
    kept.append((work, argument))
    with fork.Pool(1) as pool:
        return pool.apply(_kept_work)


def _kept_work() -> Any:
    work, argument = kept[-1]
    return work(argument)


@worker.workload("save_in_child")
def save_in_child(ctx: SyncContext) -> dict[str, Any]:
    said = _in_pool(_save_in_child, ctx)
    return {"child": said, "parent": ctx.save_checkpoint({"parent": 1})}


@worker.workload("save_in_child_async")
async def save_in_child_async(ctx: Context) -> dict[str, Any]:
    said = _in_pool(_save_in_child, ctx)
    return {"child": said, "parent": await ctx.save_checkpoint({"parent": 1})}


def _log_in_child(ctx: Any) -> int:
    ctx.log.info("an info from the child")
    ctx.log.warning("a warning from the child")
    print("printed by the child")
    return os.getpid()


@worker.workload("log_in_child")
def log_in_child(ctx: SyncContext) -> bool:
    other: bool = _in_pool(_log_in_child, ctx) != os.getpid()
    for number in range(50):
        ctx.log.info("parent %d", number)
    return other


# --- signals ------------------------------------------------------------------------------------


@worker.workload("timer_reports")
def timer_reports(ctx: SyncContext) -> int:
    """Report in a signal handler, while the handler reports and saves."""
    count = 0

    def tick(*_: object) -> None:
        nonlocal count
        count += 1
        ctx.report_progress(count % 100, f"tick {count}")
        ctx.log.info("tock %d", count)

    signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    until = time.monotonic() + 1.5
    number = 0
    while time.monotonic() < until:
        number += 1
        ctx.log.info("%s %d", "x" * 3000, number)
        ctx.report_progress(number % 100, f"step {number}")
        if number % 20 == 0:
            ctx.save_checkpoint({"number": number})
    signal.setitimer(signal.ITIMER_REAL, 0)
    return count


@worker.workload("own_sigterm")
def own_sigterm(ctx: SyncContext) -> None:
    """Log in a handler of SIGTERM of its own, in the middle of other lines."""

    def told(*_: object) -> None:
        ctx.log.info("told to stop")
        ctx.report_progress(99, "stopping")
        sys.exit("stopped in order")

    signal.signal(signal.SIGTERM, told)
    ctx.report_progress(1)
    while True:
        ctx.log.info("busy")


@worker.workload("signals_of_tools")
def signals_of_tools(ctx: SyncContext) -> dict[str, int]:
    """How tools end by a signal that should end them."""
    ends = {}
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE):
        tool = subprocess.Popen(["sleep", "60"])
        tool.send_signal(number)
        try:
            ends[number.name] = tool.wait(timeout=3)
        except subprocess.TimeoutExpired:
            tool.kill()
            ends[number.name] = 0
    return ends


@worker.workload("interrupts_itself")
def interrupts_itself(ctx: SyncContext) -> str:
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    except KeyboardInterrupt:
        return "interrupted"
    return "ignored"


# --- ends ---------------------------------------------------------------------------------------


class OwnEnd(BaseException):
    pass


@worker.workload("ends")
def ends(ctx: SyncContext) -> str:
    """End in one of many ways, with something left over."""
    left = Path(ctx.input_params["left"])
    file = open(left, "w")  # noqa: SIM115 -- left open on purpose
    file.write("flushed")
    kept.append(file)
    atexit.register(lambda: (left.parent / "exit").write_text("ran"))
    match ctx.input_params.get("beside"):
        case "thread":
            threading.Thread(target=time.sleep, args=(60,), name="sleepy").start()
        case "executor":
            executor = ThreadPoolExecutor()
            executor.submit(time.sleep, 60)
            kept.append(executor)
        case "exit":
            atexit.register(time.sleep, 60)
    match ctx.input_params["how"]:
        case "interrupt":
            raise KeyboardInterrupt
        case "own":
            raise OwnEnd("of its own kind")
        case "exit_text":
            sys.exit("no licence left")
        case "exit_code":
            sys.exit(4)
        case "error":
            raise ValueError("broken")
        case "save":
            while True:
                ctx.save_checkpoint({"x": 1})
    return "done"


@worker.workload("ends_async")
async def ends_async(ctx: Context) -> str:
    left = Path(ctx.input_params["left"])
    file = open(left, "w")  # noqa: SIM115, ASYNC230 -- left open on purpose
    file.write("flushed")
    kept.append(file)
    atexit.register(lambda: (left.parent / "exit").write_text("ran"))
    match ctx.input_params.get("beside"):
        case "task":
            kept.append(asyncio.create_task(asyncio.sleep(60)))
        case "stubborn_task":
            kept.append(asyncio.create_task(_stubborn()))
        case "to_thread":
            kept.append(asyncio.create_task(asyncio.to_thread(time.sleep, 60)))
            await asyncio.sleep(0.1)
    match ctx.input_params["how"]:
        case "interrupt":
            raise KeyboardInterrupt
        case "exit_text":
            sys.exit("no licence left")
        case "own":
            raise OwnEnd("of its own kind")
    return "done"


async def _stubborn() -> None:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue


@worker.workload("closes_descriptors")
def closes_descriptors(ctx: SyncContext) -> Any:
    """Close all that is open, as daemons do; then go on."""
    os.closerange(3, 256)
    if ctx.input_params.get("save"):
        ctx.save_checkpoint({"x": 1})
    elif ctx.input_params.get("wait"):
        time.sleep(60)
    return "done"


# --- output -------------------------------------------------------------------------------------


@worker.workload("loggers")
def loggers(ctx: SyncContext) -> None:
    """Log as libraries do."""
    logging.getLogger("a.library").info("library info")
    logging.getLogger("a.library").debug("library debug")
    logging.info("root info")
    logging.getLogger("a.library").warning("library warning")
    warnings.warn("a warning of Python", stacklevel=1)


@worker.workload("loggers_async")
async def loggers_async(ctx: Context) -> None:
    logging.getLogger("a.library").info("library info")
    await asyncio.to_thread(logging.getLogger("a.thread").info, "thread info")


@worker.workload("loggers_inline", isolation="inline")
async def loggers_inline(ctx: Context) -> None:
    logging.getLogger("a.library").info("library info %s", ctx.input_params["name"])
    await asyncio.sleep(0.05)
    await asyncio.create_task(_log_later(ctx.input_params["name"]))
    await asyncio.to_thread(logging.getLogger("a.thread").info, "thread info %s", ctx.input_params["name"])


async def _log_later(name: str) -> None:
    logging.getLogger("a.task").info("task info %s", name)


@worker.workload("order")
def order(ctx: SyncContext) -> None:
    """Say numbers in turn by all that can say something."""
    for number in range(0, 300, 6):
        print(number)
        ctx.log.info("%d", number + 1)
        print(number + 2, file=sys.stderr)
        logging.getLogger("library").info("%d", number + 3)
        ctx.report_progress(1, str(number + 4))
        subprocess.run(["echo", str(number + 5)], check=True)


@worker.workload("partial_lines")
def partial_lines(ctx: SyncContext) -> None:
    print("one, ", end="", flush=True)
    ctx.log.info("between")
    print("two")


@worker.workload("bar")
def bar(ctx: SyncContext) -> None:
    """Draw a progress bar as tools do."""
    stream = sys.stderr if ctx.input_params["stream"] == "stderr" else sys.stdout
    style = ctx.input_params["style"]
    for percent in range(0, 101):
        if style == "before":
            stream.write(f"\r{percent}%|{'#' * percent}")
        elif style == "after":
            stream.write(f"{percent}%|{'#' * percent}\r")
        else:
            stream.write(f"\x1b[2K\r{percent}%|{'#' * percent}")
        stream.flush()
    stream.write("\ndone\n" if ctx.input_params.get("newline", True) else "")


@worker.workload("dos_lines")
def dos_lines(ctx: SyncContext) -> None:
    sys.stdout.buffer.write(b"one\r\ntwo\r")
    sys.stdout.flush()
    time.sleep(0.2)
    sys.stdout.buffer.write(b"\nthree\r\n\r\nfour")
    sys.stdout.flush()


# --- what a process may say ---------------------------------------------------------------------


def _report(**body: Any) -> bytes:
    return _frame({"type": "report", "body": body, "number": 0})


def _frame(message: Any) -> bytes:
    data = msgspec.msgpack.encode(message)
    return struct.pack("!I", len(data)) + data


def _nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * depth + b"]" * depth + b"}"


SAID = {
    "ext": _report(type="log", level="INFO", message="x", details={"a": msgspec.msgpack.Ext(5, b"x")}),
    "deep_ext": _report(type="log", level="INFO", message="x", details={"a": [{"b": msgspec.msgpack.Ext(5, b"x")}]}),
    "large_details": _report(type="log", level="INFO", message="x", details={"a": "x" * 100_000}),
    "number_as_key": _report(type="log", level="INFO", message="x", details={1: 2}),
    "level": _report(type="log", level="SHOUT", message="x"),
    "percent": _report(type="progress", percent=1000),
    "percent_text": _report(type="progress", percent="much"),
    "message": _report(type="log", level="INFO", message=b"\xff"),
    "not_utf8": _frame({"type": "done", "result_json": b'{"a": "\xff"}'}),
    "infinite": _frame({"type": "done", "result_json": b'{"a": 1e999999}'}),
    "nan": _frame({"type": "done", "result_json": b'{"a": NaN}'}),
    "nul": _frame({"type": "done", "result_json": b'{"a": "\\u0000"}'}),
    "half": _frame({"type": "done", "result_json": b'{"a": "\\ud800"}'}),
    "large_number": _frame({"type": "done", "result_json": b'{"a": 100000000000000000000}'}),
    "list": _frame({"type": "done", "result_json": b"[]"}),
    "empty": _frame({"type": "done", "result_json": b""}),
    "twice": _frame({"type": "done", "result_json": b"{}{}"}),
    "deep": _frame({"type": "done", "result_json": _nested(100)}),
    "very_deep": _frame({"type": "done", "result_json": _nested(100_000)}),
    "large": _frame({"type": "done", "result_json": b'{"a": "' + b"x" * (2 << 20) + b'"}'}),
    "encoding": _frame({"type": "save", "data": b"{}", "encoding": "latin-1", "number": 7}),
    "other_file": _frame({"type": "save", "data": None, "encoding": "bytes", "number": -1}),
    "unknown": _frame({"type": "surprise"}),
    "garbage": b"GET / HTTP/1.1\r\n\r\n" * 10_000,
    "no_message": struct.pack("!I", 4) + b"\xc1\xc1\xc1\xc1",
}


@worker.workload("speaks_for_itself")
def speaks_for_itself(ctx: SyncContext) -> str:
    """Write to every socket that it finds."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                socket.socket(fileno=os.dup(int(name))).sendall(SAID[ctx.input_params["what"]])
        except OSError:
            continue
    time.sleep(0.5)  # no longer, as it has five seconds to end by itself, in which the test would wait for it
    return "unheard"


for name, result in {"infinite": '{\\"a\\": 1e999999}', "latin": '{\\"a\\": \\"\\xff\\"}', "text": "[1, 2"}.items():
    worker.command(f"writes_{name}", ["python3", "-c", f'open("result.json", "wb").write(b"{result}")'])


# --- what it finds ------------------------------------------------------------------------------


def _made_by(function: Any) -> Any:
    def wrapper(ctx: Any) -> Any:
        return function(ctx)

    return wrapper


@_made_by
async def _unseen(ctx: Context) -> None:
    pass


worker.workload("unseen_coroutine")(_unseen)


@worker.workload("environment")
def environment(ctx: SyncContext) -> dict[str, str]:
    """What it and its tools see."""
    seen = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout.splitlines()
    tool = dict(line.split("=", 1) for line in seen if line.startswith("NIYANTA_TEST"))
    return {**tool, **{name: value for name, value in os.environ.items() if name.startswith("NIYANTA_TEST")}}
