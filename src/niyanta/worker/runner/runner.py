"""The process of one workload: ``python -m niyanta.worker.runner APPS POLICY FOLDER FD``.

It imports the app, waits warm for its one workload, runs the handler and ends. The main thread runs the handler.
Another reads the control socket and writes to it, and ends the process when the agent is gone.

Where the handler's author allows it, the process waits for the next workload of the same customer and type instead of
ending, if the last one has left nothing behind (`niyanta.worker.runner.surroundings`).
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import json
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from niyanta.domain.records import LogLevel
from niyanta.errors import PermanentError, TransientError
from niyanta.telemetry.ambient import enter
from niyanta.wire.messages import Assignment, LogLine
from niyanta.worker.box.box import Box
from niyanta.worker.box.hiding import EMPTIED
from niyanta.worker.box.policy import Policy
from niyanta.worker.handlers import children
from niyanta.worker.handlers.app import App, load_app
from niyanta.worker.handlers.context import Context, SyncContext
from niyanta.worker.handlers.failures import boxed_in, is_end, is_permanent, said_by, traced
from niyanta.worker.handlers.handler import Handler, MisfitError, encode_result
from niyanta.worker.handlers.link import AttemptEnded
from niyanta.worker.handlers.logs import log_all_to, log_no_more_to
from niyanta.worker.handlers.saver import keep_saving, keep_saving_in_thread
from niyanta.worker.handlers.state import decode_state
from niyanta.worker.handlers.text import describe, plain, words_of
from niyanta.worker.runner import channel, exits, output
from niyanta.worker.runner.control import Control
from niyanta.worker.runner.link import SocketLink
from niyanta.worker.runner.surroundings import Surroundings
from niyanta.worker.runner.telemetry import handler_spans

if TYPE_CHECKING:
    from niyanta.telemetry.handlers import HandlerSpans

__all__ = ["Serving", "attempts", "flush", "main", "serve"]

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
    ctx.begin_saving = threading.Thread(target=save, name="niyanta-saver", daemon=True).start
    link.send(channel.HandlerStarted())
    handler.remark_on(ctx)
    with children.Guard([signal.SIGTERM], link.descriptors):
        try:
            result = children.called(handler.function, *arguments)
        finally:
            exits.disarm()
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

    saving: list[asyncio.Task[None]] = []
    loop, ours = asyncio.get_running_loop(), contextvars.copy_context()
    ctx.begin_saving = lambda: loop.call_soon_threadsafe(
        lambda: saving.append(loop.create_task(save())), context=ours
    )
    link.send(channel.HandlerStarted())
    handler.remark_on(ctx)
    with children.Guard([signal.SIGTERM], link.descriptors):
        try:
            return await children.awaited(handler.function, *arguments)
        finally:
            exits.disarm()
            for task in saving:
                task.cancel()


def _outcome(handler: Handler, run: channel.Run, link: SocketLink) -> channel.FromRunner:
    """Run the handler; gives what to tell the agent."""
    directory = Path(run.directory)
    try:
        state = None
        if run.encoding is not None:
            state = decode_state((directory / channel.CHECKPOINT).read_bytes(), run.encoding)
        kind = Context if handler.is_async else SyncContext
        ctx = kind(run.assignment, link, state, lambda: directory / run.work)
        del state
        log_all_to(link)
        enter(run.assignment.traceparent)
        arguments = handler.arguments(ctx, run.assignment.input_json)
        if isinstance(ctx, SyncContext):
            result = _run_sync(handler, ctx, link, arguments)
        else:
            result = _run_loop(handler, ctx, link, arguments, closing=run.keep)
        return channel.Done(encode_result(result))
    except (AttemptEnded, asyncio.CancelledError):
        # The agent knows better why, unless somebody else has sent the signal.
        return channel.Problem(_STOPPED, False)
    except MisfitError as exc:
        return channel.Misfit(said_by(exc), exc.hopeless)
    except PermanentError as exc:
        return channel.Problem(said_by(exc), True, traced(exc))
    except TransientError as exc:
        return channel.Problem(said_by(exc), False, traced(exc))
    except SystemExit as exc:
        return channel.Problem(_exit_words(exc), False)
    except BaseException as exc:
        if is_end(exc):
            return channel.Problem(_STOPPED, False)
        return channel.Problem(describe(exc), is_permanent(exc), traced(exc) + boxed_in(exc, EMPTIED))


def _run_loop(
    handler: Handler, ctx: Context, link: SocketLink, arguments: tuple[Any, ...], *, closing: bool
) -> object:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(_run_async(handler, ctx, link, arguments))
    finally:
        exits.settle(loop, closing=closing)


def _exit_words(exc: SystemExit) -> str:
    """Of ``sys.exit``: the status that it would have come to, as in Python itself."""
    ended, code = "the workload's process ended without a result", exc.code
    if code is None or isinstance(code, int):
        return f"{ended} (exit status {int(code or 0) & 0xFF})"
    return plain(f"{ended} (exit status 1): {words_of(code)}")


def flush() -> None:
    """Write out what the handler has printed."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def main() -> None:
    """Run one workload in this interpreter, which was started for it."""
    control = socket.socket(fileno=int(sys.argv[-1]))
    errors = output.take_over()
    apps = json.loads(sys.argv[1])
    policy = Policy.decode(sys.argv[2])
    box = Box(policy, apps)
    box.prepare(sys.argv[3])
    rules = box.around(sys.argv[3])
    box.close()
    box.enter(sys.argv[3], rules, policy.user)
    worker = load_app(apps)
    serve(worker, control, errors, handler_spans())


