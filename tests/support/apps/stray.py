"""Handlers as people write them on a bad day: each does one odd thing, and then what it is for."""

from __future__ import annotations

import asyncio
import atexit
import builtins
import collections
import contextlib
import dataclasses
import datetime
import decimal
import enum
import functools
import io
import logging
import logging.config
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import uuid
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from niyanta import Context, PermanentError, SyncContext, Worker

worker = Worker(capacity=4)
kept: list[Any] = []
fork = multiprocessing.get_context("fork")


def sync(function: Any) -> Any:
    """Register a handler under its own name."""
    return worker.workload(function.__name__)(function)


def _seen(child: int) -> int:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return -1000


# --- forks --------------------------------------------------------------------------------------


@sync
def fork_in_thread(ctx: SyncContext) -> int:
    """The child's thread returns."""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(os.fork()))
    thread.start()
    thread.join()
    return _seen(found[0])


@sync
def fork_in_generator(ctx: SyncContext) -> int:
    def numbers() -> Any:
        yield os.fork()

    (child,) = numbers()
    return _seen(child) if child else 0


@sync
def fork_in_finalizer(ctx: SyncContext) -> int:
    class Holder:
        def __del__(self) -> None:
            kept.append(os.fork())

    Holder()
    return _seen(kept[-1]) if kept[-1] else 0


@sync
def fork_at_exit(ctx: SyncContext) -> str:
    atexit.register(os.fork)
    return "done"


@sync
def daemon_that_stays(ctx: SyncContext) -> str:
    """Fork twice, leave the session, keep the output open."""
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(300)
        os._exit(0)
    os.waitpid(child, 0)
    return "done"


@sync
def program_that_stays(ctx: SyncContext) -> str:
    kept.append(subprocess.Popen(["sleep", "300"]))
    return "done"


@sync
def fork_in_comprehension(ctx: SyncContext) -> list[int]:
    children = [os.fork() for _ in range(1)]
    return [_seen(child) if child else 0 for child in children]


async def fork_in_async_generator(ctx: Context) -> int:
    async def numbers() -> Any:
        yield os.fork()

    async for child in numbers():
        return await asyncio.to_thread(_seen, child) if child else 0
    return -1


async def fork_in_async_with(ctx: Context) -> int:
    class Forking:
        async def __aenter__(self) -> int:
            return os.fork()

        async def __aexit__(self, *_: object) -> None:
            await asyncio.sleep(0)

    async with Forking() as child:
        return await asyncio.to_thread(_seen, child) if child else 0


for _function in (fork_in_async_generator, fork_in_async_with):
    worker.workload(_function.__name__)(_function)
    worker.workload(f"{_function.__name__}_inline", isolation="inline")(_function)


def _square(number: int) -> int:
    return number * number


@sync
def spawn_pool(ctx: SyncContext) -> list[int]:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        return pool.map(_square, range(4))


@sync
def forkserver_pool(ctx: SyncContext) -> list[int]:
    with multiprocessing.get_context("forkserver").Pool(2) as pool:
        return pool.map(_square, range(4))


