"""Handlers that do what handlers should not."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from niyanta import Context, PermanentError, SyncContext, Worker

worker = Worker(capacity=4)


@worker.workload("eat_memory")
def eat_memory(ctx: SyncContext) -> int:
    """Take memory, here or in a child, and keep it."""
    megabytes = ctx.input_params["mb"]
    if ctx.input_params.get("in_child"):
        code = f"x = bytearray({megabytes} << 20); import time; time.sleep(60)"
        subprocess.run([sys.executable, "-c", code], check=True)
    taken = bytearray(megabytes << 20)
    time.sleep(ctx.input_params.get("seconds", 60))
    return len(taken)


@worker.workload("burn")
def burn(ctx: SyncContext) -> float:
    """Use a core for a second of wall time; gives the processor time that it got."""
    until, before = time.monotonic() + 1.0, time.process_time()
    while time.monotonic() < until:
        pass
    return time.process_time() - before


@worker.workload("many_threads")
def many_threads(ctx: SyncContext) -> int:
    """Start threads until the system refuses; gives how many. ``left``: they go on."""
    end = threading.Event()
    count = 0
    try:
        while count < 3000:
            threading.Thread(target=end.wait, daemon=True).start()
            count += 1
    except RuntimeError:
        pass
    if not ctx.input_params.get("left"):
        end.set()
    return count


@worker.workload("leave_a_tidy_child")
def leave_a_tidy_child(ctx: SyncContext) -> None:
    """Start a program that tidies up when it is told to end, and end at once when we are."""
    tidy = """
        trap 'sleep 0.5; echo tidied > "$0"; exit' TERM
        echo up > "$0"
        while :; do sleep 0.05; done
    """
    with open(os.devnull, "r+b") as nowhere:
        argv = ["sh", "-c", tidy, ctx.input_params["file"]]
        subprocess.Popen(argv, stdin=nowhere, stdout=nowhere, stderr=nowhere).wait()


@worker.workload("daemonize")
def daemonize(ctx: SyncContext) -> None:
    """Leave a daemon behind: forked twice, a session and an environment of its own. Then return, or wait."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            fresh = Path(ctx.input_params["pid_file"] + ".new")
            fresh.write_text(str(os.getpid()))
            fresh.rename(ctx.input_params["pid_file"])
            devnull = os.open("/dev/null", os.O_RDWR)
            for fd in range(3):
                os.dup2(devnull, fd)
            os.closerange(3, 1000)
            os.execve("/bin/sleep", ["sleep", "1000"], {})
        os._exit(0)
    os.wait()
    while not Path(ctx.input_params["pid_file"]).exists():
        time.sleep(0.01)
    ctx.report_progress(50)
    while ctx.input_params.get("wait"):
        time.sleep(0.1)


@worker.workload("fill_disk")
def fill_disk(ctx: SyncContext) -> None:
    """Write megabyte after megabyte, to one file or to many."""
    size = 1 << 20
    for number in range(ctx.input_params["mb"]):
        name = "one" if ctx.input_params.get("one_file") else f"file-{number}"
        (ctx.work_dir / "below").mkdir(exist_ok=True)
        with (ctx.work_dir / "below" / name).open("ab") as file:
            file.write(b"x" * size)
    time.sleep(60)


@worker.workload("end")
def end(ctx: SyncContext) -> Any:
    """End in one of many ways."""
    how = ctx.input_params["how"]
    if how == "segfault":
        ctypes.string_at(0)
    elif how == "_exit":
        os._exit(ctx.input_params["code"])
    elif how == "sys.exit":
        threading.Thread(target=time.sleep, args=(60,)).start()
        sys.exit(ctx.input_params["code"])
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "deep":
        nested: list[Any] = []
        for _ in range(5000):
            nested = [nested]
        return nested
    elif how == "recursion":
        return end(ctx)
    elif how == "unfit":
        print("out\ud800\0put")
        ctx.log.info("log\ud800\0line")
        ctx.report_progress(10, "pro\ud800\0gress")
        return {"re\ud800\0sult": "\ud800"}
    elif how == "unfit_error":
        raise PermanentError("er\ud800\0ror" + "x" * 10_000)
    return None


@worker.workload("stubborn")
def stubborn(ctx: SyncContext) -> None:
    """Ignore SIGTERM, with a child that does too."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]):
        ctx.report_progress(50)
        while True:
            time.sleep(0.05)


@worker.workload("tidy")
def tidy(ctx: SyncContext) -> None:
    """Clean up when told to stop."""
    try:
        ctx.report_progress(50)
        while True:
            try:
                time.sleep(0.05)
            except Exception:
                continue
    finally:
        time.sleep(0.3)
        ctx.log.info("cleaned up; cancelled=%s", ctx.cancelled)


@worker.workload("tidy_async")
async def tidy_async(ctx: Context) -> None:
    """The same, async; saves once more on the way out."""
    await ctx.report_progress(50)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        sequence = await ctx.save_checkpoint({"last": True})
        ctx.log.info("cleaned up; saved %s", sequence)
        raise


@worker.workload("flood")
def flood(ctx: SyncContext) -> str:
    """Write more than anybody wants to read."""
    kind, count = ctx.input_params["kind"], ctx.input_params["count"]
    if kind == "bytes":
        chunk = b"x" * (1 << 20)
        for _ in range(count):
            os.write(1, chunk)
    elif kind == "lines":
        lines = b"a line of output\n" * 10_000
        for _ in range(count // 10_000):
            sys.stdout.buffer.write(lines)
    elif kind == "log":
        for number in range(count):
            ctx.log.info("line %d", number)
    return "done"


@worker.workload("swallow")
def swallow(ctx: SyncContext) -> None:
    """Catch what ends an attempt."""
    while True:
        try:
            ctx.save_checkpoint({"x": 1})
            time.sleep(0.05)
        except BaseException:
            pass


@worker.workload("swallow_inline", isolation="inline")
async def swallow_inline(ctx: Context) -> None:
    """The same in the agent, for a while: nothing can end it from outside."""
    for _ in range(ctx.input_params.get("times", 4)):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


@worker.workload("exit_inline", isolation="inline")
async def exit_inline(ctx: Context) -> None:
    """Would end the agent."""
    sys.exit(3)


@worker.workload("own_timeout_inline", isolation="inline")
async def own_timeout_inline(ctx: Context) -> None:
    """A time-out of the handler's own."""
    raise TimeoutError("mine")


