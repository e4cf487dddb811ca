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
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec

from niyanta.errors import CheckpointError, PermanentError, TransientError
from niyanta.wire.messages import Assignment, LogLine
from niyanta.worker.handlers.app import load_app
from niyanta.worker.handlers.context import (
    MAX_CHECKPOINT_BYTES,
    AttemptEnded,
    Context,
    decode_state,
    keep_saving,
    keep_saving_in_thread,
)
from niyanta.worker.handlers.handler import Handler, encode_result
from niyanta.worker.handlers.text import LineGate, describe, plain
from niyanta.worker.runner import channel

__all__ = ["main"]


class SocketLink:
    """The context's way to the agent.

    Attributes:
        ended: A checkpoint has fulfilled a pause or a drain: whatever the handler does now, the attempt is over.
    """

    def __init__(self, control: socket.socket, run: channel.Run, loop: asyncio.AbstractEventLoop | None) -> None:
        self._control = control
        self._directory = Path(run.directory)
        self._loop = loop
        self._send_lock = threading.Lock()
        self._gate_lock = threading.Lock()
        self._gate = LineGate()
        self._answers: deque[Future[int]] = deque()
        self._saves = 0
        self.most_checkpoint_bytes = run.most_checkpoint_bytes
        self.waiting: str | None = run.waiting
        self.cancelled = False
        self.ended = False

    def send(self, message: channel.FromRunner) -> None:
        data = channel.encode(message)
        with self._send_lock, contextlib.suppress(OSError):
            self._control.sendall(data)

    def report(self, body: Any) -> None:
        if isinstance(body, LogLine):
            with self._gate_lock:  # logging comes from any thread
                if not self._gate.admit(1):
                    return
            self.say_dropped()
        self.send(channel.Report(body))

    def say_dropped(self) -> None:
        with self._gate_lock:
            lines = self._gate.take_dropped()
        if lines:
            self.send(channel.Dropped(lines))

    def save(self, data: bytes, encoding: str) -> Any:
        if self.ended:
            raise AttemptEnded
        if self._loop is None or threading.current_thread() is not threading.main_thread():
            return self._request(data, encoding).result()
        return self._save(data, encoding)

    async def _save(self, data: bytes, encoding: str) -> int:
        return await asyncio.wrap_future(self._request(data, encoding))

    def _request(self, data: bytes, encoding: str) -> Future[int]:
        with self._send_lock:
            self._saves += 1
            number = self._saves
        small = len(data) <= MAX_CHECKPOINT_BYTES
        if not small:
            try:
                (self._directory / channel.saving_name(number)).write_bytes(data)
            except OSError as exc:
                raise CheckpointError(f"the checkpoint can't be written to the scratch disk: {exc}") from exc
        request = channel.encode(channel.Save(data if small else None, encoding, number))
        answer: Future[int] = Future()
        with self._send_lock, contextlib.suppress(OSError):
            self._answers.append(answer)
            self._control.sendall(request)
        return answer

    def listen(self) -> None:
        """Read what the agent says, for ever; the process ends with the agent."""
        decode = msgspec.msgpack.Decoder(channel.ToRunner).decode
        while True:
            frame = channel.receive_frame(self._control)
            if frame is None:
                os._exit(1)
            match decode(frame):
                case channel.Saved() as saved:
                    self._answered(saved)
                case channel.Due(reason=reason):
                    self.waiting = reason
                case channel.Cancelled():
                    self.cancelled = True
                case _:
                    pass

    def _answered(self, saved: channel.Saved) -> None:
        answer = self._answers.popleft()
        if saved.ended:
            self.ended = True
        if not answer.set_running_or_notify_cancel():
            return
        if saved.ended:
            answer.set_exception(AttemptEnded())
        elif saved.error is not None:
            answer.set_exception(CheckpointError(saved.error))
        else:
            answer.set_result(saved.sequence)


def _limit(assignment: Assignment) -> None:
    """What the process can be asked to keep by itself: no core dumps, no file beyond the disk limit."""
    for kind, wanted in ((resource.RLIMIT_FSIZE, assignment.disk_mb << 20), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))


def _end_now(link: SocketLink) -> None:
    """Leave from beside the handler: its thread can't be made to."""
    _flush()
    link.send(channel.Ended())
    os._exit(0)


def _run_sync(handler: Handler, ctx: Context, link: SocketLink, arguments: tuple[Any, ...]) -> Any:
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
    loop = asyncio.new_event_loop() if handler.is_async else None
    link = SocketLink(control, run, loop)
    threading.Thread(target=link.listen, daemon=True).start()
    try:
        outcome = _outcome(handler, run, link, loop)
    except (AttemptEnded, asyncio.CancelledError):
        # The agent knows better why, unless somebody else has sent the signal.
        outcome = channel.Problem("the handler was told to stop (SIGTERM), or cancelled itself", False)
    except SystemExit as exc:
        _flush()
        os._exit(exc.code if isinstance(exc.code, int) else 0 if exc.code is None else 1)
    link.say_dropped()
    return channel.Ended() if link.ended else outcome


def _outcome(
    handler: Handler, run: channel.Run, link: SocketLink, loop: asyncio.AbstractEventLoop | None
) -> channel.FromRunner:
    directory = Path(run.directory)
    state = None
    try:
        if run.encoding is not None:
            state = decode_state((directory / channel.CHECKPOINT).read_bytes(), run.encoding)
        ctx = Context(run.assignment, link, state, lambda: directory / channel.WORK, sync=loop is None)
        del state
        arguments = handler.arguments(ctx, run.assignment.input_json)
        if loop is None:
            result = _run_sync(handler, ctx, link, arguments)
        else:
            result = loop.run_until_complete(_run_async(handler, ctx, link, arguments))
        return channel.Done(encode_result(result))
    except PermanentError as exc:
        return channel.Problem(plain(str(exc)), True, _traceback(exc))
    except TransientError as exc:
        return channel.Problem(plain(str(exc)), False, _traceback(exc))
    except Exception as exc:
        return channel.Problem(describe(exc), False, _traceback(exc))


def _traceback(exc: Exception) -> str:
    return plain("".join(traceback.format_exception(exc))[-8000:])


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[-1]))
    control.set_inheritable(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    worker = load_app(json.loads(sys.argv[1]))
    control.sendall(channel.encode(channel.Ready()))
    frame = channel.receive_frame(control)
    if frame is None:
        return
    run = msgspec.msgpack.decode(frame, type=channel.Run)
    _limit(run.assignment)
    os.chdir(Path(run.directory) / channel.WORK)
    outcome = _work(worker.handlers[run.assignment.workload_type], run, control)
    _flush()
    control.sendall(channel.encode(outcome))
    os._exit(0)  # threads and exit handlers of user code must not hold up the slot