@sync
def manager_and_queue(ctx: SyncContext) -> int:
    with fork.Manager() as manager:
        shared = manager.list()
        children = [fork.Process(target=shared.append, args=(n,)) for n in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        return len(shared)


@sync
def shared_memory(ctx: SyncContext) -> str:
    from multiprocessing import shared_memory as memory

    kept.append(memory.SharedMemory(create=True, size=1000))
    return "done"


# --- signals ------------------------------------------------------------------------------------


def _signalled(number: int) -> Any:
    def handler(ctx: SyncContext) -> str:
        os.kill(os.getpid(), number)
        time.sleep(1)
        return "survived"

    return handler


for _number in ("SEGV", "ABRT", "KILL", "TERM", "HUP", "ALRM", "PIPE", "USR1", "INT", "CHLD"):
    worker.workload(f"kills_itself_{_number}")(_signalled(getattr(signal, f"SIG{_number}")))


@sync
def kills_its_group(ctx: SyncContext) -> str:
    os.kill(0, signal.SIGTERM)
    time.sleep(1)
    return "survived"


@sync
def blocks_all_signals(ctx: SyncContext) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    return ctx.save_checkpoint({"a": 1})


@sync
def ignores_children(ctx: SyncContext) -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    subprocess.run(["true"], check=False)
    return ctx.save_checkpoint({"a": 1})


@sync
def alarm_raises(ctx: SyncContext) -> str:
    def ring(*_: object) -> None:
        raise TimeoutError("too slow")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        time.sleep(20)
    except TimeoutError as exc:
        ctx.save_checkpoint({"a": 1})
        return str(exc)
    return "no alarm"


# --- exits --------------------------------------------------------------------------------------


class Own(BaseException):
    """Not an `Exception`."""


class Unsayable(Exception):  # noqa: N818
    """Fails when it is shown."""

    def __str__(self) -> str:
        raise ValueError("no words")

    __repr__ = __str__


def _raising(error: Any) -> None:
    def handler(ctx: SyncContext) -> None:
        raise error()

    async def async_handler(ctx: Context) -> None:
        raise error()

    name = error.__name__.strip("_")
    worker.workload(f"raises_{name}")(handler)
    worker.workload(f"raises_{name}_async")(async_handler)
    worker.workload(f"raises_{name}_inline", isolation="inline")(async_handler)


def _group() -> BaseException:
    return ExceptionGroup("several", [ValueError("one"), PermanentError("two")])


def _long() -> BaseException:
    return ValueError("x" * 5_000_000)


def _surrogate() -> BaseException:
    return ValueError("lone \ud800 and \0")


def _text() -> BaseException:
    return SystemExit("no such file")


def _zero() -> BaseException:
    return SystemExit(0)


def _chained() -> BaseException:
    error = ValueError("outer")
    error.__cause__ = KeyError("inner")
    return error


for _error in (
    KeyboardInterrupt, GeneratorExit, StopIteration, StopAsyncIteration, asyncio.CancelledError, Own, Unsayable,
    MemoryError, RecursionError, NotImplementedError, _group, _long, _surrogate, _text, _zero, _chained,
):  # fmt: skip
    _raising(_error)


@sync
def exits_at_once(ctx: SyncContext) -> str:
    os._exit(0)


@sync
def exits_in_a_thread(ctx: SyncContext) -> str:
    thread = threading.Thread(target=lambda: sys.exit(3))
    thread.start()
    thread.join()
    return "done"


@sync
def raises_in_a_thread(ctx: SyncContext) -> str:
    thread = threading.Thread(target=lambda: 1 / 0, name="mine")
    thread.start()
    thread.join()
    return "done"


@sync
def exits_from_a_thread_hard(ctx: SyncContext) -> str:
    threading.Thread(target=lambda: os._exit(5)).start()
    time.sleep(20)
    return "survived"


@sync
def quits(ctx: SyncContext) -> str:
    builtins.exit("bye")


@sync
def recurses(ctx: SyncContext) -> int:
    deeper: int = recurses(ctx)
    return deeper + 1


@sync
def at_exit_raises(ctx: SyncContext) -> str:
    atexit.register(lambda: 1 / 0)
    return "done"


@sync
def at_exit_sleeps(ctx: SyncContext) -> str:
    atexit.register(time.sleep, 300)
    return "done"


@sync
def at_exit_says(ctx: SyncContext) -> str:
    atexit.register(print, "said at exit")
    weakref.finalize(Own, print, "said by a finalizer")
    kept.append(Own)
    return "done"


@sync
def at_exit_saves(ctx: SyncContext) -> str:
    atexit.register(lambda: ctx.save_checkpoint({"late": 1}))
    return "done"


@sync
def threads_go_on(ctx: SyncContext) -> str:
    def report() -> None:
        number = 0
        while True:
            number += 1
            ctx.log.info("late %d", number)
            ctx.report_progress(50)
            time.sleep(0.001)

    threading.Thread(target=report).start()
    time.sleep(0.1)
    return "done"


@sync
def executor_is_full(ctx: SyncContext) -> str:
    executor = ThreadPoolExecutor(1)
    for _ in range(3):
        executor.submit(time.sleep, 100)
    kept.append(executor)
    return "done"


# --- event loops --------------------------------------------------------------------------------


@worker.workload("stops_the_loop")
async def stops_the_loop(ctx: Context) -> str:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.1)
    return "done"


@worker.workload("runs_a_loop_in_a_loop")
async def runs_a_loop_in_a_loop(ctx: Context) -> str:
    work = asyncio.sleep(0)
    with contextlib.closing(work):
        asyncio.run(work)
    return "done"


@sync
def runs_a_loop(ctx: SyncContext) -> int:
    async def work() -> int:
        await asyncio.sleep(0.01)
        return ctx.save_checkpoint({"a": 1})

    return asyncio.run(work())


