"""What the template does before it imports the app: go a runner's way a few times, with empty handlers.

A forked process shares its memory with the template until it writes to it, and then copies the page. Much of what a
runner writes to is written once: code that the interpreter rewrites for what it meets, caches, and tables that grow.
So that is done here, for all of them.

None of the app's code can be run by it, as none is there yet, and none of it can tell: signals, logging and the event
loop's policy are as they were, there is no thread, and no descriptor is left open. What goes wrong in it is the
template's end, as a failed import is: then each attempt has an interpreter of its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from niyanta.wire.messages import Assignment, AttemptRef
from niyanta.worker.handlers.app import App
from niyanta.worker.handlers.context import Context, SyncContext
from niyanta.worker.runner import channel, exits, output, runner
from niyanta.worker.runner.control import Control

__all__ = ["rehearse"]

_TIMES = 12
"""The interpreter rewrites what it has run some eight times."""
_ENDING_SECONDS = 10.0
_POLL_SECONDS = 0.0005


def rehearse(errors: output.ErrorOutput) -> None:
    """Do it. Only the main thread may be running.

    Raises:
        RuntimeError: It has not gone as it should.
    """
    empty = _empty()
    with _as_before():
        for _ in range(_TIMES):
            for name in empty.handlers:
                _rehearse(empty, name, errors)
        exits.flush_files()  # which looks at all that there is, and is warm after once


def _empty() -> App:
    empty = App()

    @empty.workload("sync")
    def _(_: SyncContext) -> None: ...

    @empty.workload("async")
    async def _(_: Context) -> None: ...

    return empty


@contextmanager
def _as_before() -> Iterator[None]:
    root, stopping = logging.getLogger(), signal.getsignal(signal.SIGTERM)
    level, handlers = root.level, list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
        signal.signal(signal.SIGTERM, stopping)
        asyncio.set_event_loop_policy(None)
    deadline = time.monotonic() + _ENDING_SECONDS
    while len(os.listdir("/proc/self/task")) > 1:  # the kernel takes longer than Python to see one end
        if time.monotonic() > deadline:
            raise RuntimeError("the rehearsal has left a thread running")
        time.sleep(_POLL_SECONDS)


def _rehearse(empty: App, name: str, errors: output.ErrorOutput) -> None:
    """One attempt, of which nothing is limited, and whose process goes on."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(_ENDING_SECONDS)
        ours.sendall(channel.encode(_run(name)))
        control = Control(theirs)
        end = runner.attempts(runner.Serving(empty, control, errors, 1, None), lambda _: None)
        control.detach()
        if end is not None:
            end[1]()
        if empty.handlers[name].is_async:
            asyncio.get_event_loop().close()
        said: list[channel.FromRunner] = []
        while len(said) < 3 and (frame := channel.receive_frame(ours)) is not None:
            said.append(channel.decode_from_runner(frame))
    if [type(one) for one in said] != [channel.Ready, channel.HandlerStarted, channel.Done]:
        raise RuntimeError(f"the rehearsal has said {said}")
    control.drop()


def _run(name: str) -> channel.Run:
    return channel.Run(
        assignment=Assignment(ref=AttemptRef("", "", 1), workload_type=name, input_json=b"{}"),
        encoding=None,
        directory=os.getcwd(),
        waiting=None,
        most_checkpoint_bytes=0,
        word="",
        work=".",
    )
