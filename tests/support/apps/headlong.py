"""Handlers that reach for whatever the standard library has: processes, event loops, signals, output."""

from __future__ import annotations

import argparse
import asyncio
import asyncio.subprocess
import code
import contextlib
import contextvars
import copy
import faulthandler
import functools
import gc
import getpass
import http.server
import importlib
import io
import logging
import logging.handlers
import multiprocessing
import multiprocessing.pool
import os
import pdb
import pickle
import runpy
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import click
import msgspec
import pydantic
import rich.console
import rich.progress
import uvloop

from niyanta import CheckpointError, Context, PermanentError, SyncContext, Worker

worker = Worker(capacity=4)
kept: list[Any] = []
fork = multiprocessing.get_context("fork")
name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")


def sync(function: Any) -> Any:
    """Register a handler under its own name."""
    return worker.workload(function.__name__)(function)


def everywhere(function: Any) -> Any:
    """Register an async handler under its own name, and once more to run in the agent."""
    worker.workload(f"{function.__name__}_inline", isolation="inline")(function)
    return worker.workload(function.__name__)(function)


def square(number: int) -> int:
    return number * number


# --- processes ------------------------------------------------------------------------------------


@sync
def sets_the_start_method(ctx: SyncContext) -> list[int]:
    multiprocessing.set_start_method("spawn", force=True)
    with multiprocessing.Pool(1) as pool:
        found = pool.map(square, range(3))
    ctx.save_checkpoint({"x": 1})
    return found


@sync
def an_executor_that_spawns(ctx: SyncContext) -> list[int]:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn, initializer=print, max_tasks_per_child=2) as executor:
        found = list(executor.map(square, range(4)))
    ctx.save_checkpoint({"x": 1})
    return found


@sync
def an_executor_of_forks_in_a_thread(ctx: SyncContext) -> list[int]:
    def work() -> list[int]:
        with ProcessPoolExecutor(2, mp_context=fork) as executor:
            return list(executor.map(square, range(4)))

    with ThreadPoolExecutor(1) as threads:
        found = threads.submit(work).result()
    ctx.save_checkpoint({"x": 1})
    return found


@sync
def a_pool_of_threads_is_left(ctx: SyncContext) -> str:
    pool = multiprocessing.pool.ThreadPool(3)
    pool.map_async(time.sleep, [60] * 3)
    kept.append(pool)
    return "done"


@sync
def pipes_and_barriers(ctx: SyncContext) -> list[int]:
    ours, theirs = fork.Pipe()
    barrier, total = fork.Barrier(3), fork.Value("i", 0)

    def child(number: int) -> None:
        barrier.wait(20)
        with total.get_lock():
            total.value += number
            theirs.send(number)
        barrier.wait(20)

    children = [fork.Process(target=child, args=(number,)) for number in (1, 2)]
    for one in children:
        one.start()
    barrier.wait(20)
    barrier.wait(20)
    for one in children:
        one.join()
    return [total.value, *sorted([ours.recv(), ours.recv()])]


@sync
def the_shell_leaves_something(ctx: SyncContext) -> str:
    subprocess.run("sleep 60 & echo from the shell | tr a-z A-Z", shell=True, check=True)
    return "done"


@sync
def the_shell_fails(ctx: SyncContext) -> None:
    subprocess.run("echo no such disk >&2; exit 7", shell=True, check=True)


@sync
def old_ways_to_run_programs(ctx: SyncContext) -> list[Any]:
    with os.popen("echo popen") as stream:
        said = stream.read().strip()
    spawned = os.spawnlp(os.P_WAIT, "sh", "sh", "-c", "exit 5")
    child = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 6"], os.environ)
    return [os.system("exit 4") >> 8, said, spawned, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]


@everywhere
async def programs_in_a_loop(ctx: Context) -> list[Any]:
    run = asyncio.create_subprocess_exec("sh", "-c", "cat; exit 3", stdin=-1, stdout=-1)
    ended = await run
    said, _ = await ended.communicate(b"given")
    shell = await asyncio.create_subprocess_shell("echo $((6 * 7))", stdout=asyncio.subprocess.PIPE)
    answer, _ = await shell.communicate()
    killed = await asyncio.create_subprocess_exec("sleep", "60")
    killed.terminate()
    return [ended.returncode, said.decode(), answer.decode().strip(), await killed.wait()]


