"""Handlers that do to their own process, event loop and results what bug reports of other systems tell of."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import dataclasses
import datetime
import decimal
import enum
import faulthandler
import fractions
import gc
import inspect
import ipaddress
import locale
import logging
import multiprocessing
import os
import pathlib
import pty
import random
import re
import resource
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from niyanta import Context, SyncContext, Worker

worker = Worker(capacity=4)
kept: list[Any] = []
fork = multiprocessing.get_context("fork")


def sync(function: Any) -> Any:
    """Register a handler under its own name."""
    return worker.workload(function.__name__)(function)


def everywhere(function: Any) -> Any:
    """Register an async handler under its own name, and once more to run in the agent."""
    worker.workload(f"{function.__name__}_inline", isolation="inline")(function)
    return worker.workload(function.__name__)(function)


def alone(function: Any) -> Any:
    """Register an async handler that only a process of its own bears."""
    return worker.workload(function.__name__)(function)


# --- the process itself ---------------------------------------------------------------------------


@sync
def dumps_its_stacks(ctx: SyncContext) -> int:
    faulthandler.enable()
    faulthandler.dump_traceback_later(0.05, repeat=True)
    time.sleep(0.3)
    return ctx.save_checkpoint({"a": 1})


@sync
def dumps_its_stacks_and_ends(ctx: SyncContext) -> str:
    """As people guard against hangs."""
    faulthandler.dump_traceback_later(0.2, exit=True)
    time.sleep(20)
    return "survived"


@sync
def crashes_with_a_report(ctx: SyncContext) -> str:
    faulthandler.enable()
    ctypes.string_at(0)
    return "survived"


@sync
def becomes_another_program(ctx: SyncContext) -> str:
    os.execv("/bin/true", ["true"])


@sync
def becomes_a_program_that_stays(ctx: SyncContext) -> str:
    ctx.save_checkpoint({"a": 1})
    os.execv("/bin/sleep", ["sleep", "300"])


@sync
def leads_a_session(ctx: SyncContext) -> int:
    with contextlib.suppress(PermissionError):
        os.setsid()
    return ctx.save_checkpoint({"a": 1})


@sync
def leads_a_group(ctx: SyncContext) -> int:
    with contextlib.suppress(PermissionError):
        os.setpgid(0, 0)
    return ctx.save_checkpoint({"a": 1})


@sync
def adopts_orphans(ctx: SyncContext) -> int:
    """A child of a child becomes this process's."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    subprocess.run("sleep 300 & ", shell=True, check=True, stdout=subprocess.DEVNULL)
    return ctx.save_checkpoint({"a": 1})


@sync
def outlives_its_parent(ctx: SyncContext) -> int:
    ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
    return ctx.save_checkpoint({"a": 1})


@sync
def is_no_longer_looked_into(ctx: SyncContext) -> int:
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
    return ctx.save_checkpoint({"a": 1})


@sync
def works_in_a_terminal(ctx: SyncContext) -> str:
    child, terminal = pty.fork()
    if child == 0:
        os.execv("/bin/echo", ["echo", "from the terminal"])
    said = os.read(terminal, 100)
    os.waitpid(child, 0)
    os.close(terminal)
    return said.decode().strip()


@sync
def is_very_nice(ctx: SyncContext) -> int:
    os.nice(19)
    return ctx.save_checkpoint({"a": 1})


@sync
def has_little_room(ctx: SyncContext) -> str:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    now = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (8 << 20), resource.RLIM_INFINITY))
    return "x" * (64 << 20)


@sync
def has_little_time(ctx: SyncContext) -> str:
    resource.setrlimit(resource.RLIMIT_CPU, (1, 2))
    while True:
        pass


@sync
def may_write_no_files(ctx: SyncContext) -> int:
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    print("said all the same")
    return ctx.save_checkpoint({"a": 1})


@sync
def may_dump_nothing_and_read_nothing(ctx: SyncContext) -> int:
    os.umask(0o777)
    with open("private", "w") as file:
        file.write("mine")
    return ctx.save_checkpoint({"a": 1})


@sync
def may_write_no_large_checkpoint(ctx: SyncContext) -> str:
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
    os.umask(0o777)
    ctx.save_checkpoint(b"x" * (9 << 20))
    return "done"


@sync
def stands_at_the_root(ctx: SyncContext) -> int:
    os.chdir("/")
    return ctx.save_checkpoint({"a": 1})


