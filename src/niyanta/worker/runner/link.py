"""The context's way from an attempt's process to the agent: the control socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections import deque
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec

from niyanta.errors import CheckpointError
from niyanta.wire.messages import LogLine, Progressed
from niyanta.worker.handlers.link import Ask, AttemptEnded
from niyanta.worker.handlers.state import MAX_CHECKPOINT_BYTES
from niyanta.worker.handlers.text import LineGate
from niyanta.worker.runner import channel

__all__ = ["SocketLink"]


class SocketLink:
    """The context's way to the agent.

    Attributes:
        ended: A checkpoint has fulfilled a pause or a drain: whatever the handler does now, the attempt is over.
    """

    def __init__(self, control: socket.socket, run: channel.Run, *, in_loop: bool) -> None:
        self._control = control
        self._directory = Path(run.directory)
        self._in_loop = in_loop
        self._send_lock = threading.Lock()
        self._gate_lock = threading.Lock()
        self._gate = LineGate()
        self._answers: deque[Future[int]] = deque()
        self._saves = 0
        self.most_checkpoint_bytes = run.most_checkpoint_bytes
        self.waiting: Ask | None = run.waiting
        self.cancelled = False
        self.ended = False

    def send(self, message: channel.FromRunner) -> None:
        data = channel.encode(message)
        with self._send_lock, contextlib.suppress(OSError):
            self._control.sendall(data)

    def report(self, body: LogLine | Progressed) -> None:
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

    def save(self, data: bytes, encoding: str) -> Coroutine[Any, Any, int]:
        """From the event loop's thread, to be awaited. Other threads are held until it is saved."""
        if self.ended:
            raise AttemptEnded
        answer = self._request(data, encoding)
        if threading.current_thread() is not threading.main_thread():
            answer.exception()  # waits
        return _awaited(answer)

    def save_now(self, data: bytes, encoding: str) -> int:
        if self.ended:
            raise AttemptEnded
        if self._in_loop and threading.current_thread() is threading.main_thread():
            raise RuntimeError("a save that blocks would block the event loop that must go on: await it instead")
        return self._request(data, encoding).result()

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


async def _awaited(answer: Future[int]) -> int:
    return await asyncio.wrap_future(answer)
