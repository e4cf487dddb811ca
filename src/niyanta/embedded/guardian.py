"""Runs one engine and ends it when its parent goes away: ``python guardian.py FD GRACE_SIGNAL -- argv …``.

The parent holds the other end of a pipe. When the pipe closes (the parent stopped it, exited, or was killed), the
engine gets its grace signal and, ten seconds later, SIGKILL. The guardian is its own session, so that a signal to the
parent's process group doesn't reach the engine. Standard library only, no threads.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

GRACE_SECONDS = 10.0


def main() -> int:
    pipe, grace = int(sys.argv[1]), getattr(signal, sys.argv[2])
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    ended_read, ended_write = os.pipe()
    os.set_blocking(ended_write, False)
    signal.set_wakeup_fd(ended_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    engine = subprocess.Popen(sys.argv[4:], stdin=subprocess.DEVNULL, restore_signals=True, start_new_session=True)
    deadline: float | None = None
    while engine.poll() is None:
        watched = [ended_read] if deadline is not None else [ended_read, pipe]
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select(watched, [], [], timeout)
        if ended_read in ready:
            os.read(ended_read, 64)
        if deadline is None and pipe in ready and not os.read(pipe, 64):
            os.killpg(engine.pid, grace) if grace == signal.SIGTERM else os.kill(engine.pid, grace)
            deadline = time.monotonic() + GRACE_SECONDS
        elif deadline is not None and time.monotonic() >= deadline and engine.poll() is None:
            os.killpg(engine.pid, signal.SIGKILL)
            engine.wait()
    return engine.returncode if engine.returncode >= 0 else 128 - engine.returncode


if __name__ == "__main__":
    sys.exit(main())
