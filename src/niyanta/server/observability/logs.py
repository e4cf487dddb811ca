"""Logging: one JSON object a line, or lines for people on a terminal. Event names are static, facts are fields.

What is logged while a request is served carries its ``request_id``, wherever in the program that is. Nobody fills the
log: how often one event is told is bounded (`niyanta.server.observability.line_bounds`).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import datetime

import structlog
from structlog.typing import EventDict, Processor

from niyanta.server.observability.line_bounds import LineBounds

__all__ = ["configure_logging", "name_request", "request_id"]

_request_id: ContextVar[str | None] = ContextVar("niyanta_request_id", default=None)


def name_request(name: str) -> None:
    """Have every line that this task logs from now on carry a request's id, and those of the tasks that it starts."""
    _request_id.set(name)


def request_id() -> str | None:
    """The id that this task's lines carry."""
    return _request_id.get()


def configure_logging(level: str = "INFO", *, json: bool | None = None) -> None:
    """Send the standard library's log records through structlog to standard error.

    Args:
        level: ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.
        json: JSON lines or text for people; by whether standard error is a terminal when None.
    """
    as_json = not sys.stderr.isatty() if json is None else json
    renderer: Processor = (
        structlog.processors.JSONRenderer(default=_plain) if as_json else structlog.dev.ConsoleRenderer()
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            _add_request_id,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(LineBounds())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("nats").setLevel("ERROR")


def _add_request_id(logger: object, method: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # uvicorn's message again, with colours
    if (name := request_id()) is not None:
        event.setdefault("request_id", name)
    return event


def _plain(value: object) -> object:
    """What JSON has no form for, as people would write it."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return list(value)
    return str(value)