@worker.workload("scratch_inline", isolation="inline")
async def scratch_inline(ctx: Context) -> str:
    """Use the scratch directory."""
    (ctx.work_dir / "file").write_text("x")
    return str(ctx.work_dir)


def _saver(ctx: Context | SyncContext) -> Any:
    calls = 0

    def state() -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("not yet")
        return {"calls": calls}

    return state


@worker.workload("saver")
def saver(ctx: SyncContext) -> None:
    """Name a function for checkpoints; its first call fails."""
    ctx.checkpoint_with(_saver(ctx))
    while True:
        time.sleep(0.05)


@worker.workload("saver_async")
async def saver_async(ctx: Context) -> None:
    """The same, async."""
    ctx.checkpoint_with(_saver(ctx))
    await asyncio.sleep(60)


@worker.workload("saver_inline", isolation="inline")
async def saver_inline(ctx: Context) -> None:
    """The same, inline."""
    ctx.checkpoint_with(_saver(ctx))
    await asyncio.sleep(60)


@worker.workload("echo_checkpoint")
def echo_checkpoint(ctx: SyncContext) -> Any:
    """Give back the size of what it starts from, after saving what it is told to."""
    begun = None if ctx.checkpoint is None else len(ctx.checkpoint)
    sequences = [ctx.save_checkpoint(bytes(size)) for size in ctx.input_params.get("sizes", [])]
    return {"begun": begun, "sequences": sequences}


@worker.workload("exclusive", exclusive=True)
def exclusive(ctx: SyncContext) -> None:
    """Run alone, for ever."""
    ctx.report_progress(50)
    while True:
        time.sleep(0.05)


def _shell(kind: str, script: str, **options: Any) -> None:
    worker.command(kind, ["sh", "-c", script], **options)


_shell(
    "events",
    """
    echo '{"type": "progress", "percent": 30, "message": "a third"}'
    echo '{"type": "log", "level": "ERROR", "message": "bad"}'
    echo '{"type": "unknown"}'
    echo '{not json'
    printf '{"type": "log", "message": "\\377"}\\n'
    echo plain
    echo complaint >&2
    head -c 200000 /dev/zero | tr '\\0' y; echo
    pwd > where
    echo "{\\"cwd\\": \\"$(cat where)\\", \\"dir\\": \\"$NIYANTA_WORK_DIR\\", \\"attempt\\": $NIYANTA_ATTEMPT,
           \\"input\\": $(cat $NIYANTA_INPUT_FILE)}" > $NIYANTA_RESULT_FILE
    """,
)
_shell("exits", "exit 7")
_shell("leaves_behind", "sleep 1000 & echo $!")
_shell("says_permanent", """echo '{"type": "error", "message": "no such codec", "permanent": true}'; exit 1""")
_shell("says_transient", """echo '{"type": "error", "message": "busy"}'; exit 0""")
_shell("bad_result", "echo nonsense > $NIYANTA_RESULT_FILE")
_shell("large_result", "head -c 2000000 /dev/zero > $NIYANTA_RESULT_FILE")
_shell("large_file", "exec head -c 9000000 /dev/zero > large")
worker.command("missing", ["/no/such/program"])
_shell(
    "steps",
    """
    n=0; [ -f $NIYANTA_CHECKPOINT_FILE ] && n=$(cat $NIYANTA_CHECKPOINT_FILE)
    echo "{\\"type\\": \\"log\\", \\"message\\": \\"begin at $n\\"}"
    while [ $n -lt 200 ]; do
        n=$((n + 1)); echo $n > next; mv next $NIYANTA_CHECKPOINT_FILE
        echo '{"type": "checkpoint"}'; sleep 0.05
    done
    """,
)
_shell(
    "on_signal",
    """
    n=0
    trap 'echo $n > next; mv next $NIYANTA_CHECKPOINT_FILE; echo "{\\"type\\": \\"checkpoint\\"}"' USR1
    echo '{"type": "progress", "percent": 1}'
    while :; do n=$((n + 1)); sleep 0.05; done
    """,
    checkpoint_signal="SIGUSR1",
)
_shell(
    "family",
    """
    trap 'echo parent got it; exit 0' TERM
    sh -c 'trap "sleep 0.5; echo child got it; exit 0" TERM; while :; do sleep 0.05; done' &
    while :; do sleep 0.05; done
    """,
)