@sync
def lives_elsewhere(ctx: SyncContext) -> str:
    """Another time zone, another language, other figures."""
    os.environ["TZ"] = "Pacific/Kiritimati"
    time.tzset()
    locale.setlocale(locale.LC_ALL, "C")
    decimal.getcontext().prec = 2
    ctx.log.info("from there")
    ctx.save_checkpoint({"a": 1.23456789})
    return f"{1234.5678:.4f}"


# --- Python itself --------------------------------------------------------------------------------


@sync
def hears_no_hooks(ctx: SyncContext) -> str:
    def broken(*_: object) -> None:
        raise RuntimeError("a hook that is broken")

    sys.excepthook = threading.excepthook = sys.unraisablehook = broken
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    return "done"


@sync
def hooks_are_asked_last(ctx: SyncContext) -> str:
    sys.excepthook = lambda *_: os._exit(9)
    raise ValueError("mine")


@sync
def traces_all(ctx: SyncContext) -> int:
    sys.settrace(lambda *_: None)
    threading.settrace(lambda *_: None)
    return ctx.save_checkpoint({"a": 1})


@sync
def hardly_recurses(ctx: SyncContext) -> int:
    saved = ctx.save_checkpoint({"a": [[[[1]]]]})
    sys.setrecursionlimit(_depth() + 4)
    return saved


def _depth() -> int:
    frame = inspect.currentframe()
    depth = 0
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    return depth


@sync
def holds_the_interpreter(ctx: SyncContext) -> int:
    sys.setswitchinterval(1000)
    until = time.monotonic() + 1
    while time.monotonic() < until:
        pass
    return ctx.save_checkpoint({"a": 1})


@sync
def forgets_all_modules(ctx: SyncContext) -> int:
    sys.modules.clear()
    return ctx.save_checkpoint({"a": 1})


@sync
def forgets_where_modules_are(ctx: SyncContext) -> int:
    sys.path.clear()
    sys.meta_path.clear()
    return ctx.save_checkpoint({"a": 1})


@sync
def has_no_streams(ctx: SyncContext) -> int:
    """As programs without a console."""
    sys.stdin = sys.stdout = sys.stderr = None
    print("into nothing")
    warnings.warn("into nothing", UserWarning, stacklevel=1)
    ctx.log.info("still here")
    return ctx.save_checkpoint({"a": 1})


@sync
def warnings_are_errors(ctx: SyncContext) -> int:
    warnings.simplefilter("error")
    ctx.report_progress(10, "half")
    return ctx.save_checkpoint({"a": 1})


@sync
def collects_garbage_with_errors(ctx: SyncContext) -> str:
    class Broken:
        def __del__(self) -> None:
            raise RuntimeError("broken when it is collected")

    around = [Broken()]
    around.append(around)  # type: ignore[arg-type]
    del around
    gc.collect()
    return "done"


@sync
def opens_without_closing(ctx: SyncContext) -> str:
    kept.extend(open("/dev/null") for _ in range(200))  # noqa: SIM115 -- left open on purpose
    return "done"


@sync
def interrupts_from_a_thread(ctx: SyncContext) -> str:
    import _thread

    threading.Timer(0.1, _thread.interrupt_main).start()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        time.sleep(0.01)
    return "survived"


@sync
def a_timer_is_left(ctx: SyncContext) -> str:
    timer = threading.Timer(300, print)
    timer.start()
    return "done"


@sync
def raises_in_the_main_thread_later(ctx: SyncContext) -> str:
    """As libraries for time-outs do."""
    me = threading.get_ident()

    def late() -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(me), ctypes.py_object(TimeoutError))

    threading.Timer(0.1, late).start()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        time.sleep(0.01)
    return "survived"


# --- processes of libraries -----------------------------------------------------------------------


def _ends(code: int) -> None:
    os._exit(code)


@sync
def a_pool_that_breaks(ctx: SyncContext) -> str:
    with ProcessPoolExecutor(2, mp_context=fork) as executor:
        executor.submit(_ends, 3).result()
    return "done"


