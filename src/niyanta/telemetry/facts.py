"""What a log record says besides its message."""

from __future__ import annotations

import logging

__all__ = ["facts_of"]

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
"""What every record has; the rest are the facts that somebody has logged."""


def facts_of(record: logging.LogRecord) -> dict[str, object]:
    """The facts that were logged with it, by name."""
    own = _OWN
    return {name: fact for name, fact in vars(record).items() if name not in own}
