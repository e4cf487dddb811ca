"""What is given to ``logging``, made lines of a workload's log."""

from __future__ import annotations

import contextvars
import logging
from typing import Any

from niyanta.domain.records import LogLevel
from niyanta.domain.traces import TraceContext
from niyanta.telemetry.ambient import context_here
from niyanta.wire.messages import LogLine
from niyanta.worker.handlers.link import Link
from niyanta.worker.handlers.text import plain

__all__ = ["LinkHandler", "current_link", "log_all_to", "log_no_more_to", "log_to_current"]

current_link: contextvars.ContextVar[Link | None] = contextvars.ContextVar("niyanta_link", default=None)
"""Of the workload whose inline handler runs: in its tasks, and in the threads that it starts by ``to_thread``."""

_LEVELS = (
    (logging.ERROR, LogLevel.ERROR),
    (logging.WARNING, LogLevel.WARN),
    (logging.INFO, LogLevel.INFO),
)


class LinkHandler(logging.Handler):
    """Sends records to one workload's log.

    Attributes:
        link: The way there.
    """

    def __init__(self, link: Link) -> None:
        super().__init__()
        self.link = link

    def emit(self, record: logging.LogRecord) -> None:
        """Send one."""
        try:
            self.link.report(_line(self, record, self.link))
        except Exception:
            self.handleError(record)


class _CurrentHandler(logging.Handler):
    """Sends records to the log of the workload in whose code they were made; the agent's own to none."""

    def emit(self, record: logging.LogRecord) -> None:
        link = current_link.get()
        if link is None or record.name.startswith("niyanta."):
            return
        try:
            link.report(_line(self, record, link))
        except Exception:
            self.handleError(record)


_to_current = _CurrentHandler()


def _line(handler: logging.Handler, record: logging.LogRecord, link: Link) -> LogLine:
    level = next((name for floor, name in _LEVELS if record.levelno >= floor), LogLevel.DEBUG)
    return LogLine(level, plain(handler.format(record)), {} if link.trace is None else _ids(link.trace))


def _ids(attempt: TraceContext) -> dict[str, Any]:
    """Where in the trace a line was said: in the handler's own span, or in the attempt's."""
    here = context_here()
    span = here if here is not None and here.trace_id == attempt.trace_id else attempt
    return {"trace_id": span.trace_id, "span_id": span.span_id}


def log_all_to(link: Link) -> None:
    """Send what is logged in this process to one workload's log, unless the app has set up logging itself."""
    if not logging.getLogger().handlers:
        _add(LinkHandler(link))


def log_no_more_to(link: Link) -> None:
    """Undo `log_all_to`: the attempt is over, and its process goes on."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, LinkHandler) and handler.link is link:
            root.removeHandler(handler)


def log_to_current() -> None:
    """Send what inline handlers log to their workloads' logs. Idempotent."""
    if _to_current not in logging.getLogger().handlers:
        _add(_to_current)


def _add(handler: logging.Handler) -> None:
    root = logging.getLogger()
    if root.level == logging.WARNING:  # as it is when nobody has said anything
        root.setLevel(logging.INFO)
    root.addHandler(handler)