def serve(worker: App, socket_: socket.socket, errors: output.ErrorOutput, spans: HandlerSpans | None = None) -> None:
    """Say that it is ready, run an attempt, or several of one kind, and end the process.

    Returns when the agent is gone before there was one.
    """
    for number, action in _ACTIONS.items():
        if signal.getsignal(number) == signal.SIG_IGN:  # inherited, and handed on to the tools that handlers run
            signal.signal(number, action)
    shared = Serving(worker, Control(socket_), errors, os.dup(1), spans)
    if (last := attempts(shared, _limit)) is not None:
        exits.end(*last, shared.control.alarm)


_End: TypeAlias = tuple[Callable[[str], None], Callable[[], None]]
"""What says what had to be given up, and what is called when nothing more will be said."""


def attempts(shared: Serving, limit: Callable[[Assignment], None]) -> _End | None:
    """Run an attempt, or several of one kind; gives how to end then, or None when the agent is gone before the first.

    Args:
        shared: What they share.
        limit: Has the process keep what an attempt's may be asked to.
    """
    shared.control.start()
    shared.control.send(channel.Ready())
    served = False
    while (run := shared.control.next_run()) is not None:
        served = True
        limit(run.assignment)
        if run.keep and shared.before is None:
            shared.before = Surroundings(run.assignment.memory_mb, shared.written)
        if (last := _serve(shared, run)) is not None:
            return last
    shared.control.close()
    return (_unheard, flush) if served else None


def _unheard(words: str) -> None:
    """What is said after the last attempt belongs to none."""


@dataclass
class Serving:
    """What the attempts of one process share."""

    worker: App
    control: Control
    errors: output.ErrorOutput
    written: int
    """Descriptor of what is printed."""
    spans: HandlerSpans | None
    """Exports what handlers record; None where nobody wants it."""
    before: Surroundings | None = None
    """How the process was before its first attempt, when it may serve several."""


def _serve(shared: Serving, run: channel.Run) -> _End | None:
    """Run an attempt; gives how to end the process, unless it can serve another."""
    handler = shared.worker.handlers[run.assignment.workload_type]
    link = SocketLink(shared.control, run, shared.written, in_loop=handler.is_async)
    shared.control.attach(link.hear)
    shared.errors.report_to(link)
    os.chdir(Path(run.directory) / run.work)
    outcome = contextvars.copy_context().run(_outcome, handler, run, link)
    flush()
    if shared.spans is not None:
        shared.spans.finish()
    if run.keep and shared.before is not None and isinstance(outcome, channel.Done) and not link.ended:
        if (problem := _left_behind(shared, shared.before, link)) is None:
            link.say_dropped()
            shared.control.detach()
            link.finish()
            shared.control.send(outcome)
            shared.control.send(channel.Clean())
            return None
        link.remark(LogLevel.INFO, f"the process of this attempt is not used again: {problem}")
    link.say_dropped()
    link.send(channel.Ended() if link.ended else outcome)

    def last() -> None:
        shared.errors.report_to(None)
        shared.control.close()

    return lambda words: link.report(LogLine(LogLevel.WARN, words)), last


def _left_behind(shared: Serving, before: Surroundings, link: SocketLink) -> str | None:
    """Undo what the attempt has needed; gives why the process can't serve another."""
    log_no_more_to(link)
    problem = before.problem()
    flush()
    if problem is None and link.saves_wait:
        problem = "a checkpoint of it is still being saved"
    if problem is None:
        shared.errors.report_to(None)
    else:
        log_all_to(link)
    return problem
