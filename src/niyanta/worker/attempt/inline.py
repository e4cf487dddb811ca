"""Running an async handler in the agent itself: for many small workloads of trusted code.

It costs no process, and has no limits: a handler that blocks the event loop blocks the whole worker.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from typing import Any

from niyanta.domain.limits import GRACE_SECONDS
from niyanta.domain.records import LogLevel
from niyanta.domain.traces import TraceContext
from niyanta.errors import PermanentError, TransientError
from niyanta.telemetry.ambient import enter
from niyanta.wire.messages import Assignment, Completed, Failed, LogLine, Progressed
from niyanta.worker.attempt.life import Life
from niyanta.worker.attempt.means import AttemptFolder
from niyanta.worker.attempt.reports import Reports
from niyanta.worker.attempt.saving import Saving
from niyanta.worker.handlers import children
from niyanta.worker.handlers.context import Context
from niyanta.worker.handlers.failures import is_end, is_permanent, said_by, traced
from niyanta.worker.handlers.handler import Handler, encode_result
from niyanta.worker.handlers.link import Ask, trace_of
from niyanta.worker.handlers.logs import current_link, log_to_current
from niyanta.worker.handlers.saver import keep_saving
from niyanta.worker.handlers.state import decode_state
from niyanta.worker.handlers.text import describe

__all__ = ["Inline"]

log = logging.getLogger(__name__)

_CANCELS = 2
"""How often a handler is cancelled before the worker gives it up."""
_FULFILLED_SECONDS = 1.0
_QUICK_SECONDS = 0.25


class _DirectLink:
    """The context's way to the agent that it runs in; also from other threads."""

    def __init__(self, life: Life, reports: Reports, saving: Saving, trace: TraceContext | None) -> None:
        self.trace = trace
        self._life = life
        self._reports = reports
        self._saving = saving
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    @property
    def waiting(self) -> Ask | None:
        return self._life.waiting

    @property
    def cancelled(self) -> bool:
        return self._life.told_to_stop

    @property
    def most_checkpoint_bytes(self) -> int:
        return self._saving.most_bytes

    def report(self, body: LogLine | Progressed) -> None:
        if threading.get_ident() == self._thread:
            self._reports.report(body)
        else:
            self._loop.call_soon_threadsafe(self._reports.report, body)

    def save(self, data: bytes, encoding: str) -> Coroutine[Any, Any, int]:
        return self._saving.save(data, encoding)

    def save_now(self, data: bytes, encoding: str) -> int:
        if threading.get_ident() == self._thread:
            raise RuntimeError("a save that blocks would block the event loop that must answer it: await it instead")
        return asyncio.run_coroutine_threadsafe(self._saving.save(data, encoding), self._loop).result()


class Inline:
    """Runs one attempt in the agent."""

    def __init__(self, life: Life, reports: Reports, saving: Saving) -> None:
        self._life = life
        self._reports = reports
        self._saving = saving

    async def run(
        self, handler: Handler, assignment: Assignment, folder: AttemptFolder, encoding: str | None
    ) -> Completed | Failed | None:
        """Run the handler; gives what it came to, or None when it was ended.

        Args:
            handler: An async one.
            assignment: What to run it with.
            folder: Holds the checkpoint to start from.
            encoding: Of that checkpoint; None when there is none.

        Raises:
            MisfitError: The input doesn't fit the handler.
        """
        state = None
        if encoding is not None:
            state = decode_state(await asyncio.to_thread(folder.checkpoint.read_bytes), encoding)
        link = _DirectLink(self._life, self._reports, self._saving, trace_of(assignment))
        ctx = Context(assignment, link, state, lambda: folder.work)
        arguments = handler.arguments(ctx, assignment.input_json)
        self._life.begin_running()
        self._reports.started()
        log_to_current()
        handler.remark_on(ctx)
        enter(assignment.traceparent)
        current_link.set(link)  # of the attempt's own task, and handed on to the handler's
        work = asyncio.get_running_loop().create_task(children.awaited(handler.function, *arguments, contained=True))
        await asyncio.sleep(0)
        # A handler that waits for nothing has ended within one turn of the loop.
        timed_out = not work.done() and await self._until_over(work, ctx, assignment.timeout_seconds)
        if not work.done():
            self._life.begin_ending()
            await self._end(work, assignment.ref.workload_id)
            return Failed(f"timed out after {assignment.timeout_seconds} s", timed_out=True) if timed_out else None
        return self._outcome(work)

    async def _until_over(self, work: asyncio.Task[Any], ctx: Context, timeout_seconds: float | None) -> bool:
        """Wait for the handler's end, an order, or the time-out; True for the last."""
        saving: asyncio.Task[None] | None = None
        ends: set[asyncio.Future[Any]] = {work, self._life.ordered}
        left = timeout_seconds
        try:
            # Most small workloads have ended by then: a saver beside them would cost more than they do.
            done, _ = await asyncio.wait(ends, timeout=_QUICK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                saving = asyncio.get_running_loop().create_task(keep_saving(ctx))
                ends.add(saving)
                left = None if left is None else left - _QUICK_SECONDS
                done, _ = await asyncio.wait(ends, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if self._life.fulfilled:
                ended = saving is not None and saving.done()
                await asyncio.wait({work}, timeout=0 if ended else _FULFILLED_SECONDS)
            return not done
        finally:
            if saving is not None:
                saving.cancel()
                await asyncio.gather(saving, return_exceptions=True)

    async def _end(self, work: asyncio.Task[Any], workload_id: str) -> None:
        """Cancel the handler. One that doesn't end all the same is given up, aloud: its slot is needed."""
        for _ in range(_CANCELS):
            work.cancel()
            await asyncio.wait({work}, timeout=GRACE_SECONDS)
            if work.done():
                if not work.cancelled():
                    work.exception()  # seen
                return
        words = "the handler doesn't end when it is cancelled: the worker gives it up, but its code may still run"
        log.error("inline.handler_given_up", extra={"workload_id": workload_id})
        self._reports.report(LogLine(LogLevel.ERROR, words))
        work.add_done_callback(lambda task: task.cancelled() or task.exception())

    def _outcome(self, work: asyncio.Task[Any]) -> Completed | Failed | None:
        if work.cancelled():
            return Failed("CancelledError: the handler cancelled itself")
        exc = work.exception()
        if exc is None:
            return Completed(encode_result(work.result()))
        if is_end(exc):
            return None
        if isinstance(exc, PermanentError | children.ExitError):
            return Failed(said_by(exc), permanent=isinstance(exc, PermanentError))
        self._reports.report(LogLine(LogLevel.ERROR, traced(exc)))
        return Failed(said_by(exc) if isinstance(exc, TransientError) else describe(exc), is_permanent(exc))