@sync  # in the agent what it leaves would be the test's own
async def a_program_in_a_loop_is_left(ctx: Context) -> str:
    kept.append(await asyncio.create_subprocess_exec("sleep", "60", stdin=asyncio.subprocess.PIPE))
    return "done"


@sync
def a_server_that_forks(ctx: SyncContext) -> list[str]:
    class Answering(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(str(os.getpid()).encode())

    answers = []
    with socketserver.ForkingTCPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", server.server_address[1])) as link:
                answers.append(link.recv(100).decode())
        server.shutdown()
    ctx.save_checkpoint({"x": 1})
    return sorted({"child" if answer != str(os.getpid()) else "itself" for answer in answers})


@sync
def a_server_of_threads(ctx: SyncContext) -> int:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_address[1]}/") as answer:
        return int(answer.status)  # the server is left


@sync
def kills_its_children(ctx: SyncContext) -> int:
    kept.extend(subprocess.Popen(["sleep", "60"]) for _ in range(3))
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
        os.waitpid(int(child), 0)
    ctx.save_checkpoint({"x": 1})
    return len(children)


@sync
def waits_for_any_child(ctx: SyncContext) -> int:
    kept.append(subprocess.Popen(["true"]))
    count = 0
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
            count += 1
    ctx.save_checkpoint({"x": 1})
    return count


@sync
def hears_of_its_children(ctx: SyncContext) -> int:
    heard = threading.Event()
    signal.signal(signal.SIGCHLD, lambda *_: heard.set())
    subprocess.run(["true"], check=True)
    ctx.save_checkpoint({"x": 1})
    return int(heard.wait(10))


# --- signals --------------------------------------------------------------------------------------


@sync
def waits_for_signals_in_a_thread(ctx: SyncContext) -> str:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.append(signal.sigwait({signal.SIGUSR1})))
    waiting.start()
    assert waiting.ident is not None
    signal.pthread_kill(waiting.ident, signal.SIGUSR1)
    waiting.join(10)
    ctx.save_checkpoint({"x": 1})
    return str(got[0].name)


@sync
def is_woken_through_a_descriptor(ctx: SyncContext) -> int:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    os.kill(os.getpid(), signal.SIGUSR1)
    ctx.save_checkpoint({"x": 1})
    return ours.recv(1)[0]


@sync
def pauses_until_an_alarm(ctx: SyncContext) -> str:
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    signal.pause()
    ctx.save_checkpoint({"x": 1})
    return "woken"


@sync
def shows_its_stack_on_a_signal(ctx: SyncContext) -> str:
    faulthandler.register(signal.SIGUSR2, file=2, all_threads=True)
    os.kill(os.getpid(), signal.SIGUSR2)
    ctx.save_checkpoint({"x": 1})
    return "done"


@worker.workload("hears_signals_in_its_loop")
async def hears_signals_in_its_loop(ctx: Context) -> list[str]:
    heard: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, heard.put_nowait, number.name)
        os.kill(os.getpid(), number)
    found = [await heard.get() for _ in range(4)]
    await ctx.save_checkpoint({"x": 1})
    return sorted(found)


@worker.workload("keeps_its_stop_to_itself")
async def keeps_its_stop_to_itself(ctx: Context) -> str:
    """Hear SIGTERM in the event loop, and only note it."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ctx.log.info, "noted")
    await ctx.report_progress(50)
    await asyncio.sleep(60)
    return "unheard"


# --- event loops ----------------------------------------------------------------------------------


@sync
def another_kind_of_loop(ctx: SyncContext) -> int:
    async def work() -> int:
        await asyncio.sleep(0)
        return ctx.save_checkpoint({"x": 1})

    return uvloop.run(work())


@sync
def any_kind_of_loop(ctx: SyncContext) -> int:
    async def work() -> int:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0)
        return await anyio.to_thread.run_sync(ctx.save_checkpoint, {"x": 1})

    return anyio.run(work)


@everywhere
async def scopes_that_are_cancelled(ctx: Context) -> list[Any]:
    with anyio.move_on_after(0.01) as late:
        await anyio.sleep(60)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.sleep(60), 0.01)
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0))
    return [late.cancelled_caught, await ctx.save_checkpoint({"x": 1})]


@everywhere
async def a_save_that_is_given_up(ctx: Context) -> list[int]:
    """The next one is good all the same."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await ctx.save_checkpoint({"x": 1})
    task = asyncio.create_task(ctx.save_checkpoint({"x": 2}))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    shielded = asyncio.shield(ctx.save_checkpoint({"x": 3}))
    return [await shielded, await ctx.save_checkpoint({"x": 4})]