class Unpicklable(Exception):  # noqa: N818
    """Can't come back from another process."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)
        self.second = second


def _raises() -> None:
    raise Unpicklable("one", "two")


@sync
def a_pool_with_errors_that_stay(ctx: SyncContext) -> str:
    with ProcessPoolExecutor(1, mp_context=fork) as executor:
        executor.submit(_raises).result()
    return "done"


@sync
def a_manager_is_left(ctx: SyncContext) -> str:
    kept.append(fork.Manager())
    kept.append(kept[-1].Queue())
    return "done"


@sync
def a_queue_is_full(ctx: SyncContext) -> str:
    """What was put in is read by nobody; its thread waits at exit."""
    queue: Any = fork.Queue()
    queue.put("x" * (1 << 20))
    kept.append(queue)
    return "done"


@sync
def a_lock_is_held_by_nobody(ctx: SyncContext) -> str:
    """A thread holds a lock of logging's while another process is forked: there it is held for ever."""
    lock = fork.Lock()
    child = fork.Process(target=lock.acquire)
    child.start()
    child.join()
    return "free" if lock.acquire(timeout=0.2) else "held"


@sync
def at_exit_of_a_child(ctx: SyncContext) -> str:
    """Handlers at exit belong to the process that registered them."""
    atexit.register(print, "at exit")
    child = fork.Process(target=int)
    child.start()
    child.join()
    return "done"


@sync
def logs_through_a_queue(ctx: SyncContext) -> str:
    """As the logging cookbook has it."""
    from logging.handlers import QueueListener

    queue: Any = fork.Queue()
    listener = QueueListener(queue, *logging.getLogger().handlers)
    listener.start()
    child = fork.Process(target=_logs_into, args=(queue,))
    child.start()
    child.join()
    listener.stop()
    return "done"


def _logs_into(queue: Any) -> None:
    from logging.handlers import QueueHandler

    root = logging.getLogger()
    root.handlers[:] = [QueueHandler(queue)]
    root.warning("from a child, through a queue")


# --- logging --------------------------------------------------------------------------------------


class Refusing(logging.Filter):
    """Fails at every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        raise RuntimeError("a filter that is broken")


@sync
def a_filter_is_broken(ctx: SyncContext) -> str:
    for handler in logging.getLogger().handlers:
        handler.addFilter(Refusing())
    with contextlib.suppress(RuntimeError):
        logging.getLogger("lib").warning("unheard")
    return "done"


@sync
def a_record_factory_is_broken(ctx: SyncContext) -> str:
    def broken(*_: object, **__: object) -> logging.LogRecord:
        raise RuntimeError("a factory that is broken")

    logging.setLogRecordFactory(broken)
    with contextlib.suppress(RuntimeError):
        ctx.log.info("unheard")
    return "done"


@sync
def a_logger_logs_what_it_logs(ctx: SyncContext) -> str:
    class Again(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.getLogger("again").warning("again: %s", record.getMessage()[:20])

    logging.getLogger("again").propagate = False
    logging.getLogger().addHandler(Again())
    logging.getLogger("lib").warning("once")
    return "done"


@sync
def logs_in_many_threads(ctx: SyncContext) -> str:
    def say(name: int) -> None:
        for number in range(100):
            logging.getLogger(f"lib.{name}").info("%d %d", name, number)

    threads = [threading.Thread(target=say, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return "done"


@sync
def prints_a_lot_at_once(ctx: SyncContext) -> str:
    print("x" * (30 << 20))
    ctx.log.info("after")
    return "done"


@sync
def prints_many_empty_lines(ctx: SyncContext) -> str:
    print("\n" * 200_000)
    print("\r" * 200_000)
    print("after")
    return "done"


@sync
def prints_noise(ctx: SyncContext) -> str:
    noise = random.Random(1)
    for _ in range(20):
        for stream in (1, 2):
            os.write(stream, noise.randbytes(50_000))
    os.write(1, b"\n")
    print("after")
    return "done"


# --- event loops ----------------------------------------------------------------------------------


@alone
async def cancels_all_tasks(ctx: Context) -> int:
    """As clean-up in many a program does."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.sleep(0.05)
    return await ctx.save_checkpoint({"a": 1})


@everywhere
async def exits_in_a_task(ctx: Context) -> str:
    async def leave() -> None:
        sys.exit("from a task")

    task = asyncio.create_task(leave())
    await asyncio.sleep(0.05)
    with contextlib.suppress(SystemExit):
        await task
    return "survived"


