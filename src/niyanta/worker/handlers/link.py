"""What lies between a handler's context and its agent."""

from __future__ import annotations

from collections.abc import Coroutine
from enum import StrEnum
from typing import Any, Protocol

from niyanta.domain.traces import TraceContext, read_traceparent
from niyanta.wire.messages import Assignment, LogLine, Progressed

__all__ = ["Ask", "AttemptEnded", "Link", "trace_of"]


class Ask(StrEnum):
    """What waits for an attempt's next checkpoint, and ends the attempt with it."""

    PAUSE = "pause"
    DRAIN = "drain"


class AttemptEnded(BaseException):
    """Ends an attempt: its checkpoint has fulfilled a pause or a drain, or it was told to stop.

    Not an `Exception`, on purpose: code that catches everything that may go wrong must not catch this.
    """


def trace_of(assignment: Assignment) -> TraceContext | None:
    """The span of the attempt that an assignment begins."""
    return None if assignment.traceparent is None else read_traceparent(assignment.traceparent)


class Link(Protocol):
    """How a context reaches its agent: directly (inline), over a socket (process), or not at all (in tests)."""

    def report(self, body: LogLine | Progressed) -> None:
        """Send an event and go on."""
        ...

    def save(self, data: bytes, encoding: str) -> Coroutine[Any, Any, int]:
        """Save a checkpoint beside an event loop; gives its sequence number.

        Raises:
            AttemptEnded: It was saved, and the attempt ends with it.
        """
        ...

    def save_now(self, data: bytes, encoding: str) -> int:
        """The same, blocking the thread that calls it.

        Raises:
            RuntimeError: In the thread of the event loop that would have to give the answer.
        """
        ...

    @property
    def waiting(self) -> Ask | None:
        """What waits for a checkpoint."""
        ...

    @property
    def cancelled(self) -> bool:
        """Whether the handler is being made to stop."""
        ...

    @property
    def trace(self) -> TraceContext | None:
        """The attempt's span; None where nothing is traced."""
        ...

    @property
    def most_checkpoint_bytes(self) -> int:
        """What the worker can keep: more with an object store than without."""
        ...