@everywhere
async def a_save_from_a_thread_by_the_loop(ctx: Context) -> int:
    loop = asyncio.get_running_loop()

    def work() -> int:
        return asyncio.run_coroutine_threadsafe(ctx.save_checkpoint({"x": 1}), loop).result(10)

    return await asyncio.to_thread(work)


@everywhere
async def variables_of_a_context(ctx: Context) -> list[str]:
    name.set("handler")

    async def inner() -> str:
        seen = name.get()
        name.set("task")
        return seen

    seen = [await asyncio.create_task(inner()), name.get(), await asyncio.to_thread(name.get)]
    seen.append(contextvars.copy_context().run(lambda: name.get()))
    with ThreadPoolExecutor(1) as threads:
        seen.append(await asyncio.get_running_loop().run_in_executor(threads, name.get))
    logging.getLogger("of.a.copy").info("seen %s", seen)
    return seen


@everywhere
async def a_group_in_which_one_fails(ctx: Context) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(60))
        group.create_task(ctx.save_checkpoint({"x": 1}))
        group.create_task(_fails())


async def _fails() -> None:
    await asyncio.sleep(0.05)
    raise ValueError("one of several")


# --- what is left behind ----------------------------------------------------------------------------


@sync
def leaves_a_deep_folder(ctx: SyncContext) -> str:
    here = os.getcwd()
    os.chdir(ctx.work_dir)
    for _ in range(1500):
        os.mkdir("deeper")
        os.chdir("deeper")
    os.chdir(here)
    return str(ctx.work_dir)


@sync
def leaves_odd_files(ctx: SyncContext) -> str:
    for odd in (b"caf\xe9", b"new\nline", b" ", b"-rf", b"x" * 255):
        Path(os.fsdecode(bytes(ctx.work_dir) + b"/" + odd)).write_bytes(b"x")
    os.mkfifo(ctx.work_dir / "pipe")
    kept.append(socket.socket(socket.AF_UNIX))
    with contextlib.chdir(ctx.work_dir):
        kept[-1].bind("socket")
    (ctx.work_dir / "out").symlink_to(ctx.input_params["outside"])
    (ctx.work_dir / "circle").symlink_to("circle")
    closed = ctx.work_dir / "closed"
    closed.mkdir()
    (closed / "file").write_bytes(b"x")
    closed.chmod(0)
    kept.append(open(ctx.work_dir / "open", "wb"))  # noqa: SIM115 -- left open on purpose
    return str(ctx.work_dir)


@sync
def leaves_many_files(ctx: SyncContext) -> str:
    for number in range(5_000):
        (ctx.work_dir / str(number)).touch()
    return str(ctx.work_dir)


@sync
def removes_its_folder(ctx: SyncContext) -> str:
    shutil.rmtree(ctx.work_dir)
    ctx.save_checkpoint({"x": 1})
    return str(ctx.work_dir)


@sync
def may_create_nothing(ctx: SyncContext) -> str:
    os.umask(0o777)
    (ctx.work_dir / "file").write_bytes(b"x")
    (ctx.work_dir / "folder").mkdir()
    ctx.save_checkpoint({"x": 1})
    return str(ctx.work_dir)


# --- Python itself --------------------------------------------------------------------------------


@sync
def stops_in_the_debugger(ctx: SyncContext) -> str:
    breakpoint()
    return "unheard"


@sync
def stops_in_the_debugger_after_an_error(ctx: SyncContext) -> str:
    try:
        raise ValueError("looked at")
    except ValueError as exc:
        pdb.post_mortem(exc.__traceback__)
    return "done"


@sync
def opens_a_prompt(ctx: SyncContext) -> str:
    code.interact(banner="hello", local={})
    return "done"


@sync
def asks_for_a_password(ctx: SyncContext) -> str:
    return getpass.getpass("password: ")


@sync
def reads_a_command_line(ctx: SyncContext) -> None:
    argparse.ArgumentParser(prog="tool").parse_args(["--no-such-option"])


@sync
def is_a_command(ctx: SyncContext) -> None:
    @click.command()
    def tool() -> None:
        click.echo("as a command")

    tool([])


@sync
def runs_tests(ctx: SyncContext) -> None:
    class Broken(unittest.TestCase):
        def test_it(self) -> None:
            self.fail("not today")

    kept.append(Broken)
    unittest.main(module=None, argv=["tests", "-q"], defaultTest=None, testLoader=_Loader(Broken))


