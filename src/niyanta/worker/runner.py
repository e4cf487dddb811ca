"""The process of one workload: ``python -m niyanta.worker.runner APP … FD``.

It imports the app, waits warm for its one workload, runs the handler and ends. The main thread runs the handler; a
second one reads the control socket, and ends the process when the agent is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import msgspec

from niyanta.errors import CheckpointError, PermanentError
from niyanta.worker import channel
from niyanta.worker.app import load_app
from niyanta.worker.context import AttemptEnded, Context, decode_state
from niyanta.worker.handlers import Handler, encode_result

__all__ = ["main"]

_SAVER_POLL_SECONDS = 0.2


class SocketLink:
    """The context's way to the agent."""

    def __init__(self, control: socket.socket, waiting: str | None, loop: asyncio.AbstractEventLoop | None) -> None:
        self._control = control
        self._loop = loop
        self._send_lock = threading.Lock()
        self._save_lock = threading.Lock()
        self._saved: channel.Saved | None = None
        self._saved_event = threading.Event()
        self.waiting: str | None = waiting
        self.cancelled = False

    def send(self, message: channel.FromRunner) -> None:
        with self._send_lock, contextlib.suppress(OSError):
            self._control.sendall(channel.encode(message))

    def report(self, body: Any) -> None:
        self.send(channel.Report(body))

    def save(self, data: bytes, encoding: str) -> Any:
        if self._loop is None or threading.current_thread() is not threading.main_thread():
            return self._save(data, encoding)
        return asyncio.to_thread(self._save, data, encoding)

    def _save(self, data: bytes, encoding: str) -> int:
        with self._save_lock:
            self._saved_event.clear()
            self.send(channel.Save(data, encoding))
            self._saved_event.wait()
            saved = self._saved
        if saved is None:
            raise AttemptEnded
        if saved.error is not None:
            raise CheckpointError(saved.error)
        if saved.ended:
            raise AttemptEnded
        return saved.sequence

    def listen(self) -> None:
        """Read what the agent says, for ever; the process ends with the agent."""
        decode = msgspec.msgpack.Decoder(channel.ToRunner).decode
        while True:
            frame = channel.receive_frame(self._control)
            if frame is None:
                os._exit(1)
            match decode(frame):
                case channel.Saved() as saved:
                    self._saved = saved
                    self._saved_event.set()
                case channel.Due(reason=reason):
                    self.waiting = reason
                case channel.Cancelled():
                    self.cancelled = True
                case _:
                    pass


def _limit(disk_mb: int) -> None:
    for kind, wanted in ((resource.RLIMIT_FSIZE, disk_mb << 20), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))


def _keep_saving(ctx: Context, link: SocketLink) -> None:
    """Call the function of ``checkpoint_with`` whenever a checkpoint is due."""
    while True:
        time.sleep(_SAVER_POLL_SECONDS)
        if ctx.saver is None or not ctx.checkpoint_due:
            continue
        try:
            ctx.save_checkpoint(ctx.saver())
        except AttemptEnded:
            link.send(channel.Ended())
            os._exit(0)
        except Exception as exc:
            ctx.log.warning("checkpoint_with: %s", exc)


def _run_sync(handler: Handler, ctx: Context, link: SocketLink, input_json: bytes) -> Any:
    arguments = handler.arguments(ctx, input_json)
    threading.Thread(target=_keep_saving, args=(ctx, link), daemon=True).start()
    link.send(channel.Started())
    return handler.function(*arguments)


async def _run_async(handler: Handler, ctx: Context, link: SocketLink, input_json: bytes) -> Any:
    arguments = handler.arguments(ctx, input_json)
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    if task is not None:
        loop.add_signal_handler(signal.SIGTERM, task.cancel)

    async def keep_saving() -> None:
        while True:
            await asyncio.sleep(_SAVER_POLL_SECONDS)
            if ctx.saver is not None and ctx.checkpoint_due:
                state = ctx.saver()
                state = await state if asyncio.iscoroutine(state) else state
                try:
                    await ctx.save_checkpoint(state)
                except AttemptEnded:
                    link.send(channel.Ended())
                    os._exit(0)

    saving = asyncio.create_task(keep_saving())
    link.send(channel.Started())
    try:
        return await handler.function(*arguments)
    finally:
        saving.cancel()


def _work(handler: Handler, run: channel.Run, control: socket.socket) -> channel.FromRunner | None:
    """Run the handler; gives what to tell the agent."""
    loop = asyncio.new_event_loop() if handler.is_async else None
    link = SocketLink(control, run.waiting, loop)
    threading.Thread(target=link.listen, daemon=True).start()
    checkpoint = None if run.checkpoint is None else decode_state(run.checkpoint, run.encoding)
    ctx = Context(run.assignment, link, checkpoint, Path(run.work_dir), sync=loop is None)
    input_json = run.assignment.input_json
    try:
        if loop is None:
            result = _run_sync(handler, ctx, link, input_json)
        else:
            result = loop.run_until_complete(_run_async(handler, ctx, link, input_json))
        return channel.Done(encode_result(result))
    except AttemptEnded:
        return channel.Ended()
    except asyncio.CancelledError:
        return None
    except PermanentError as exc:
        return channel.Problem(str(exc), True, traceback.format_exc())
    except Exception as exc:
        return channel.Problem(f"{type(exc).__name__}: {exc}", False, traceback.format_exc())


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[-1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = load_app(json.loads(sys.argv[1]))
    control.sendall(channel.encode(channel.Ready()))
    frame = channel.receive_frame(control)
    if frame is None:
        return
    run = msgspec.msgpack.decode(frame, type=channel.Run)
    _limit(run.assignment.disk_mb)
    os.chdir(run.work_dir)
    outcome = _work(worker.handlers[run.assignment.workload_type], run, control)
    sys.stdout.flush()
    sys.stderr.flush()
    if outcome is not None:
        control.sendall(channel.encode(outcome))
    os._exit(0)  # threads and exit handlers of user code must not hold up the slot


if __name__ == "__main__":
    main()
