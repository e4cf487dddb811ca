"""One attempt at one workload, as the agent sees it."""

from __future__ import annotations

import asyncio
import functools
import logging
import shutil
import tempfile
import traceback
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from niyanta.errors import CheckpointError, PermanentError, TransientError
from niyanta.wire.broker import Broker
from niyanta.wire.messages import (
    Assignment,
    CheckpointSaved,
    Completed,
    EventReply,
    Failed,
    LogLine,
    Paused,
    Progressed,
    Released,
    Started,
)
from niyanta.wire.objects import ObjectStore
from niyanta.wire.subjects import Subjects
from niyanta.worker.attempt import checkpoints, inline, isolated
from niyanta.worker.handlers.context import MAX_CHECKPOINT_BYTES, MAX_LARGE_CHECKPOINT_BYTES, AttemptEnded
from niyanta.worker.handlers.handler import Handler
from niyanta.worker.handlers.text import LineGate, describe, plain
from niyanta.worker.runner import channel

if TYPE_CHECKING:
    from niyanta.worker.agent.agent import Agent

__all__ = ["Attempt", "StoppedError"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_PREPARING_SECONDS = 5.0
"""An attempt that takes longer to get ready says it has started all the same, lest its assignment be taken back."""


class StoppedError(Exception):
    """The attempt was told to stop while it got ready."""


class Attempt:
    """Runs the handler, inline or in a process, and reports what becomes of it.

    It is the context's link for inline handlers, and the far end of the socket link for processes.

    Attributes:
        stopped: Done once the attempt must end without a checkpoint; gives why.
        granted: Done once a checkpoint has fulfilled a pause or a drain, so that the attempt must end.
        directory: The attempt's own; holds its scratch directory and large checkpoints.
    """

    def __init__(self, agent: Agent, assignment: Assignment, handler: Handler) -> None:
        loop = asyncio.get_running_loop()
        self._agent = agent
        self.assignment = assignment
        self.ref = assignment.ref
        self.handler = handler
        self.cancelled = False
        self.stopped: asyncio.Future[str] = loop.create_future()
        self.granted: asyncio.Future[None] = loop.create_future()
        self.task: asyncio.Task[None]
        self.on_asked: list[Any] = []
        """Called with ``pause``, ``drain`` or None when what is waited for changes."""
        self._pausing = False
        self._sequence = 0
        self._silent = False
        self._pause_granted = False
        self._started = False
        self._gate = LineGate()
        self._save_lock = asyncio.Lock()
        self._awaited: tuple[int, asyncio.Future[EventReply]] | None = None

    # --- what it needs of its agent ---------------------------------------------------------------

    @property
    def broker(self) -> Broker:
        return self._agent.broker

    @property
    def subjects(self) -> Subjects:
        return self._agent.subjects

    @property
    def identity(self) -> tuple[str, str]:
        return self._agent.worker_id, self._agent.incarnation

    @property
    def object_store(self) -> ObjectStore | None:
        return self._agent.object_store

    @property
    def most_checkpoint_bytes(self) -> int:
        return MAX_LARGE_CHECKPOINT_BYTES if self.object_store is not None else MAX_CHECKPOINT_BYTES

    @functools.cached_property
    def directory(self) -> Path:
        """Made when it is first asked for: a small inline attempt that needs no files touches no disk."""
        made = Path(tempfile.mkdtemp(prefix=f"{self.ref.workload_id}-", dir=self._agent.scratch))
        (made / channel.WORK).mkdir()
        return made

    # --- what the agent asks ----------------------------------------------------------------------

    def start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self._run())

    @property
    def waiting(self) -> str | None:
        """``pause`` or ``drain`` while one waits for a checkpoint."""
        return "pause" if self._pausing else "drain" if self._agent.draining else None

    def ask_pause(self, wanted: bool) -> None:
        """End after the next checkpoint; or don't, as the pause was withdrawn."""
        self._pausing = wanted
        self.tell_waiting()

    def tell_waiting(self) -> None:
        for tell in self.on_asked:
            tell(self.waiting)

    def stop(self, why: str, *, report: bool) -> None:
        """End it now. Without ``report`` the service already knows better."""
        self._silent = self._silent or not report
        self.cancelled = self.cancelled or not report
        if not self.stopped.done():
            self.stopped.set_result(why)
        if self._awaited is not None and not report:
            self._awaited[1].cancel()

    def checkpoint_answered(self, sequences: set[int], reply: EventReply) -> None:
        """The service's word on the checkpoints with these event numbers."""
        if self._awaited is not None and self._awaited[0] in sequences and not self._awaited[1].done():
            self._awaited[1].set_result(reply)

    # --- what the handler asks (Link) -------------------------------------------------------------

    def report(self, body: Any) -> None:
        """Queue an event; log lines beyond what is bearable are counted instead."""
        if isinstance(body, LogLine):
            if not self._gate.admit(1):
                return
            body = LogLine(body.level, plain(body.message), body.details)
        elif isinstance(body, Progressed) and body.message is not None:
            body = Progressed(body.percent, plain(body.message) if self._gate.admit(1) else None)
        self._queue(body)

    def report_lines(self, level: str, lines: list[bytes]) -> None:
        """Queue lines of output."""
        lines = [line for line in lines if line]
        for line in lines[: self._gate.admit(len(lines))]:
            self._queue(LogLine(level, plain(line.decode(errors="replace").rstrip("\r"))))

    def lines_dropped(self, count: int) -> None:
        """The process has dropped log lines by itself."""
        self._gate.drop(count)

    def _queue(self, body: Any) -> int:
        if self._silent:
            return 0
        if isinstance(body, LogLine):
            if not self._agent.outbox.has_room(self.ref):
                self._gate.drop(1)
                return 0
            self._say_dropped()
        return self._add(body)

    def _say_dropped(self) -> None:
        if count := self._gate.take_dropped():
            self._add(LogLine("WARN", f"{count} log lines were dropped: too many at once"))

    def _add(self, body: Any) -> int:
        self._sequence += 1
        self._agent.outbox.add(self.ref, self._sequence, body)
        return self._sequence

    def started(self) -> None:
        """Report that it runs, once."""
        if not self._started:
            self._started = True
            self._queue(Started())

    async def save(self, data: bytes, encoding: str) -> int:
        """Save a checkpoint (Link). What is too large for the database goes by way of a file."""
        if len(data) <= MAX_CHECKPOINT_BYTES:
            return await self.keep(checkpoints.saved_in_database(data, encoding))
        path = self.directory / channel.saving_name(0)
        await asyncio.to_thread(path.write_bytes, data)
        return await self.save_file(path, encoding)

    async def save_file(self, path: Path, encoding: str) -> int:
        """Save a checkpoint that lies in a file, which is removed."""
        try:
            event = await checkpoints.put_away(self, path, encoding)
        finally:
            await asyncio.to_thread(path.unlink, True)
        try:
            return await self.keep(event)
        except CheckpointError:
            # Refused, so that nothing names it. In every other case something may.
            if self.object_store is not None and event.object_key is not None:
                await self.object_store.delete([event.object_key])
            raise

    async def keep(self, event: CheckpointSaved) -> int:
        """Have the service keep a checkpoint; gives its sequence number.

        Raises:
            CheckpointError: It was refused.
            AttemptEnded: It was kept, and fulfils a pause or a drain; or the attempt is over.
        """
        async with self._save_lock:
            if self.granted.done() or self._silent:
                raise AttemptEnded
            answer: asyncio.Future[EventReply] = asyncio.get_running_loop().create_future()
            self._awaited = (self._queue(event), answer)
            try:
                reply = await answer
            except asyncio.CancelledError:
                if self._silent:
                    raise AttemptEnded from None
                raise
            finally:
                self._awaited = None
        if reply.checkpoint_error is not None:
            raise CheckpointError(reply.checkpoint_error)
        if reply.pause_granted or self.waiting == "drain":
            self._pause_granted = reply.pause_granted
            if not self.granted.done():
                self.granted.set_result(None)
            raise AttemptEnded
        return reply.checkpoint_sequence

    # --- running ----------------------------------------------------------------------------------

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for something that belongs to getting ready.

        Raises:
            StoppedError: The attempt was stopped first.
        """
        task = asyncio.get_running_loop().create_task(work)
        try:
            ends: set[asyncio.Future[Any]] = {task, self.stopped}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise StoppedError
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        end: Any = None
        preparing = asyncio.get_running_loop().call_later(_PREPARING_SECONDS, self.started)
        try:
            end = await self._work()
        except (StoppedError, asyncio.CancelledError):
            end = None
        except PermanentError as exc:
            end = Failed(plain(str(exc)), permanent=True)
        except TransientError as exc:
            end = Failed(plain(str(exc)))
        except Exception as exc:
            log.exception("attempt.failed")
            end = Failed(describe(exc))
        finally:
            preparing.cancel()
            self._say_dropped_unless_silent()
            self._queue(self._end_event(end))
            self._silent = True
            self._agent.ended(self)

    def _say_dropped_unless_silent(self) -> None:
        if not self._silent:
            self._say_dropped()

    def _end_event(self, end: Any) -> Any:
        """What the attempt came to: a fulfilled pause or drain stands above what the handler did afterwards."""
        if self.granted.done():
            return Paused() if self._pause_granted else Released("drained")
        if self.stopped.done() and not isinstance(end, Completed):
            return Released(self.stopped.result())
        return end if end is not None else Failed("the attempt ended without a result")

    async def _work(self) -> Any:
        try:
            encoding = None
            if self.assignment.checkpoint_sequence:
                encoding = await self.unless_stopped(checkpoints.fetch(self, self.directory / channel.CHECKPOINT))
            if self.handler.isolation == "inline":
                return await inline.run(self, encoding)
            assert self._agent.pool is not None  # noqa: S101 -- the agent makes one when any handler needs it
            return await isolated.run(self, self._agent.pool, encoding)
        finally:
            if "directory" in vars(self):
                await asyncio.to_thread(shutil.rmtree, self.directory, True)

    def failure(self, exc: BaseException) -> Failed:
        """What an exception of the handler means; its traceback goes to the log."""
        if isinstance(exc, PermanentError):
            return Failed(plain(str(exc)), permanent=True)
        text = "".join(traceback.format_exception(exc))
        self.report(LogLine("ERROR", text[-8000:]))
        return Failed(plain(str(exc)) if isinstance(exc, TransientError) else describe(exc))
