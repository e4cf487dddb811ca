"""What an exception of a handler means, also when several come together as a task group's."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Sequence

from niyanta.errors import PermanentError
from niyanta.worker.handlers.link import AttemptEnded
from niyanta.worker.handlers.text import describe, leaves, plain, stands_for_many, words_of

__all__ = ["boxed_in", "is_end", "is_permanent", "said_by", "traced"]


def is_end(exc: BaseException) -> bool:
    """Whether nothing failed: the attempt was ended, and that is what came out of the handler."""
    return all(issubclass(type(each), AttemptEnded) for each in leaves(exc))


def is_permanent(exc: BaseException) -> bool:
    """Whether trying again can't mend it: one that can't be mended is enough."""
    return any(issubclass(type(each), PermanentError) for each in leaves(exc))


_MOST_OF_TRACE = 8000
_OF_THE_BOX = (
    "\nIf the file is there and yours: a handler may open its own folders and what its worker names, by "
    "Worker(reads=[…], writes=[…]) or NIYANTA_HANDLERS_READ and NIYANTA_HANDLERS_WRITE."
)


def said_by(exc: BaseException) -> str:
    """What an error that is meant for people says; its kind, where it has no words."""
    return plain(words_of(exc)) or describe(exc)


def boxed_in(exc: BaseException, emptied: Sequence[str] = ()) -> str:
    """What to say besides when an attempt's process may not open a file; nothing of any other exception.

    Args:
        exc: What the handler has raised.
        emptied: Folders in which it sees nothing but what it may open.
    """
    own = os.path.dirname(tempfile.gettempdir())
    try:
        refused = any(
            (isinstance(each, PermissionError) and each.filename is not None)
            or (isinstance(each, FileNotFoundError) and _lies_in(each.filename, emptied, own))
            for each in leaves(exc)
        )
    except Exception:  # code of the exception's own
        return ""
    return _OF_THE_BOX if refused else ""


def _lies_in(path: object, folders: Sequence[str], but_not: str) -> bool:
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
    return text.startswith(tuple(f"{folder}/" for folder in folders)) and not text.startswith(f"{but_not}/")


def traced(exc: BaseException) -> str:
    """Where an exception came from: the end of its traceback, as far as one can be made."""
    try:
        if stands_for_many(exc):  # Python would show each member wherever it stands
            lines = [*traceback.format_tb(exc.__traceback__), describe(exc)]
        else:
            lines = traceback.format_exception(exc)
        return plain("".join(lines)[-_MOST_OF_TRACE:])
    except Exception as problem:  # code of the exception's own, or groups within groups
        return f"(its traceback can't be made: {type(problem).__name__})"