class _Loader(unittest.TestLoader):
    def __init__(self, case: type[unittest.TestCase]) -> None:
        super().__init__()
        self._case = case

    def discover(self, *_: Any, **__: Any) -> unittest.TestSuite:
        return self.loadTestsFromTestCase(self._case)


@sync
def runs_a_file(ctx: SyncContext) -> int:
    path = ctx.work_dir / "script.py"
    path.write_text("import sys\nprint('in a script', sys.argv[0] == __file__)\nfound = 6 * 7\n")
    return int(runpy.run_path(str(path), run_name="__main__")["found"])


@sync
def imports_itself_again(ctx: SyncContext) -> int:
    importlib.reload(sys.modules[__name__])
    return ctx.save_checkpoint({"x": 1})


@sync
def copies_its_context(ctx: SyncContext) -> list[str]:
    said = []
    for how in (pickle.dumps, copy.deepcopy):
        try:
            how(ctx)
        except TypeError:
            said.append("refused")
        else:
            said.append("copied")
    ctx.save_checkpoint({"x": 1})
    return said


@sync
def freezes_its_garbage(ctx: SyncContext) -> int:
    gc.disable()
    gc.freeze()
    sys.setswitchinterval(1.0)
    sys.set_int_max_str_digits(640)
    return ctx.save_checkpoint({"x": 1})


@sync
def changes_its_parameters(ctx: SyncContext) -> list[Any]:
    ctx.input_params.clear()
    state = {"rows": [1]}
    first = ctx.save_checkpoint(state)
    state["rows"].append(2)
    return [first, ctx.save_checkpoint(state)]


@sync
def reports_nonsense(ctx: SyncContext) -> str:
    for percent in (float("nan"), float("inf"), -5, 10**400, 0.999, True):
        ctx.report_progress(percent)
    ctx.report_progress(100, "x" * 100_000)
    for wrong in ("half", None, [1], 1j):
        with contextlib.suppress(TypeError, ValueError):
            ctx.report_progress(wrong)  # type: ignore[arg-type]
    ctx.report_progress(0, {"a": 1})  # type: ignore[arg-type]
    return "done"


@sync
def saves_very_often(ctx: SyncContext) -> int:
    for number in range(1000):
        last = ctx.save_checkpoint({"number": number})
    return last


@sync
def goes_on_after_its_end(ctx: SyncContext) -> str:
    """A thread saves, reports and logs until it is told that it can't."""

    def work() -> None:
        with contextlib.suppress(CheckpointError):
            while True:
                ctx.save_checkpoint({"late": 1})
                ctx.report_progress(50, "late")
                ctx.log.info("late")

    threading.Thread(target=work, daemon=True).start()
    time.sleep(0.1)
    return "done"


# --- output ---------------------------------------------------------------------------------------


@sync
def draws_with_rich(ctx: SyncContext) -> str:
    console = rich.console.Console()
    console.print("[bold]a heading[/bold]")
    for _ in rich.progress.track(range(20), description="drawn", console=console):
        time.sleep(0.001)
    console.rule("after")
    return "done"


@sync
def moves_the_cursor(ctx: SyncContext) -> str:
    for number in range(50):
        sys.stdout.write(f"first {number}\nsecond {number}\n\x1b[2A")
        sys.stdout.flush()
    sys.stdout.write("\x1b[2Bafter\n")
    return "done"


@sync
def logs_in_its_own_levels(ctx: SyncContext) -> str:
    logging.addLevelName(25, "NOTICE")
    logging.getLogger("own").log(25, "a notice")
    logging.getLogger("own").log(15, "a whisper")
    ctx.log.log(45, "nearly critical")
    ctx.log.critical("critical", stack_info=True)
    logging.LoggerAdapter(ctx.log, {"of": "adapter"}).info("adapted")
    return "done"


@sync
def turns_logging_off(ctx: SyncContext) -> str:
    logging.disable(logging.CRITICAL)
    logging.getLogger("own").error("unheard")
    ctx.log.info("by ctx")
    print("printed")
    return "done"


@sync
def logs_into_files(ctx: SyncContext) -> str:
    path = ctx.work_dir / "own.log"
    logging.basicConfig(filename=path, level=logging.DEBUG, force=True)
    logging.getLogger().addHandler(logging.handlers.RotatingFileHandler(path, maxBytes=100, backupCount=2))
    logging.getLogger("own").info("in a file")
    ctx.log.info("by ctx")
    return path.read_text().strip()