@worker.workload("cancels_itself")
async def cancels_itself(ctx: Context) -> str:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)
    return "done"


@worker.workload("swallows_its_own_cancel")
async def swallows_its_own_cancel(ctx: Context) -> str:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    await ctx.save_checkpoint({"a": 1})
    return "done"


@worker.workload("leaves_tasks")
async def leaves_tasks(ctx: Context) -> str:
    async def stubborn() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(100)

    kept.append(asyncio.create_task(stubborn()))
    await asyncio.sleep(0)
    return "done"


@worker.workload("saves_at_once")
async def saves_at_once(ctx: Context) -> list[int]:
    return sorted(await asyncio.gather(*(ctx.save_checkpoint({"n": n}) for n in range(5))))


@sync
def saves_in_threads(ctx: SyncContext) -> list[int]:
    with ThreadPoolExecutor(5) as executor:
        return sorted(executor.map(lambda n: ctx.save_checkpoint({"n": n}), range(5)))


@worker.workload("blocks_the_loop")
async def blocks_the_loop(ctx: Context) -> int:
    time.sleep(1.5)  # noqa: ASYNC251 -- as people do
    return await ctx.save_checkpoint({"a": 1})


@worker.workload("a_future_of_another_loop")
async def a_future_of_another_loop(ctx: Context) -> str:
    other = asyncio.new_event_loop()
    try:
        await other.create_future()
    finally:
        other.close()
    return "done"


# --- what a process has -------------------------------------------------------------------------


@sync
def closes_every_descriptor(ctx: SyncContext) -> int:
    os.closerange(3, 256)
    return ctx.save_checkpoint({"a": 1})


@sync
def closes_its_output(ctx: SyncContext) -> str:
    sys.stdout.close()
    sys.stderr.close()
    ctx.log.info("still here")
    return "done"


@sync
def closes_output_descriptors(ctx: SyncContext) -> str:
    os.close(1)
    os.close(2)
    print("into nothing")
    ctx.log.info("still here")
    return "done"


@sync
def redirects_its_output(ctx: SyncContext) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as caught:
        print("caught")
    sys.stdout = io.StringIO()
    print("lost")
    ctx.log.info("still here")
    return caught.getvalue().strip()


@sync
def few_descriptors(ctx: SyncContext) -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    return ctx.save_checkpoint({"a": 1})


@sync
def stands_nowhere(ctx: SyncContext) -> int:
    os.makedirs("gone", exist_ok=True)
    os.chdir("gone")
    os.rmdir(f"../{os.path.basename('gone')}")
    return ctx.save_checkpoint({"a": 1})


@sync
def clears_its_environment(ctx: SyncContext) -> int:
    os.environ.clear()
    return ctx.save_checkpoint({"a": 1})


@sync
def asks_for_input(ctx: SyncContext) -> str:
    return input("name? ")


@sync
def stops_time(ctx: SyncContext) -> int:
    time.time = lambda: 0.0
    time.monotonic = lambda: 0.0
    time.sleep = lambda seconds: None
    ctx.log.info("no time")
    ctx.report_progress(10)
    return ctx.save_checkpoint({"a": 1})


@sync
def prints_differently(ctx: SyncContext) -> str:
    vars(builtins)["print"] = lambda *_: None
    ctx.log.info("still here")
    return "done"


# --- logging and output -------------------------------------------------------------------------


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("can't be shown")

    __repr__ = __str__


@sync
def logs_wrongly(ctx: SyncContext) -> str:
    ctx.log.info("%d and %d", "one")
    ctx.log.info("%s", Unprintable())
    logging.getLogger("lib").info("%d", "x")
    logging.getLogger("lib").warning("bad {}", 1)
    ctx.log.info("after")
    return "done"


@sync
def logs_odd_extras(ctx: SyncContext) -> str:
    around: dict[str, Any] = {}
    around["self"] = around
    ctx.log.info("extras", extra={"a": b"\xff", "b": {1, 2}, "c": Unprintable(), "d": around, "e": 10**400})
    ctx.log.info("lone \ud800 \0 text", extra={"k\ud800": "v\ud800"})
    ctx.log.info("after")
    return "done"


@sync
def logs_exceptions(ctx: SyncContext) -> str:
    try:
        raise Unsayable
    except Unsayable:
        ctx.log.exception("it happened")
        logging.getLogger("lib").exception("there too")
    ctx.log.info("stack", stack_info=True)
    ctx.log.info("after")
    return "done"


