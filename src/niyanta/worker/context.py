"""What a handler sees of its workload."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from niyanta.errors import CheckpointError
from niyanta.wire.messages import Assignment, LogLine, Progressed

__all__ = ["AttemptEnded", "Context", "Link", "decode_state", "encode_state"]

MAX_CHECKPOINT_BYTES = 10 << 20


class AttemptEnded(BaseException):
    """Ends an attempt whose checkpoint has fulfilled a pause or a drain. Not an `Exception`, on purpose."""


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


def encode_state(state: Any) -> tuple[bytes, str]:
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
    if len(data) > MAX_CHECKPOINT_BYTES:
        limit = MAX_CHECKPOINT_BYTES
        raise CheckpointError(
            f"the checkpoint has {len(data)} bytes, the limit is {limit}; the last good one still stands"
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
        work_dir: A scratch directory of the attempt's own; removed at its end.
        log: A standard-library logger whose lines become the workload's log.
    """

    def __init__(self, assignment: Assignment, link: Link, checkpoint: Any, work_dir: Path, *, sync: bool) -> None:
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
        self.work_dir = work_dir
        self.log = logging.Logger(f"niyanta.workload.{self.workload_id}", logging.DEBUG)
        self.log.addHandler(_LinkHandler(link))

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
        """Say how far it is, 0 to 100. Never blocks."""
        self._percent = max(self._percent, min(100, max(0, int(percent))))
        self._link.report(Progressed(self._percent, message))
        return None if self._sync else _done(None)

    def save_checkpoint(self, state: Any) -> Any:
        """Save now; gives the checkpoint's sequence number once it is durable.

        Args:
            state: Any JSON value, or bytes; at most 10 MiB.

        Raises:
            CheckpointError: Refused (too large, not JSON); the last good one still stands.
            AttemptEnded: A pause or a drain waited for it. Let it pass.
        """
        data, encoding = encode_state(state)
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


_LEVELS = ((logging.ERROR, "ERROR"), (logging.WARNING, "WARN"), (logging.INFO, "INFO"))


class _LinkHandler(logging.Handler):
    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        level = next((name for floor, name in _LEVELS if record.levelno >= floor), "DEBUG")
        try:
            text = self.format(record)[:8192].replace("\0", "\ufffd")
            self._link.report(LogLine(level, text.encode("utf-8", "replace").decode()))
        except Exception:
            self.handleError(record)
