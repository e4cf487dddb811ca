"""What a handler sees of its workload: `Context` where it is async, `SyncContext` where it isn't."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from niyanta.wire.messages import Assignment, Progressed
from niyanta.worker.handlers.link import Ask, Link
from niyanta.worker.handlers.logs import LinkHandler
from niyanta.worker.handlers.state import encode_state
from niyanta.worker.handlers.text import plain

__all__ = ["Context", "SyncContext"]

T = TypeVar("T")


class _Surroundings:
    """What both kinds of context have: who the workload is, where it stands, and what is asked of it."""

    def __init__(self, assignment: Assignment, link: Link, checkpoint: object, work_dir: Callable[[], Path]) -> None:
        self._link = link
        self._interval = assignment.checkpoint_interval_seconds
        self._due_at = time.monotonic() + self._interval
        self._saver: Callable[[], Any] | None = None
        self.begin_saving: Callable[[], object] = lambda: None
        """Called when the first function is named to `checkpoint_with`: most workloads name none."""
        self._percent = assignment.progress_percent
        self._work_dir = work_dir
        self.customer_id: str = assignment.ref.customer_id
        """Whose workload it is: ``cust_…``."""
        self.workload_id: str = assignment.ref.workload_id
        """``wl_…``."""
        self.attempt: int = assignment.ref.generation
        """1 for the first; a resume and a lost worker raise it too."""
        self.traceparent: str | None = assignment.traceparent
        """The attempt's span (W3C Trace Context), for what the handler calls; None where nothing is traced."""
        self.input_params: dict[str, Any] = msgspec.json.decode(assignment.input_json)
        """The submission's parameters."""
        self.config: dict[str, Any] = msgspec.json.decode(assignment.config_json)
        """The type's configuration (``config_json``)."""
        self.checkpoint: Any = checkpoint  # Any: what the handler saved
        """The state that the last checkpoint saved; None when there is none."""

    @functools.cached_property
    def log(self) -> logging.Logger:
        """A standard-library logger whose lines become the workload's log."""
        made = logging.Logger(f"niyanta.workload.{self.workload_id}", logging.DEBUG)
        made.addHandler(LinkHandler(self._link))
        return made

    @functools.cached_property
    def work_dir(self) -> Path:
        """A scratch directory of the attempt's own; removed at its end."""
        return self._work_dir()

    @property
    def cancelled(self) -> bool:
        """Whether the handler is being made to stop: a cancel, a time-out, or the end of the worker."""
        return self._link.cancelled

    @property
    def pause_requested(self) -> bool:
        """Whether a pause waits for a checkpoint."""
        return self._link.waiting == Ask.PAUSE

    @property
    def checkpoint_due(self) -> bool:
        """Whether the interval has passed, or a pause or a drain waits."""
        return self._link.waiting is not None or time.monotonic() >= self._due_at

    def checkpoint_with(self, function: Callable[[], Any]) -> None:
        """Name a function that gives the state; it is called whenever a checkpoint is due.

        It runs beside the handler: in another thread for a sync handler, in the event loop for an async one, where it
        may be async itself.
        """
        first = self._saver is None
        self._saver = function
        if first:
            self.begin_saving()

    @property
    def saver(self) -> Callable[[], Any] | None:
        """The function that was named."""
        return self._saver

    def _report_progress(self, percent: float, message: str | None) -> None:
        before = self._percent
        self._percent = max(before, int(min(100, max(0, percent))))  # no number (NaN) isn't more than 0
        if message is not None or self._percent != before:
            self._link.report(Progressed(self._percent, None if message is None else plain(str(message))))

    def _encoded(self, state: object) -> tuple[bytes, str]:
        encoded = encode_state(state, self._link.most_checkpoint_bytes)
        self._due_at = time.monotonic() + self._interval
        return encoded


class Context(_Surroundings):
    """An async handler's view of its workload. What it says and saves is awaited.

    Attributes:
        workload_id: ``wl_…``.
        attempt: 1 for the first; a resume and a lost worker raise it too.
        input_params: The submission's parameters.
        config: The type's configuration (``config_json``).
        checkpoint: The state that the last checkpoint saved; None when there is none.
        log: A standard-library logger whose lines become the workload's log.
    """

    def report_progress(self, percent: float, message: str | None = None) -> Coroutine[Any, Any, None]:
        """Say how far it is, 0 to 100. Never blocks.

        Args:
            percent: Rounded down; what is less than before, or no number (NaN), changes nothing.
            message: A few words; also become a line of the log. Cut off at 8 KiB.
        """
        self._report_progress(percent, message)
        return _Done(None)

    def save_checkpoint(self, state: object) -> Coroutine[Any, Any, int]:
        """Save now; gives the checkpoint's sequence number once it is durable.

        Code in other threads takes `in_thread`.

        Args:
            state: A JSON value, or bytes; at most 10 MiB, or 1 GiB where the worker has an object store.

        Raises:
            CheckpointError: Refused (too large, not JSON); the last good one still stands.
            AttemptEnded: A pause or a drain waited for it. Let it pass.
        """
        return self._link.save(*self._encoded(state))

    def offer_checkpoint(self, state: object) -> Coroutine[Any, Any, int | None]:
        """The cheap call for a loop: saves only when one is due; gives the sequence number, or None."""
        return self.save_checkpoint(state) if self.checkpoint_due else _Done(None)

    @functools.cached_property
    def in_thread(self) -> SyncContext:
        """The same for code that the handler runs in other threads (``asyncio.to_thread``); it blocks these."""
        return SyncContext.beside(self)


class SyncContext(_Surroundings):
    """A sync handler's view of its workload. Its methods return when they are done.

    Attributes:
        workload_id: ``wl_…``.
        attempt: 1 for the first; a resume and a lost worker raise it too.
        input_params: The submission's parameters.
        config: The type's configuration (``config_json``).
        checkpoint: The state that the last checkpoint saved; None when there is none.
        log: A standard-library logger whose lines become the workload's log.
    """

    @classmethod
    def beside(cls, ctx: Context) -> SyncContext:
        """One that shares all that an async one has."""
        made = cls.__new__(cls)
        made.__dict__ = ctx.__dict__
        return made

    def report_progress(self, percent: float, message: str | None = None) -> None:
        """Say how far it is, 0 to 100. Never blocks.

        Args:
            percent: Rounded down; what is less than before, or no number (NaN), changes nothing.
            message: A few words; also become a line of the log. Cut off at 8 KiB.
        """
        self._report_progress(percent, message)

    def save_checkpoint(self, state: object) -> int:
        """Save now; gives the checkpoint's sequence number once it is durable.

        Args:
            state: A JSON value, or bytes; at most 10 MiB, or 1 GiB where the worker has an object store.

        Raises:
            CheckpointError: Refused (too large, not JSON); the last good one still stands.
            AttemptEnded: A pause or a drain waited for it. Let it pass.
        """
        return self._link.save_now(*self._encoded(state))

    def offer_checkpoint(self, state: object) -> int | None:
        """The cheap call for a loop: saves only when one is due; gives the sequence number, or None."""
        return self.save_checkpoint(state) if self.checkpoint_due else None


class _Done(Coroutine[Any, Any, T]):
    """What is done already, for whoever awaits it; nothing is lost when nobody does."""

    def __init__(self, value: T) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, T]:
        yield from ()
        return self._value

    def send(self, _: object) -> object:
        raise StopIteration(self._value)

    def throw(self, *raised: Any) -> NoReturn:  # Any: a generator's three ways to be told of an error
        raise raised[0]

    def close(self) -> None:
        return None
