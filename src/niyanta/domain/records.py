"""The words for what an attempt leaves behind: log lines and checkpoints."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Encoding", "LogLevel"]


class LogLevel(StrEnum):
    """Of a log line, the least first."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Encoding(StrEnum):
    """How a checkpoint's bytes are to be read."""

    JSON = "json"
    """As UTF-8 JSON."""
    BYTES = "bytes"
    """Not at all: they are the state."""