@everywhere
async def is_interrupted_in_a_task(ctx: Context) -> str:
    async def interrupt() -> None:
        raise KeyboardInterrupt

    await asyncio.gather(interrupt(), asyncio.sleep(0.05))
    return "survived"


@alone
async def exits_in_a_callback(ctx: Context) -> str:
    asyncio.get_running_loop().call_soon(sys.exit, 3)
    await asyncio.sleep(0.2)
    return "survived"


@everywhere
async def raises_in_a_callback(ctx: Context) -> int:
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0.01)
    return await ctx.save_checkpoint({"a": 1})


@alone
async def stops_the_loop_later(ctx: Context) -> str:
    asyncio.get_running_loop().call_later(0.01, asyncio.get_running_loop().stop)
    await asyncio.sleep(0.2)
    return "survived"


@everywhere
async def closes_the_loop(ctx: Context) -> str:
    asyncio.get_running_loop().close()
    return "survived"


@everywhere
async def runs_until_complete(ctx: Context) -> str:
    work = asyncio.sleep(0)
    with contextlib.closing(work):
        asyncio.get_running_loop().run_until_complete(work)
    return "survived"


@everywhere
async def runs_a_loop_in_a_thread(ctx: Context) -> int:
    async def work() -> int:
        await asyncio.sleep(0.01)
        return 7

    return await asyncio.to_thread(lambda: asyncio.run(work()))


@everywhere
async def has_its_own_executor(ctx: Context) -> str:
    from concurrent.futures import ThreadPoolExecutor

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    await asyncio.to_thread(time.sleep, 0.01)
    return "done"


@alone
async def shuts_its_executor_down(ctx: Context) -> int:
    await asyncio.get_running_loop().shutdown_default_executor()
    return await ctx.save_checkpoint({"a": 1})


@alone
async def has_its_own_exception_handler(ctx: Context) -> int:
    def broken(*_: object) -> None:
        raise RuntimeError("a handler that is broken")

    asyncio.get_running_loop().set_exception_handler(broken)
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0.01)
    return await ctx.save_checkpoint({"a": 1})


@everywhere
async def debugs_its_loop(ctx: Context) -> int:
    asyncio.get_running_loop().set_debug(True)
    await asyncio.to_thread(time.sleep, 0.01)
    try:
        return await ctx.save_checkpoint({"a": 1})
    finally:
        asyncio.get_running_loop().set_debug(False)


@alone
async def makes_tasks_its_own_way(ctx: Context) -> int:
    def broken(*_: object, **__: object) -> Any:
        raise RuntimeError("a factory that is broken")

    asyncio.get_running_loop().set_task_factory(broken)
    return await ctx.save_checkpoint({"a": 1})


@alone
async def an_executor_never_returns(ctx: Context) -> str:
    kept.append(asyncio.get_running_loop().run_in_executor(None, threading.Event().wait, 300))
    return "done"


@everywhere
async def an_async_generator_is_left(ctx: Context) -> str:
    async def numbers() -> Any:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)

    left = numbers()
    await anext(left)
    kept.append(left)
    return "done"


@sync
def leaves_a_loop(ctx: SyncContext) -> int:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    kept.append(loop.create_task(asyncio.sleep(300)))
    return loop.run_until_complete(asyncio.sleep(0.01, 5))


@sync
def nests_loops(ctx: SyncContext) -> int:
    """A loop in a thread, and another here; each saves."""

    async def save(number: int) -> int:
        await asyncio.sleep(0.01)
        return ctx.save_checkpoint({"n": number})

    thread = threading.Thread(target=lambda: asyncio.run(save(1)))
    thread.start()
    asyncio.run(save(2))
    thread.join()
    return 2


# --- signals --------------------------------------------------------------------------------------


@sync
def hears_no_stop(ctx: SyncContext) -> str:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return "done"


@alone
async def nothing_wakes_the_loop(ctx: Context) -> int:
    signal.set_wakeup_fd(-1)
    return await ctx.save_checkpoint({"a": 1})


@sync
def rings_for_ever(ctx: SyncContext) -> int:
    """An alarm that nobody ends, and whose handler raises: also while the process ends."""

    def ring(*_: object) -> None:
        raise TimeoutError("too slow")

    saved = ctx.save_checkpoint({"a": 1})
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    return saved


@sync
def rings_after_its_end(ctx: SyncContext) -> str:
    signal.alarm(1)
    atexit.register(time.sleep, 2)
    return "done"


