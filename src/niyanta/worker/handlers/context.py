"""What a handler sees of its workload."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from niyanta.errors import CheckpointError
from niyanta.wire.messages import Assignment, LogLine, Progressed
from niyanta.worker.handlers.text import describe, plain

__all__ = [
    "MAX_CHECKPOINT_BYTES",
    "AttemptEnded",
    "Context",
    "Link",
    "decode_state",
    "encode_state",
    "keep_saving",
    "keep_saving_in_thread",
]

MAX_CHECKPOINT_BYTES = 10 << 20
"""Of a checkpoint that the database keeps."""
MAX_LARGE_CHECKPOINT_BYTES = 1 << 30
"""Of one that an object store keeps."""
_SAVER_POLL_SECONDS = 0.2
_MOST_SAVER_REST_SECONDS = 60.0
"""After saves that failed: twice as long each time, so that a state that can't be saved doesn't fill the log."""


class AttemptEnded(BaseException):
    """Ends an attempt: its checkpoint has fulfilled a pause or a drain, or it was told to stop.

    Not an `Exception`, on purpose: code that catches everything that may go wrong must not catch this.
    """


class Link(Protocol):
    """How a context reaches its agent: directly (inline) or over a socket (process)."""

    def report(self, body: Any) -> None:
        """Send an event and go on."""
        ...

    def save(self, data: bytes, encoding: str) -> Any:
        """Save a checkpoint: gives its sequence, or an awaitable of it. Raises `AttemptEnded` after the save."""
        ...

    @property
    def waiting(self) -> str | None:
        """``pause`` or ``drain`` while one waits for a checkpoint."""
        ...

    @property
    def cancelled(self) -> bool: ...

    @property
    def most_checkpoint_bytes(self) -> int:
        """What the worker can keep: more with an object store than without."""
        ...


def encode_state(state: Any, most_bytes: int = MAX_CHECKPOINT_BYTES) -> tuple[bytes, str]:
    """A checkpoint's bytes and encoding.

    Raises:
        CheckpointError: JSON can't hold it, or it is too large.
    """
    if isinstance(state, (bytes, bytearray, memoryview)):
        data, encoding = bytes(state), "bytes"
    else:
        try:
            data, encoding = msgspec.json.encode(state), "json"
        except (TypeError, ValueError, RecursionError) as exc:
            raise CheckpointError(f"a checkpoint must be JSON or bytes: {exc}") from exc
    if len(data) > most_bytes:
        advice = ""
        if most_bytes == MAX_CHECKPOINT_BYTES:
            advice = "; larger ones need an object store: set NIYANTA_OBJECT_STORE_URL for the worker"
        raise CheckpointError(
            f"the checkpoint has {len(data)} bytes, the limit is {most_bytes}{advice}. The last good one still stands"
        )
    return data, encoding


def decode_state(data: bytes, encoding: str) -> Any:
    """The state that a checkpoint holds."""
    return data if encoding == "bytes" else msgspec.json.decode(data)


class Context:
    """A workload's side of its attempt.

    In a sync handler the methods return their result; in an async handler ``save_checkpoint``,
    ``offer_checkpoint`` and ``report_progress`` are awaited.

    Attributes:
        workload_id: ``wl_…``.
        attempt: 1 for the first; a resume and a lost worker raise it too.
        input_params: The submission's parameters.
        config: The type's configuration (``config_json``).
        checkpoint: The state that the last checkpoint saved; None when there is none.
        log: A standard-library logger whose lines become the workload's log.
    """

    def __init__(
        self, assignment: Assignment, link: Link, checkpoint: Any, work_dir: Callable[[], Path], *, sync: bool
    ) -> None:
        self._link = link
        self._sync = sync
        self._interval = assignment.checkpoint_interval_seconds
        self._due_at = time.monotonic() + self._interval
        self._saver: Callable[[], Any] | None = None
        self._percent = assignment.progress_percent
        self.workload_id = assignment.ref.workload_id
        self.attempt = assignment.ref.generation
        self.input_params: dict[str, Any] = msgspec.json.decode(assignment.input_json)
        self.config: dict[str, Any] = msgspec.json.decode(assignment.config_json)
        self.checkpoint = checkpoint
        self._work_dir = work_dir
        self.log = logging.Logger(f"niyanta.workload.{self.workload_id}", logging.DEBUG)
        self.log.addHandler(_LinkHandler(link))

    @functools.cached_property
    def work_dir(self) -> Path:
        """A scratch directory of the attempt's own; removed at its end."""
        return self._work_dir()

    @property
    def cancelled(self) -> bool:
        """Whether the workload has been cancelled."""
        return self._link.cancelled

    @property
    def pause_requested(self) -> bool:
        """Whether a pause waits for a checkpoint."""
        return self._link.waiting == "pause"

    @property
    def checkpoint_due(self) -> bool:
        """Whether the interval has passed, or a pause or a drain waits."""
        return self._link.waiting is not None or time.monotonic() >= self._due_at

    def report_progress(self, percent: float, message: str | None = None) -> Any:
        """Say how far it is, 0 to 100. Never blocks.

        Args:
            percent: Rounded down; what is less than before, or no number (NaN), changes nothing.
            message: A few words; also become a line of the log. Cut off at 8 KiB.
        """
        before = self._percent
        if not math.isnan(percent):
            self._percent = max(before, int(min(100, max(0, percent))))
        if message is not None or self._percent != before:
            self._link.report(Progressed(self._percent, None if message is None else plain(str(message))))
        return None if self._sync else _done(None)

    def save_checkpoint(self, state: Any) -> Any:
        """Save now; gives the checkpoint's sequence number once it is durable.

        Args:
            state: Any JSON value, or bytes; at most 10 MiB, or 1 GiB where the worker has an object store.

        Raises:
            CheckpointError: Refused (too large, not JSON); the last good one still stands.
            AttemptEnded: A pause or a drain waited for it. Let it pass.
        """
        data, encoding = encode_state(state, self._link.most_checkpoint_bytes)
        self._due_at = time.monotonic() + self._interval
        return self._link.save(data, encoding)

    def offer_checkpoint(self, state: Any) -> Any:
        """The cheap call for a loop: saves only when one is due; gives the sequence number, or None."""
        if not self.checkpoint_due:
            return None if self._sync else _done(None)
        return self.save_checkpoint(state)

    def checkpoint_with(self, function: Callable[[], Any]) -> None:
        """Name a function that gives the state; it is called whenever a checkpoint is due.

        It runs beside the handler: in another thread for a sync handler, in the event loop for an async one.
        """
        self._saver = function

    @property
    def saver(self) -> Callable[[], Any] | None:
        return self._saver


