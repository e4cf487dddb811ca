"""The process of one workload: ``python -m niyanta.worker.runner APPS FD``.

It imports the app, waits warm for its one workload, runs the handler and ends. The main thread runs the handler.
Another reads the control socket, and ends the process when the agent is gone; a third writes to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
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
from niyanta.wire.messages import Assignment, LogLine
from niyanta.worker.handlers import children
from niyanta.worker.handlers.app import App, load_app
from niyanta.worker.handlers.context import Context, SyncContext
from niyanta.worker.handlers.failures import is_end, is_permanent
from niyanta.worker.handlers.handler import Handler, MisfitError, encode_result
from niyanta.worker.handlers.link import AttemptEnded
from niyanta.worker.handlers.logs import log_all_to
from niyanta.worker.handlers.saver import keep_saving, keep_saving_in_thread
from niyanta.worker.handlers.state import decode_state
from niyanta.worker.handlers.text import describe, plain
from niyanta.worker.runner import channel, exits, output
from niyanta.worker.runner.link import SocketLink

__all__ = ["flush", "main", "serve"]

_ACTIONS: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
_STOPPED = "the handler was told to stop (SIGTERM), or cancelled itself"


def _limit(assignment: Assignment) -> None:
    """What the process can be asked to keep by itself: no core dumps, no file beyond the disk limit."""
    for kind, wanted in ((resource.RLIMIT_FSIZE, assignment.disk_mb << 20), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))


def _run_sync(handler: Handler, ctx: SyncContext, link: SocketLink, arguments: tuple[Any, ...]) -> object:
    def save() -> None:
        try:
            keep_saving_in_thread(ctx)
        except AttemptEnded:
            link.send(channel.Ended())
            exits.leave(link.close)  # the handler's thread can't be made to

    def told_to_stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: cleaning up must not be interrupted
        raise AttemptEnded

    # Lets the handler's ``finally`` blocks run within the grace; the default action would end it on the spot.
    signal.signal(signal.SIGTERM, told_to_stop)
    threading.Thread(target=save, name="niyanta-saver", daemon=True).start()
    link.send(channel.HandlerStarted())
    with children.guarded([signal.SIGTERM], link.descriptors):
        result = children.called(handler.function, *arguments)
    if inspect.iscoroutine(result):
        result.close()
        raise PermanentError(
            f"the handler of '{handler.workload_type}' has made a coroutine that nobody awaits: register the async "
            "function itself, or wrap it by functools.wraps"
        )
    return result


async def _run_async(handler: Handler, ctx: Context, link: SocketLink, arguments: tuple[Any, ...]) -> object:
    this = asyncio.current_task()
    assert this is not None  # noqa: S101 -- a coroutine that runs is in a task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)

    async def save() -> None:
        try:
            await keep_saving(ctx)
        except AttemptEnded:
            this.cancel()

    saving = asyncio.create_task(save())
    link.send(channel.HandlerStarted())
    with children.guarded([signal.SIGTERM], link.descriptors):
        try:
            return await children.awaited(handler.function, *arguments)
        finally:
            saving.cancel()


def _outcome(handler: Handler, run: channel.Run, link: SocketLink) -> channel.FromRunner:
    """Run the handler; gives what to tell the agent."""
    directory = Path(run.directory)
    try:
        state = None
        if run.encoding is not None:
            state = decode_state((directory / channel.CHECKPOINT).read_bytes(), run.encoding)
        kind = Context if handler.is_async else SyncContext
        ctx = kind(run.assignment, link, state, lambda: directory / channel.WORK)
        del state
        log_all_to(link)
        arguments = handler.arguments(ctx, run.assignment.input_json)
        if isinstance(ctx, SyncContext):
            result = _run_sync(handler, ctx, link, arguments)
        else:
            result = _run_loop(handler, ctx, link, arguments)
        return channel.Done(encode_result(result))
    except (AttemptEnded, asyncio.CancelledError):
        # The agent knows better why, unless somebody else has sent the signal.
        return channel.Problem(_STOPPED, False)
    except MisfitError as exc:
        return channel.Misfit(plain(str(exc)), exc.hopeless)
    except PermanentError as exc:
        return channel.Problem(plain(str(exc)), True, _traceback(exc))
    except TransientError as exc:
        return channel.Problem(plain(str(exc)), False, _traceback(exc))
    except SystemExit as exc:
        return channel.Problem(_exit_words(exc), False)
    except BaseException as exc:
        if is_end(exc):
            return channel.Problem(_STOPPED, False)
        return channel.Problem(describe(exc), is_permanent(exc), _traceback(exc))


def _run_loop(handler: Handler, ctx: Context, link: SocketLink, arguments: tuple[Any, ...]) -> object:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(_run_async(handler, ctx, link, arguments))
    finally:
        exits.settle(loop)


def _exit_words(exc: SystemExit) -> str:
    if exc.code is None or isinstance(exc.code, int):
        return f"the workload's process ended without a result (exit status {exc.code or 0})"
    return plain(f"the workload's process ended without a result (exit status 1): {exc.code}")


def _traceback(exc: BaseException) -> str:
    return plain("".join(traceback.format_exception(exc))[-8000:])


def flush() -> None:
    """Write out what the handler has printed."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def main() -> None:
    """Run one workload in this interpreter, which was started for it."""
    control = socket.socket(fileno=int(sys.argv[-1]))
    errors = output.take_over()
    serve(load_app(json.loads(sys.argv[1])), control, errors)


def serve(worker: App, control: socket.socket, errors: output.ErrorOutput) -> None:
    """Say that it is ready, run one workload, end the process; returns when the agent is gone."""
    control.set_inheritable(False)
    for number, action in _ACTIONS.items():
        if signal.getsignal(number) == signal.SIG_IGN:  # inherited, and handed on to the tools that handlers run
            signal.signal(number, action)
    control.sendall(channel.encode(channel.Ready()))
    frame = channel.receive_frame(control)
    if frame is None:
        return
    run = msgspec.msgpack.decode(frame, type=channel.Run)
    handler = worker.handlers[run.assignment.workload_type]
    link = SocketLink(control, run, os.dup(1), in_loop=handler.is_async)

    def last() -> None:
        errors.report_to(None)
        link.close()

    link.start()
    errors.report_to(link)
    _limit(run.assignment)
    os.chdir(Path(run.directory) / channel.WORK)
    outcome = _outcome(handler, run, link)
    flush()
    link.say_dropped()
    link.send(channel.Ended() if link.ended else outcome)
    exits.end(lambda words: link.report(LogLine("WARN", words)), last)
