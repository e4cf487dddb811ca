"""The process of one workload: ``python -m niyanta.worker.runner APPS FD``.

It imports the app, waits warm for its one workload, runs the handler and ends. The main thread runs the handler; a
second one reads the control socket, and ends the process when the agent is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import msgspec

from niyanta.errors import PermanentError, TransientError
from niyanta.wire.messages import Assignment
from niyanta.worker.handlers.app import App, load_app
from niyanta.worker.handlers.context import Context, SyncContext
from niyanta.worker.handlers.handler import Handler, encode_result
from niyanta.worker.handlers.link import AttemptEnded
from niyanta.worker.handlers.saver import keep_saving, keep_saving_in_thread
from niyanta.worker.handlers.state import decode_state
from niyanta.worker.handlers.text import describe, plain
from niyanta.worker.runner import channel
from niyanta.worker.runner.link import SocketLink

__all__ = ["flush", "main", "prepare", "serve"]


def _limit(assignment: Assignment) -> None:
    """What the process can be asked to keep by itself: no core dumps, no file beyond the disk limit."""
    for kind, wanted in ((resource.RLIMIT_FSIZE, assignment.disk_mb << 20), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))


def _end_now(link: SocketLink) -> None:
    """Leave from beside the handler: its thread can't be made to."""
    flush()
    link.send(channel.Ended())
    os._exit(0)


def _run_sync(handler: Handler, ctx: SyncContext, link: SocketLink, arguments: tuple[Any, ...]) -> Any:
    def save() -> None:
        try:
            keep_saving_in_thread(ctx)
        except AttemptEnded:
            _end_now(link)

    def told_to_stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: cleaning up must not be interrupted
        raise AttemptEnded

    # Lets the handler's ``finally`` blocks run within the grace; the default action would end it on the spot.
    signal.signal(signal.SIGTERM, told_to_stop)
    threading.Thread(target=save, daemon=True).start()
    link.send(channel.Started())
    return handler.function(*arguments)


async def _run_async(handler: Handler, ctx: Context, link: SocketLink, arguments: tuple[Any, ...]) -> Any:
    this = asyncio.current_task()
    assert this is not None  # noqa: S101 -- a coroutine that runs is in a task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)

    async def save() -> None:
        try:
            await keep_saving(ctx)
        except AttemptEnded:
            _end_now(link)

    saving = asyncio.create_task(save())
    link.send(channel.Started())
    try:
        return await handler.function(*arguments)
    finally:
        saving.cancel()


def _work(handler: Handler, run: channel.Run, control: socket.socket) -> channel.FromRunner:
    """Run the handler; gives what to tell the agent."""
    link = SocketLink(control, run, in_loop=handler.is_async)
    threading.Thread(target=link.listen, daemon=True).start()
    try:
        outcome = _outcome(handler, run, link)
    except (AttemptEnded, asyncio.CancelledError):
        # The agent knows better why, unless somebody else has sent the signal.
        outcome = channel.Problem("the handler was told to stop (SIGTERM), or cancelled itself", False)
    except SystemExit as exc:
        flush()
        os._exit(exc.code if isinstance(exc.code, int) else 0 if exc.code is None else 1)
    link.say_dropped()
    return channel.Ended() if link.ended else outcome


def _outcome(handler: Handler, run: channel.Run, link: SocketLink) -> channel.FromRunner:
    directory = Path(run.directory)
    state = None
    try:
        if run.encoding is not None:
            state = decode_state((directory / channel.CHECKPOINT).read_bytes(), run.encoding)
        kind = Context if handler.is_async else SyncContext
        ctx = kind(run.assignment, link, state, lambda: directory / channel.WORK)
        del state
        arguments = handler.arguments(ctx, run.assignment.input_json)
        if isinstance(ctx, SyncContext):
            result = _run_sync(handler, ctx, link, arguments)
        else:
            result = asyncio.new_event_loop().run_until_complete(_run_async(handler, ctx, link, arguments))
        return channel.Done(encode_result(result))
    except PermanentError as exc:
        return channel.Problem(plain(str(exc)), True, _traceback(exc))
    except TransientError as exc:
        return channel.Problem(plain(str(exc)), False, _traceback(exc))
    except Exception as exc:
        return channel.Problem(describe(exc), False, _traceback(exc))


def _traceback(exc: Exception) -> str:
    return plain("".join(traceback.format_exception(exc))[-8000:])


def flush() -> None:
    """Write out what the handler has printed."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[-1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare()
    serve(load_app(json.loads(sys.argv[1])), control)


def prepare() -> None:
    """What a process does once, before it is asked for anything."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def serve(worker: App, control: socket.socket) -> None:
    """Say that it is ready, run one workload, end the process; returns when the agent is gone."""
    control.set_inheritable(False)
    control.sendall(channel.encode(channel.Ready()))
    frame = channel.receive_frame(control)
    if frame is None:
        return
    run = msgspec.msgpack.decode(frame, type=channel.Run)
    _limit(run.assignment)
    os.chdir(Path(run.directory) / channel.WORK)
    outcome = _work(worker.handlers[run.assignment.workload_type], run, control)
    flush()
    control.sendall(channel.encode(outcome))
    os._exit(0)  # threads and exit handlers of user code must not hold up the slot
