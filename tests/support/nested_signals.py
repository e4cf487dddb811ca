"""A handler's signals report, while the handler waits to report and the agent takes nothing.

Run as a program, since an attempt's process ends when its socket is closed. Prints how often the signal's handler
was called, and how deep in itself.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from pathlib import Path

from niyanta.wire.messages import Assignment, AttemptRef, Progressed
from niyanta.worker.runner import channel
from niyanta.worker.runner.control import Control
from niyanta.worker.runner.link import SocketLink

TICKS = 40


def _run(directory: Path) -> channel.Run:
    return channel.Run(
        assignment=Assignment(ref=AttemptRef("cust_a", "wl_1", 1), workload_type="t", input_json=b"{}"),
        encoding=None,
        directory=str(directory),
        waiting=None,
        most_checkpoint_bytes=1_000,
        word="word",
    )


def _main(directory: Path, full: str) -> None:
    """``full``: what the agent doesn't read, "control" or "output"."""
    ours, theirs = socket.socketpair()
    reading, output = socket.socketpair()
    unread, read = (theirs, reading) if full == "control" else (reading, theirs)
    control = Control(ours)
    link = SocketLink(control, _run(directory), output.fileno(), in_loop=False)
    control.attach(link.hear)
    control.start()
    depth = deepest = ticks = 0
    heard = threading.Event()

    def drain(end: socket.socket) -> None:
        if end is unread:
            heard.wait(60)
        while end.recv(1 << 20):
            pass

    def tick(*_: object) -> None:
        nonlocal depth, deepest, ticks
        depth += 1
        ticks += 1
        deepest = max(deepest, depth)
        if ticks == TICKS:
            heard.set()
        link.report(Progressed(1, "tick"))
        depth -= 1

    for end in (unread, read):
        threading.Thread(target=drain, args=(end,), daemon=True).start()
    signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    while not heard.is_set():
        link.report(Progressed(2, "x" * 200))
    signal.setitimer(signal.ITIMER_REAL, 0)
    link.close()
    print(ticks, deepest)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])