# --- exceptions -----------------------------------------------------------------------------------


def _deep_group() -> BaseException:
    found: Exception = ValueError("innermost")
    for _ in range(3000):
        found = ExceptionGroup("level", [found])
    return found


def _shared_group() -> BaseException:
    found: Exception = ValueError("innermost")
    for _ in range(40):
        found = ExceptionGroup("level", [found, found])
    return found


def _wide_group() -> BaseException:
    return ExceptionGroup("many", [ValueError("x" * 1000)] * 50_000)


def _base_group() -> BaseException:
    return BaseExceptionGroup("both", [KeyboardInterrupt(), ValueError("one")])


def _long_chain() -> BaseException:
    found = ValueError("first")
    for number in range(5000):
        later = ValueError(f"number {number}")
        later.__cause__ = found
        found = later
    return found


def _circle() -> BaseException:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    return one


def _notes() -> BaseException:
    error = ValueError("with notes")
    error.add_note("x" * 1_000_000)
    error.__notes__.append(object())  # type: ignore[arg-type]
    return error


def _arguments() -> BaseException:
    return ValueError("one", {"two": 2}, b"\xff", "x" * 100_000)


class Silent(Exception):  # noqa: N818
    """Its text is no text."""

    def __str__(self) -> str:
        return None  # type: ignore[return-value]


class Ending(Exception):  # noqa: N818
    """Ends whoever shows it."""

    def __str__(self) -> str:
        raise SystemExit(0)


class Interrupting(Exception):  # noqa: N818
    """Interrupts whoever shows it."""

    def __str__(self) -> str:
        raise KeyboardInterrupt

    __repr__ = __str__


class Endless(Exception):  # noqa: N818
    """Shows itself to show itself."""

    def __str__(self) -> str:
        return str(self)


class Printing(Exception):  # noqa: N818
    """Says something while it is shown."""

    def __str__(self) -> str:
        print("shown")
        return "seen"


class OddGroup(ExceptionGroup[Exception]):
    """Says that it holds something else."""

    exceptions = None  # type: ignore[assignment]
    message = property(lambda self: 1 / 0)


def _odd_group() -> BaseException:
    return OddGroup("odd", [ValueError("one")])


ERRORS: dict[str, Callable[[], BaseException]] = {
    "deep_group": _deep_group,
    "shared_group": _shared_group,
    "wide_group": _wide_group,
    "base_group": _base_group,
    "odd_group": _odd_group,
    "long_chain": _long_chain,
    "circle": _circle,
    "notes": _notes,
    "arguments": _arguments,
    "silent": Silent,
    "ending": Ending,
    "interrupting": Interrupting,
    "endless": Endless,
    "printing": Printing,
    "exit_object": lambda: SystemExit({"a": 1}),
    "exit_odd": lambda: SystemExit(Interrupting()),
    "exit_true": lambda: SystemExit(True),
    "exit_negative": lambda: SystemExit(-1),
    "exit_long": lambda: SystemExit("x" * 1_000_000),
    "exit_lines": lambda: SystemExit("one\ntwo \ud800\0"),
    "unicode": lambda: UnicodeDecodeError("utf-8", b"\xff" * 100_000, 0, 1, "of its own"),
    "system": lambda: OSError(28, "No space left on device", "/a/b"),
    "assertion": AssertionError,
}


@sync
def raises(ctx: SyncContext) -> None:
    raise ERRORS[ctx.input_params["what"]]()


@everywhere
async def raises_async(ctx: Context) -> None:
    raise ERRORS[ctx.input_params["what"]]()


# --- results --------------------------------------------------------------------------------------


class Text(str):
    """Text of a library."""


class Number(int):
    """A number that shows itself otherwise."""

    def __repr__(self) -> str:
        return "a number"

    __str__ = __repr__


class Fraction(float):
    """The same with a point."""

    def __repr__(self) -> str:
        return "a fraction"


class Mapping(dict[str, Any]):
    """Shows something else than it holds."""

    def items(self) -> Any:
        return [("other", 1)]


class Rows(list[Any]):
    """Of a library."""


class Level(enum.IntEnum):
    LOW = 1


class Mode(enum.Flag):
    READ = 1
    WRITE = 2


class Name(enum.StrEnum):
    ONE = "one"


