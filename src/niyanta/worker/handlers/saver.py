"""Calling the function of ``checkpoint_with`` beside the handler, whenever a checkpoint is due."""

from __future__ import annotations

import asyncio
import inspect
import time

from niyanta.worker.handlers.context import Context, SyncContext
from niyanta.worker.handlers.text import describe

__all__ = ["keep_saving", "keep_saving_in_thread"]

_POLL_SECONDS = 0.2
_MOST_REST_SECONDS = 60.0
"""After saves that failed: twice as long each time, so that a state that can't be saved doesn't fill the log."""


async def keep_saving(ctx: Context) -> None:
    """Save beside an async handler, in its event loop.

    Raises:
        AttemptEnded: A pause or a drain waited for the checkpoint: the handler must end.
    """
    rest = 1.0
    while True:
        await asyncio.sleep(_POLL_SECONDS)
        if ctx.saver is None or not ctx.checkpoint_due:
            continue
        try:
            state = ctx.saver()
            await ctx.save_checkpoint(await state if inspect.isawaitable(state) else state)
            rest = 1.0
        except Exception as exc:
            _say_failed(ctx, exc)
            await asyncio.sleep(rest)
            rest = min(_MOST_REST_SECONDS, rest * 2)


def keep_saving_in_thread(ctx: SyncContext) -> None:
    """Save beside a sync handler, in a thread of its own.

    Raises:
        AttemptEnded: As above.
    """
    rest = 1.0
    while True:
        time.sleep(_POLL_SECONDS)
        if ctx.saver is None or not ctx.checkpoint_due:
            continue
        try:
            ctx.save_checkpoint(ctx.saver())
            rest = 1.0
        except Exception as exc:
            _say_failed(ctx, exc)
            time.sleep(rest)
            rest = min(_MOST_REST_SECONDS, rest * 2)


def _say_failed(ctx: Context | SyncContext, exc: Exception) -> None:
    ctx.log.warning("no checkpoint by checkpoint_with: %s", describe(exc))
