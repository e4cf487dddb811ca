"""Runs one engine and ends it when its parent goes away: ``python guardian.py FD GRACE_SIGNAL -- argv …``.

FD is one end of a socket pair. The guardian writes the engine's process id to it and then watches it. When it closes
(the parent stopped the engine, exited, or was killed), or on SIGTERM, the engine gets its grace signal and, five
seconds later, SIGKILL. On Linux nothing outlives the guardian in any order of deaths: it adopts and kills what an
engine leaves behind, and the kernel sends the engine the grace signal when the guardian itself is killed.

The guardian and the engine are sessions of their own, so that a signal to the parent's process group reaches neither.
Standard library only, no threads. It is run as a file, so that it loads nothing of the package.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

GRACE_SECONDS = 5.0

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    """Start the program, pass signals on, and end it with its owner; gives its exit status."""
    link, grace = int(sys.argv[1]), signal.Signals[sys.argv[2]]
    os.set_inheritable(link, False)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for caught in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(caught, lambda *_: None)  # not SIG_IGN, which the engine would inherit
    engine = _start(sys.argv[4:], grace)
    with contextlib.suppress(OSError):
        os.write(link, b"%d\n" % engine.pid)
    deadline: float | None = None
    while engine.poll() is None:
        watched = [wake_read] if deadline is not None else [wake_read, link]
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select(watched, [], [], timeout)
        stop = wake_read in ready and signal.SIGTERM in os.read(wake_read, 64)
        if deadline is None and (stop or (link in ready and _closed(link))):
            engine.send_signal(grace)
            deadline = time.monotonic() + GRACE_SECONDS
        elif deadline is not None and time.monotonic() >= deadline:
            engine.kill()
            engine.wait()
    _end_adopted()
    return engine.returncode if engine.returncode >= 0 else 128 - engine.returncode


def _start(command: list[str], grace: signal.Signals) -> subprocess.Popen[bytes]:
    """Start the engine. The lock of its directory, inherited from the parent, goes on to it."""
    guardian = os.getpid()
    follow = None
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

        def follow() -> None:
            prctl(_PR_SET_PDEATHSIG, int(grace), 0, 0, 0)
            if os.getppid() != guardian:
                os._exit(1)

    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        close_fds=False,
        start_new_session=True,
        preexec_fn=follow,  # safe, as there are no threads here
    )


def _closed(link: int) -> bool:
    try:
        return not os.read(link, 64)
    except OSError:
        return True


def _end_adopted() -> None:
    """Kill what a killed engine left behind. PostgreSQL's backends are sessions of their own: no group holds them."""
    while True:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text(errors="replace").rpartition(")")[2].split()[1]) == os.getpid():
                yield int(path.parent.name)


if __name__ == "__main__":
    sys.exit(main())