@sync
def writes_where_output_was(ctx: SyncContext) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as caught, contextlib.redirect_stderr(sys.stdout):
        print("caught", file=sys.stderr)
    print("by the first stream", file=sys.__stdout__)
    os.write(2, b"by its number\n")
    with open("/dev/stdout", "w") as again:
        again.write("by its name\n")
    return caught.getvalue().strip()


@sync
def turns_its_output_over(ctx: SyncContext) -> str:
    saved = os.dup(1)
    os.dup2(os.open(ctx.work_dir / "out.txt", os.O_CREAT | os.O_WRONLY), 1)
    print("in a file", flush=True)
    os.dup2(saved, 1)
    print("back again")
    return (ctx.work_dir / "out.txt").read_text().strip()


# --- errors ---------------------------------------------------------------------------------------


class Input(pydantic.BaseModel):
    count: int


class OwnError(PermanentError):
    """A kind of its own."""


def _called() -> None:
    subprocess.run(["false"], check=True)


def _late() -> None:
    subprocess.run(["sleep", "60"], timeout=0.01, check=True)


def _invalid() -> None:
    Input(count="five")  # type: ignore[arg-type]


def _unfit() -> None:
    msgspec.convert("five", int)


def _refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    urllib.request.urlopen(f"http://127.0.0.1:{port}/")


def _nothing() -> None:
    raise PermanentError


def _missing() -> None:
    dict[str, int]()["key"]


def _in_a_child() -> None:
    with ProcessPoolExecutor(1, mp_context=fork) as executor:
        executor.submit(_own).result()


def _own() -> None:
    raise OwnError("of a child")


def _raise(error: BaseException) -> None:
    raise error


ERRORS: dict[str, Any] = {
    "called": _called,
    "late": _late,
    "invalid": _invalid,
    "unfit": _unfit,
    "refused": _refused,
    "nothing": _nothing,
    "missing": _missing,
    "in_a_child": _in_a_child,
    **{
        type(error).__name__: functools.partial(_raise, error)
        for error in (
            BrokenPipeError("mine"),
            ConnectionResetError("mine"),
            ConnectionError("mine"),
            EOFError("mine"),
            TimeoutError("mine"),
            BlockingIOError("mine"),
            InterruptedError("mine"),
            ChildProcessError("mine"),
            ProcessLookupError("mine"),
            asyncio.IncompleteReadError(b"", 5),
            asyncio.InvalidStateError("mine"),
            asyncio.QueueEmpty("mine"),
            CheckpointError("mine"),
            OwnError("mine"),
        )
    },
}
"""What is raised, by its name."""


@sync
def raises(ctx: SyncContext) -> None:
    ctx.save_checkpoint({"x": 1})
    ERRORS[ctx.input_params["what"]]()


@everywhere
async def raises_async(ctx: Context) -> None:
    await ctx.save_checkpoint({"x": 1})
    ERRORS[ctx.input_params["what"]]()


# --- results --------------------------------------------------------------------------------------


class Struct(msgspec.Struct):
    x: int
    tags: list[str] = []


VALUES: dict[str, Any] = {
    "model": lambda: Input(count=5),
    "struct": lambda: Struct(5, ["a"]),
    "model_within": lambda: {"all": [Input(count=5)]},
    "struct_within": lambda: {"all": [Struct(5)]},
    "bytes_io": lambda: io.BytesIO(b"x"),
    "range_list": lambda: list(range(10_000)),
    "huge_text": lambda: "x" * 900_000,
    "decimal_text": lambda: str(10**300),
    "exception_group": lambda: ExceptionGroup("a", [ValueError("b")]),
    "completed_process": lambda: subprocess.run(["true"], check=True),
    "lambda": lambda: lambda: 1,
    "context_variable": lambda: name,
    "logger": lambda: logging.getLogger("x"),
    "thread": threading.current_thread,
    "lock": threading.Lock,
    "task": lambda: asyncio.new_event_loop().create_future(),
    "undefined": lambda: msgspec.UNSET,
    "raw": lambda: msgspec.Raw(b'{"a": 1}'),
}


@sync
def returns(ctx: SyncContext) -> Any:
    return VALUES[ctx.input_params["what"]]()


@sync
def saves(ctx: SyncContext) -> Any:
    return ctx.save_checkpoint({"list": [VALUES[ctx.input_params["what"]]()]})
