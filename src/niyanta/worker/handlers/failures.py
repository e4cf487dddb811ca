"""What an exception of a handler means, also when several come together as a task group's."""

from __future__ import annotations

from niyanta.errors import PermanentError
from niyanta.worker.handlers.link import AttemptEnded

__all__ = ["is_end", "is_permanent"]


def is_end(exc: BaseException) -> bool:
    """Whether nothing failed: the attempt was ended, and that is what came out of the handler."""
    if isinstance(exc, BaseExceptionGroup):
        return all(is_end(each) for each in exc.exceptions)
    return isinstance(exc, AttemptEnded)


def is_permanent(exc: BaseException) -> bool:
    """Whether trying again can't mend it: one that can't be mended is enough."""
    if isinstance(exc, BaseExceptionGroup):
        return any(is_permanent(each) for each in exc.exceptions)
    return isinstance(exc, PermanentError)
