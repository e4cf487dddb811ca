"""The end of an attempt's process: as any Python program ends, but in bounded time.

Threads are waited for, what was registered to run at exit is called, files are flushed. Each of these may take for
ever. So there is an alarm: threads that are left after `THREADS_SECONDS` are given up, the rest is done without them,
and after `EXIT_SECONDS` more the process ends wherever it is.

The interpreter is not taken apart, as it would be at its own end: that writes to every page of every module, and a
forked process shares them.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import io
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import NoReturn, TypeAlias

__all__ = [
    "EXIT_SECONDS",
    "THREADS_SECONDS",
    "Alarm",
    "disarm",
    "end",
    "flush_files",
    "leave",
    "remember_files",
    "settle",
]

THREADS_SECONDS = 2.0
EXIT_SECONDS = 2.0
_TASKS_SECONDS = 1.0
_AGAIN_SECONDS = 0.01
_WRITTEN = (io.BufferedWriter, io.TextIOWrapper, io.BufferedRandom)
Alarm: TypeAlias = Callable[[float, Callable[[], None]], None]
_of_import: weakref.WeakSet[io.IOBase] = weakref.WeakSet()
"""Files that the app has opened before this process was forked."""


def disarm() -> None:
    """Stop the timers whose signals were to break into the handler's code; they would break into ours."""
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)


def settle(loop: asyncio.AbstractEventLoop, *, closing: bool) -> None:
    """Cancel what a handler has left running in its event loop; give up what doesn't end.

    Args:
        loop: The loop, which doesn't run.
        closing: Whether to close it, as the process goes on without it.
    """
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    with contextlib.suppress(BaseException):
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=_TASKS_SECONDS))
        loop.run_until_complete(_generators_closed(loop))
    if closing:
        asyncio.set_event_loop(None)
        loop.close()


async def _generators_closed(loop: asyncio.AbstractEventLoop) -> None:
    async with asyncio.timeout(_TASKS_SECONDS):
        await loop.shutdown_asyncgens()


def end(say: Callable[[str], None], last: Callable[[], None], alarm: Alarm) -> NoReturn:
    """End the process. For the main thread, when the handler has ended.

    Args:
        say: Logs what had to be given up.
        last: Called when nothing more will be said.
        alarm: Has something done after some seconds, instead of what was to be done before.
    """
    alarm(THREADS_SECONDS, lambda: _give_up_threads(say, last))
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads and executors, and for nothing else
    alarm(EXIT_SECONDS, lambda: _give_up(say, last))
    _finish(last)


def _started(thread: threading.Thread) -> bool:
    """Start it, once there is room for one more: what the handler has started may be ending."""
    deadline = time.monotonic() + THREADS_SECONDS
    while True:
        try:
            thread.start()
        except RuntimeError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_AGAIN_SECONDS)
        else:
            return True


def _give_up_threads(say: Callable[[str], None], last: Callable[[], None]) -> None:
    names = [one.name for one in threading.enumerate() if not one.daemon and one is not threading.main_thread()]
    say(f"what the handler has left running was given up: {', '.join(names) or 'its main thread'}")
    leave(last)


def _give_up(say: Callable[[str], None], last: Callable[[], None]) -> None:
    say("what was registered to run at exit takes too long: it was given up")
    flush_files()
    last()
    os._exit(0)


def leave(last: Callable[[], None]) -> NoReturn:
    """End the process from beside a handler that goes on.

    Args:
        last: Called when nothing more will be said.
    """
    limit = threading.Timer(EXIT_SECONDS, os._exit, (0,))
    limit.daemon = True
    if _started(limit):
        _finish(last)
    flush_files()
    last()
    os._exit(0)


def _finish(last: Callable[[], None]) -> NoReturn:
    atexit._run_exitfuncs()
    flush_files()
    last()
    os._exit(0)


def flush_files() -> None:
    """Write out what has been written to files that are still open."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    for found in (*_of_import, *gc.get_objects()):
        if isinstance(found, _WRITTEN):
            with contextlib.suppress(Exception):
                found.flush()


def remember_files() -> None:
    """In the process that others are forked from: write out what its import has written, and keep its files in mind.

    `gc.get_objects` doesn't tell of what is frozen.
    """
    flush_files()
    _of_import.update(found for found in gc.get_objects() if isinstance(found, _WRITTEN))
