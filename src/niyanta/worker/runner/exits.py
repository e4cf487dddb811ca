"""The end of an attempt's process: as any Python program ends, but in bounded time.

The interpreter waits for threads, calls what was registered to run at exit, and flushes files. Each of these may take
for ever. So a thread watches: threads that are left after `THREADS_SECONDS` are given up, the rest is done without
them, and after `EXIT_SECONDS` more the process ends wherever it is.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import io
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

__all__ = ["EXIT_SECONDS", "THREADS_SECONDS", "end_in_time", "leave", "settle"]

THREADS_SECONDS = 2.0
EXIT_SECONDS = 2.0
_TASKS_SECONDS = 1.0


def settle(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what a handler has left running in its event loop; give up what doesn't end."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    with contextlib.suppress(BaseException):
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=_TASKS_SECONDS))
        loop.run_until_complete(_generators_closed(loop))


async def _generators_closed(loop: asyncio.AbstractEventLoop) -> None:
    async with asyncio.timeout(_TASKS_SECONDS):
        await loop.shutdown_asyncgens()


def end_in_time(say: Callable[[str], None], last: Callable[[], None]) -> None:
    """Let the program that returns now come to its end.

    Args:
        say: Logs what had to be given up.
        last: Makes sure that it is heard.
    """
    exiting = threading.Event()
    atexit.register(exiting.set)  # called before all others: the threads are over by then
    threading.Thread(target=_watch, args=(exiting, say, last), name="niyanta-end", daemon=True).start()


def _watch(exiting: threading.Event, say: Callable[[str], None], last: Callable[[], None]) -> None:
    if not exiting.wait(THREADS_SECONDS):
        names = [one.name for one in threading.enumerate() if not one.daemon and one is not threading.main_thread()]
        say(f"what the handler has left running was given up: {', '.join(names) or 'its main thread'}")
        leave()
    threading.Event().wait(EXIT_SECONDS)
    say("what was registered to run at exit takes too long: it was given up")
    last()
    _flush_files()
    os._exit(0)


def leave() -> NoReturn:
    """End the process from another thread than the main one, as far as that can be done."""
    limit = threading.Timer(EXIT_SECONDS, os._exit, (0,))
    limit.daemon = True
    limit.start()
    atexit._run_exitfuncs()
    _flush_files()
    os._exit(0)


def _flush_files() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    for found in gc.get_objects():
        if isinstance(found, io.BufferedWriter | io.TextIOWrapper | io.BufferedRandom):
            with contextlib.suppress(Exception):
                found.flush()
