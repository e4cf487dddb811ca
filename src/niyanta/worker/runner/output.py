"""Making log lines of what Python code prints to standard error.

Standard output stays the pipe that it is: `niyanta.worker.runner.marks` puts log lines into their place in it.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING

from niyanta.domain.records import LogLevel
from niyanta.wire.messages import LogLine
from niyanta.worker.handlers.link import Link
from niyanta.worker.handlers.text import LineSplitter, plain

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["ErrorOutput", "take_over"]


class ErrorOutput(io.RawIOBase):
    """Standard error whose whole lines are reported once there is somebody to report them to.

    Forked processes, and everybody before that, write to the descriptor as usual.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._splitter = LineSplitter()
        self._link: Link | None = None
        self._pid = 0

    def report_to(self, link: Link | None) -> None:
        """Say who takes the lines; None for nobody any more."""
        if link is None and self._link is not None:
            for line in self._splitter.end():
                self._line(line)
        self._link = link
        self._pid = os.getpid()

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The descriptor that it stands for."""
        return self._descriptor

    def write(self, data: ReadableBuffer) -> int:
        """Take bytes; whole lines go to the log in their order."""
        taken = bytes(data)
        if self._link is None or os.getpid() != self._pid:
            return os.write(self._descriptor, taken)
        for line in self._splitter.feed(taken):
            self._line(line)
        return len(taken)

    def _line(self, line: bytes) -> None:
        if self._link is not None and (text := line.decode(errors="replace").rstrip("\r")):
            self._link.report(LogLine(LogLevel.WARN, plain(text)))


class _Output(io.FileIO):
    """Standard output, which is a pipe once an attempt runs, whatever it was when this was made."""

    def seekable(self) -> bool:
        """It isn't; who were told otherwise could not change the encoding any more."""
        return False


def take_over() -> ErrorOutput:
    """Let standard output be written line by line, and standard error be ours."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    buffer = io.BufferedWriter(_Output(1, "w", closefd=False))
    stdout = io.TextIOWrapper(buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True)
    sys.stdout = sys.__stdout__ = stdout  # type: ignore[misc]
    raw = ErrorOutput(2)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=True
    )
    return raw