@sync
def configures_logging(ctx: SyncContext) -> str:
    logging.basicConfig(level=logging.DEBUG, force=True, format="MINE %(message)s")
    logging.getLogger("lib").debug("a detail")
    ctx.log.info("by ctx")
    return "done"


@sync
def configures_logging_wholly(ctx: SyncContext) -> str:
    handlers = {"h": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}}
    logging.config.dictConfig(
        {"version": 1, "disable_existing_loggers": True, "handlers": handlers, "root": {"handlers": ["h"]}}
    )
    logging.getLogger("fresh").warning("by fresh")
    ctx.log.info("by ctx")
    return "done"


@sync
def shuts_logging_down(ctx: SyncContext) -> str:
    logging.shutdown()
    logging.disable(logging.CRITICAL)
    ctx.log.info("by ctx")
    return "done"


@sync
def warns(ctx: SyncContext) -> str:
    warnings.warn("old way", DeprecationWarning, stacklevel=1)
    warnings.warn("careful", UserWarning, stacklevel=1)
    logging.captureWarnings(True)
    warnings.warn("captured", UserWarning, stacklevel=1)
    return "done"


@sync
def writes_bytes(ctx: SyncContext) -> str:
    sys.stdout.buffer.write(b"\xff\xfe binary\n")
    sys.stdout.write("lone \udcff\n") if sys.stdout.errors != "strict" else None
    sys.stdout.flush()
    os.write(1, b"\0\x1b[31mred\x1b[0m\n")
    return "done"


@sync
def writes_without_an_end(ctx: SyncContext) -> str:
    for _ in range(300):
        sys.stdout.write("x" * 10_000)
    return "done"


@sync
def changes_the_encoding(ctx: SyncContext) -> str:
    sys.stdout.reconfigure(encoding="latin-1", errors="replace")  # type: ignore[union-attr]
    print("grün €")
    return "done"


# --- results ------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float


Pair = collections.namedtuple("Pair", "a b")


def _deep(levels: int) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = [found]
    return found


def _round() -> Any:
    found: dict[str, Any] = {}
    found["self"] = found
    return found


VALUES: dict[str, Any] = {
    "generator": lambda: (n for n in range(3)),
    "set": lambda: {1},
    "bytes": lambda: b"ab",
    "datetime": lambda: datetime.datetime(2025, 1, 2, tzinfo=datetime.UTC),
    "timedelta": lambda: datetime.timedelta(seconds=1),
    "decimal": lambda: decimal.Decimal("1.10"),
    "uuid": lambda: uuid.UUID(int=1),
    "enum": lambda: Colour.RED,
    "dataclass": lambda: Point(1, 2.0),
    "namedtuple": lambda: Pair(1, 2),
    "ordered": lambda: collections.OrderedDict(a=1),
    "counter": lambda: collections.Counter("aab"),
    "defaultdict": lambda: collections.defaultdict(int, a=1),
    "chainmap": lambda: collections.ChainMap({"a": 1}),
    "deque": lambda: collections.deque([1]),
    "range": lambda: range(3),
    "huge": lambda: 10**400,
    "infinite": lambda: float("inf"),
    "keys": lambda: {1: "a", None: "b"},
    "mixed_keys": lambda: {1: "a", "1": "b"},
    "tuple_keys": lambda: {(1, 2): "a"},
    "deep": lambda: _deep(500),
    "round": _round,
    "coroutine": lambda: asyncio.sleep(0),
    "function": lambda: _deep,
    "partial": lambda: functools.partial(_deep, 1),
    "exception": lambda: ValueError("x"),
    "surrogate": lambda: "\ud800",
    "nul": lambda: "a\0b",
    "memoryview": lambda: memoryview(b"ab"),
    "class": lambda: Point,
    "ellipsis": lambda: ...,
    "complex": lambda: 1j,
    "none": lambda: None,
    "true": lambda: True,
    "negative_zero": lambda: -0.0,
}


@sync
def returns(ctx: SyncContext) -> Any:
    value = VALUES[ctx.input_params["what"]]()
    return {"value": value} if ctx.input_params["within"] else value


@sync
def saves(ctx: SyncContext) -> Any:
    value = VALUES[ctx.input_params["what"]]()
    return ctx.save_checkpoint({"list": [value]})
