"""A worker's own log: one JSON object a line, in the words of the coordinator's; lines for people on a terminal.

The coordinator's is made with packages that workers do without.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from niyanta.errors import ConfigurationError
from niyanta.telemetry.facts import facts_of

__all__ = ["configure_worker_logging"]

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_FOR_PEOPLE = "%(asctime)s %(levelname)s %(name)s %(message)s"


class _JsonLine(logging.Formatter):
    """Made to be cheap: there are two lines for each attempt, and an inline one takes hardly longer."""

    def __init__(self) -> None:
        super().__init__()
        self._encode = msgspec.json.Encoder(enc_hook=_plain).encode
        self._second = 0
        self._as_text = ""
        """The second of the last line, and its text."""

    def format(self, record: logging.LogRecord) -> str:
        """The event's name, its facts, and when."""
        line: dict[str, object] = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        line |= facts_of(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        second, parts = divmod(int(record.created * 1_000_000), 1_000_000)
        if second != self._second:
            self._second, self._as_text = second, f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
        line["timestamp"] = f"{self._as_text}.{parts:06d}Z"
        return self._encode(line).decode()


class _LineForPeople(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """The same for people."""
        return " ".join([super().format(record), *(f"{name}={fact}" for name, fact in facts_of(record).items())])


class _Gathering(logging.StreamHandler[TextIO]):
    """Writes what one turn of the event loop logs together: a write for each line costs more than making it.

    What warns is written at once, with all before it; so is what is logged outside the loop.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(self.format(record) + self.terminator)
        except Exception:
            self.handleError(record)
            return
        if record.levelno < logging.WARNING:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                pass
            else:
                if len(self._lines) == 1:
                    loop.call_soon(self.flush)
                return
        self.flush()

    def flush(self) -> None:
        """Write what was gathered; also called when the program ends."""
        self.acquire()
        try:
            text = "".join(self._lines)
            self._lines.clear()
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads it any more
        finally:
            self.release()


def _plain(value: object) -> object:
    return list(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else str(value)


def configure_worker_logging() -> None:
    """Log to standard error, what ``NIYANTA_LOG_LEVEL`` says and above.

    Raises:
        ConfigurationError: It is no level.
    """
    level = (os.environ.get("NIYANTA_LOG_LEVEL") or "INFO").upper()
    if level not in _LEVELS:
        raise ConfigurationError(f"NIYANTA_LOG_LEVEL is {level!r}; it must be one of {', '.join(_LEVELS)}")
    handler = _Gathering(sys.stderr)
    handler.setFormatter(_LineForPeople(_FOR_PEOPLE) if sys.stderr.isatty() else _JsonLine())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("nats").setLevel("ERROR")