async def _done(value: Any) -> Any:
    return value


async def keep_saving(ctx: Context) -> None:
    """Call the function of ``checkpoint_with`` whenever a checkpoint is due, beside an async handler.

    Raises:
        AttemptEnded: A pause or a drain waited for the checkpoint: the handler must end.
    """
    rest = 1.0
    while True:
        await asyncio.sleep(_SAVER_POLL_SECONDS)
        if ctx.saver is None or not ctx.checkpoint_due:
            continue
        try:
            state = ctx.saver()
            await ctx.save_checkpoint(await state if inspect.isawaitable(state) else state)
            rest = 1.0
        except Exception as exc:
            _say_failed(ctx, exc)
            await asyncio.sleep(rest)
            rest = min(_MOST_SAVER_REST_SECONDS, rest * 2)


def keep_saving_in_thread(ctx: Context) -> None:
    """The same beside a sync handler, in a thread of its own.

    Raises:
        AttemptEnded: As above.
    """
    rest = 1.0
    while True:
        time.sleep(_SAVER_POLL_SECONDS)
        if ctx.saver is None or not ctx.checkpoint_due:
            continue
        try:
            ctx.save_checkpoint(ctx.saver())
            rest = 1.0
        except Exception as exc:
            _say_failed(ctx, exc)
            time.sleep(rest)
            rest = min(_MOST_SAVER_REST_SECONDS, rest * 2)


def _say_failed(ctx: Context, exc: Exception) -> None:
    ctx.log.warning("no checkpoint by checkpoint_with: %s", describe(exc))


_LEVELS = ((logging.ERROR, "ERROR"), (logging.WARNING, "WARN"), (logging.INFO, "INFO"))


class _LinkHandler(logging.Handler):
    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        level = next((name for floor, name in _LEVELS if record.levelno >= floor), "DEBUG")
        try:
            self._link.report(LogLine(level, plain(self.format(record))))
        except Exception:
            self.handleError(record)
