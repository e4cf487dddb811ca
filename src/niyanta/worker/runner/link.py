"""The context's way from an attempt's process to the agent: the control socket.

Everything that is sent goes through one queue to one thread, which alone writes (`niyanta.worker.runner.control`). So
frames stay whole and in order whoever sends: a thread, a signal handler in the middle of another send, or code that a
signal's exception has torn out of one. Nothing here takes a lock that a signal handler could find taken by the code
that it has interrupted.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from niyanta.domain.limits import MAX_CHECKPOINT_BYTES
from niyanta.domain.records import LogLevel
from niyanta.errors import CheckpointError
from niyanta.wire.messages import LogLine, Progressed
from niyanta.worker.handlers.link import Ask, AttemptEnded, trace_of
from niyanta.worker.handlers.text import LineGate
from niyanta.worker.runner import channel
from niyanta.worker.runner.control import Control, lost
from niyanta.worker.runner.marks import END, mark

__all__ = ["SocketLink"]

_MOST_WAITING = 2_000
"""Messages on their way; who wants to send more waits until there are fewer."""
_WAIT_SECONDS = 0.002


class SocketLink:
    """Speaks for the one process whose handler runs; not for those that it forks.

    Attributes:
        trace: The attempt's span; None where nothing is traced.
        waiting: What waits for a checkpoint.
        cancelled: Whether the handler is being made to stop.
        ended: A checkpoint has fulfilled a pause or a drain: whatever the handler does now, the attempt is over.
    """

    def __init__(self, control: Control, run: channel.Run, output: int, *, in_loop: bool) -> None:
        self._control = control
        self._directory = Path(run.directory)
        self._output = output
        self._word = run.word
        self._in_loop = in_loop
        self._pid = os.getpid()
        self._over = False
        self._held: set[int] = set()  # the threads that wait to send
        self._gate = LineGate()
        self._gate_lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._saves = itertools.count(1)
        self._answers: dict[int, Future[int]] = {}
        self.trace = trace_of(run.assignment)
        self.most_checkpoint_bytes = run.most_checkpoint_bytes
        self.waiting: Ask | None = run.waiting
        self.cancelled = False
        self.ended = False

    def descriptors(self) -> tuple[int, ...]:
        """What nobody else may hold."""
        return (*self._control.descriptors(), self._output)

    @property
    def saves_wait(self) -> bool:
        """Whether a checkpoint has been sent whose answer isn't here."""
        return bool(self._answers)

    def close(self) -> None:
        """Have all that was said written, but don't wait for ever."""
        self._control.close()

    def finish(self) -> None:
        """Say that the attempt's output ends here, in it, and take nothing more to be said of it.

        Raises:
            OSError: The handler has closed what it writes to.
        """
        self._over = True
        for descriptor in (self._output, 2):
            os.write(descriptor, mark(self._word, END))

    # --- what is said -----------------------------------------------------------------------------

    def send(self, message: channel.FromRunner) -> None:
        """Send a message after all that were sent before; wait while too many are on their way.

        A signal's handler that has interrupted such a wait doesn't wait in it: the next signal would find it waiting,
        and they would nest without end.
        """
        if self._control.waiting > _MOST_WAITING and threading.get_ident() not in self._held:
            with self._holding():
                while self._control.waiting > _MOST_WAITING:
                    time.sleep(_WAIT_SECONDS)
        self._control.send(message)

    @contextmanager
    def _holding(self) -> Iterator[None]:
        """The thread is held up now; a signal's handler may run meanwhile."""
        thread = threading.get_ident()
        try:
            self._held.add(thread)
            yield
        finally:
            self._held.discard(thread)

    def report(self, body: LogLine | Progressed) -> None:
        """Send an event; a line in its place among what is printed, unless that would hold up a signal's handler."""
        if os.getpid() != self._pid:
            self._report_from_child(body)
            return
        if self._over:  # somebody has kept what belongs to an attempt before
            return
        number = 0
        in_place = threading.get_ident() not in self._held
        if isinstance(body, LogLine):
            with self._gate_lock:  # logging comes from any thread
                if not self._gate.admit(1):
                    return
            self.say_dropped()
        if in_place and (isinstance(body, LogLine) or body.message is not None):
            number = next(self._numbers)
        self.send(channel.Report(body, number))
        if number:
            self._mark(number)

    def remark(self, level: str, words: str) -> None:
        """Log a line of our own that has no place among what is printed: that may be closed by now."""
        self.send(channel.Report(LogLine(level, words), 0))

    def _mark(self, number: int) -> None:
        try:
            with self._holding():
                os.write(self._output, mark(self._word, number))
        except OSError:
            lost()

    def _report_from_child(self, body: LogLine | Progressed) -> None:
        """A forked process may log: it has our standard output too. All else is only the handler's own to say."""
        if isinstance(body, Progressed):
            raise RuntimeError("a process that the handler has forked can't report progress: let the handler do it")
        line = body.message.replace("\n", " ").encode(errors="backslashreplace") + b"\n"
        os.write(2 if body.level in (LogLevel.WARN, LogLevel.ERROR) else 1, line)

    def say_dropped(self) -> None:
        """Say how many lines were not sent."""
        with self._gate_lock:
            lines = self._gate.take_dropped()
        if lines:
            self.send(channel.Dropped(lines))

    def save(self, data: bytes, encoding: str) -> Coroutine[Any, Any, int]:
        """From the event loop's thread, to be awaited. Other threads are held until it is saved."""
        answer = self._request(data, encoding)
        if threading.current_thread() is not threading.main_thread():
            answer.exception()  # waits
        return _awaited(answer)

    def save_now(self, data: bytes, encoding: str) -> int:
        """Save, and wait for the answer; for code outside the event loop.

        Raises:
            CheckpointError: It was refused.
            RuntimeError: It would block the event loop that has to bring the answer.
        """
        if self._in_loop and threading.current_thread() is threading.main_thread():
            raise RuntimeError("a save that blocks would block the event loop that must go on: await it instead")
        return self._request(data, encoding).result()

    def _request(self, data: bytes, encoding: str) -> Future[int]:
        if os.getpid() != self._pid:
            raise CheckpointError(
                "a process that the handler has forked can't save checkpoints: hand the state back to the handler"
            )
        if self._over:
            raise CheckpointError("the attempt that this context belongs to is over")
        if self.ended:
            raise AttemptEnded
        number = next(self._saves)
        small = len(data) <= MAX_CHECKPOINT_BYTES
        if not small:
            try:
                (self._directory / channel.saving_name(number)).write_bytes(data)
            except OSError as exc:
                raise CheckpointError(f"the checkpoint can't be written to the scratch disk: {exc}") from exc
        answer: Future[int] = Future()
        self._answers[number] = answer
        self.send(channel.Save(data if small else None, encoding, number))
        return answer

    # --- what is heard ------------------------------------------------------------------------------

    def hear(self, message: channel.ToRunner) -> None:
        """Take in what the agent says; called in the control socket's thread."""
        match message:
            case channel.Saved() as saved:
                self._answered(saved)
            case channel.Due(reason=reason):
                self.waiting = reason
            case channel.Cancelled():
                self.cancelled = True
            case _:
                pass

    def _answered(self, saved: channel.Saved) -> None:
        answer = self._answers.pop(saved.number, None)
        if saved.ended:
            self.ended = True
        if answer is None or not answer.set_running_or_notify_cancel():
            return
        if saved.ended:
            answer.set_exception(AttemptEnded())
        elif saved.error is not None:
            answer.set_exception(CheckpointError(saved.error))
        else:
            answer.set_result(saved.sequence)


async def _awaited(answer: Future[int]) -> int:
    return await asyncio.wrap_future(answer)