@dataclasses.dataclass(frozen=True, slots=True)
class Slots:
    """Without a dict of its own."""

    x: int
    when: datetime.date


@dataclasses.dataclass
class Round:
    """Holds itself."""

    me: Any = None


def _round() -> Any:
    found = Round()
    found.me = found
    return found


def _shared() -> Any:
    found: list[Any] = [1]
    for _ in range(50):
        found = [found, found]
    return found


def _numbers() -> Iterator[int]:
    yield 1


VALUES: dict[str, Callable[[], Any]] = {
    "text": lambda: Text("a"),
    "number": lambda: Number(5),
    "fraction": lambda: Fraction(0.5),
    "mapping": lambda: Mapping(a=1),
    "rows": lambda: Rows([1]),
    "int_enum": lambda: Level.LOW,
    "flag": lambda: Mode.READ | Mode.WRITE,
    "str_enum": lambda: Name.ONE,
    "slots": lambda: Slots(1, datetime.date(2025, 1, 2)),
    "round": _round,
    "shared": _shared,
    "float64": lambda: np.float64(0.1),
    "float32": lambda: np.float32(0.5),
    "int64": lambda: np.int64(5),
    "uint64": lambda: np.uint64(2**64 - 1),
    "bool": lambda: np.bool_(True),
    "array": lambda: np.array([1, 2]),
    "array_of_floats": lambda: np.array([[0.5]]),
    "no_number64": lambda: np.float64("nan"),
    "str_": lambda: np.str_("a"),
    "datetime64": lambda: np.datetime64("2025-01-02"),
    "naive": lambda: datetime.datetime(2025, 1, 2, 3, 4, 5),  # noqa: DTZ001 -- without a zone on purpose
    "far": lambda: datetime.datetime.max.replace(tzinfo=datetime.UTC),
    "date": lambda: datetime.date(2025, 1, 2),
    "time": lambda: datetime.time(3, 4),
    "zone": lambda: datetime.datetime(2025, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=30))),
    "decimal_nan": lambda: decimal.Decimal("NaN"),
    "decimal_far": lambda: decimal.Decimal("1E+999999"),
    "path": lambda: pathlib.Path("/a/b"),
    "address": lambda: ipaddress.ip_address("::1"),
    "exact": lambda: fractions.Fraction(1, 3),
    "pattern": lambda: re.compile("a"),
    "namespace": lambda: types.SimpleNamespace(a=1),
    "proxy": lambda: types.MappingProxyType({"a": 1}),
    "keys_view": lambda: {"a": 1}.keys(),
    "iterator": lambda: iter([1]),
    "generator": _numbers,
    "mapped": lambda: map(str, [1]),
    "future": lambda: asyncio.sleep(0),
    "frozenset": lambda: frozenset({1}),
    "bytearray": lambda: bytearray(b"a"),
    "int63": lambda: 2**63 - 1,
    "int64_more": lambda: 2**63,
    "int64_most": lambda: 2**64 - 1,
    "int64_least": lambda: -(2**63),
    "tiny": lambda: 5e-324,
    "large": lambda: 1.7976931348623157e308,
    "third": lambda: 1 / 3,
    "whole_float": lambda: 1e22,
    "empty_key": lambda: {"": 1},
    "text_key": lambda: {Text("a"): 1},
    "enum_key": lambda: {Name.ONE: 1},
    "bool_key": lambda: {True: 1},
    "date_key": lambda: {datetime.date(2025, 1, 2): 1},
    "unfit_keys": lambda: {chr(0xD800 + number): number for number in range(3)},
    "nul_key": lambda: {"a\0": 1, "a\ufffd": 2},
    "long_text": lambda: "é" * 200_000,
    "lines": lambda: "a\r\n\u2028\u0085b",
    "type": lambda: int,
    "module": lambda: os,
    "not_implemented": lambda: NotImplemented,
    "false": lambda: False,
    "zero": lambda: 0,
    "empty": lambda: "",
    "empty_list": list,
    "empty_dict": dict,
}


@sync
def returns(ctx: SyncContext) -> Any:
    value = VALUES[ctx.input_params["what"]]()
    return {"value": value} if ctx.input_params["within"] else value


@sync
def saves(ctx: SyncContext) -> Any:
    value = VALUES[ctx.input_params["what"]]()
    return ctx.save_checkpoint({"list": [value]})
