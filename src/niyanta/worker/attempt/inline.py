"""Running an async handler in the agent itself: for many small workloads of trusted code.

It costs no process, and has no limits: a handler that blocks the event loop blocks the whole worker.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from niyanta.wire.messages import Completed, Failed, LogLine
from niyanta.worker.handlers.context import AttemptEnded, Context, decode_state, keep_saving
from niyanta.worker.handlers.handler import encode_result
from niyanta.worker.runner import channel

if TYPE_CHECKING:
    from niyanta.worker.attempt.attempt import Attempt

__all__ = ["run"]

log = logging.getLogger(__name__)

GRACE_SECONDS = 5.0
_CANCELS = 2
"""How often a handler is cancelled before the worker gives it up."""
_GRANTED_SECONDS = 1.0
_QUICK_SECONDS = 0.25


class _HandlerExitError(Exception):
    """A handler called ``sys.exit`` or the like, which must not end the agent."""


async def run(attempt: Attempt, encoding: str | None) -> Any:
    """Run the handler; gives the event that ends the attempt, or None when it was stopped.

    Raises:
        PermanentError: The input doesn't fit the handler.
    """
    state = None
    if encoding is not None:
        data = await asyncio.to_thread((attempt.directory / channel.CHECKPOINT).read_bytes)
        state = decode_state(data, encoding)
    ctx = Context(attempt.assignment, attempt, state, lambda: attempt.directory / channel.WORK, sync=False)
    arguments = attempt.handler.arguments(ctx, attempt.assignment.input_json)
    attempt.started()
    loop = asyncio.get_running_loop()
    work = loop.create_task(_contained(attempt.handler.function(*arguments)))
    saving: asyncio.Task[None] | None = None
    ends: set[asyncio.Future[Any]] = {work, attempt.stopped, attempt.granted}
    left: float | None = attempt.assignment.timeout_seconds
    try:
        # Most small workloads have ended by then: a saver beside them would cost more than they do.
        done, _ = await asyncio.wait(ends, timeout=_QUICK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            saving = loop.create_task(keep_saving(ctx))
            ends.add(saving)
            left = None if left is None else left - _QUICK_SECONDS
            done, _ = await asyncio.wait(ends, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if attempt.granted.done() and not attempt.stopped.done():
            ended = saving is not None and saving.done()
            await asyncio.wait({work}, timeout=0 if ended else _GRANTED_SECONDS)
        if not work.done():
            await _end(attempt, work)
            if not done:
                return Failed(f"timed out after {attempt.assignment.timeout_seconds} s", timed_out=True)
            return None
        return _outcome(attempt, work)
    finally:
        if saving is not None:
            saving.cancel()
            await asyncio.gather(saving, return_exceptions=True)


async def _contained(work: Awaitable[Any]) -> Any:
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as exc:
        raise _HandlerExitError(f"the handler raised {exc!r}") from exc


async def _end(attempt: Attempt, work: asyncio.Task[Any]) -> None:
    """Cancel the handler. One that doesn't end all the same is given up, aloud: its slot is needed."""
    for _ in range(_CANCELS):
        work.cancel()
        await asyncio.wait({work}, timeout=GRACE_SECONDS)
        if work.done():
            if not work.cancelled():
                work.exception()  # seen
            return
    words = "the handler doesn't end when it is cancelled: the worker gives it up, but its code may still be running"
    log.error("inline.handler_given_up", extra={"workload_id": attempt.ref.workload_id})
    attempt.report(LogLine("ERROR", words))
    work.add_done_callback(lambda task: task.cancelled() or task.exception())


def _outcome(attempt: Attempt, work: asyncio.Task[Any]) -> Any:
    if work.cancelled():
        return Failed("CancelledError: the handler cancelled itself")
    exc = work.exception()
    if isinstance(exc, AttemptEnded):
        return None
    if exc is not None:
        return attempt.failure(exc)
    return Completed(encode_result(work.result()))
