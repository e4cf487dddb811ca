"""What an attempt reports: numbered, bounded, and silent once it is over."""

from __future__ import annotations

from collections.abc import Callable

from niyanta.domain.records import LogLevel
from niyanta.wire.messages import AttemptRef, CheckpointSaved, EventBody, LogLine, Progressed, Started
from niyanta.worker.attempt.life import Life
from niyanta.worker.handlers.text import LineGate, plain
from niyanta.worker.outbox import Outbox

__all__ = ["Reports"]


class Reports:
    """Puts one attempt's events into the outbox, for as long as anything may be said of it.

    Args:
        ref: The attempt.
        outbox: Where they go.
        life: Rules the attempt.
        on_line: Called with each line of its log, too.
    """

    def __init__(
        self,
        ref: AttemptRef,
        outbox: Outbox,
        life: Life,
        on_line: Callable[[LogLine], None] | None = None,
    ) -> None:
        self._on_line = on_line
        self._ref = ref
        self._outbox = outbox
        self._life = life
        self._gate = LineGate()
        self._sequence = 0
        self._said_started = False

    def started(self) -> None:
        """Say that it runs, once."""
        if not self._said_started:
            self._said_started = True
            self._queue(Started())

    def report(self, body: LogLine | Progressed) -> None:
        """Say what a handler has said; log lines beyond what is bearable are counted instead."""
        if isinstance(body, LogLine):
            if self._gate.admit(1):
                self._line(LogLine(body.level, plain(body.message), body.details))
        else:
            message = None if body.message is None or not self._gate.admit(1) else plain(body.message)
            self._queue(Progressed(body.percent, message))

    def lines(self, level: str, lines: list[bytes]) -> None:
        """Say what a process has written."""
        lines = [line for line in lines if line]
        for line in lines[: self._gate.admit(len(lines))]:
            self._line(LogLine(level, plain(line.decode(errors="replace").rstrip("\r"))))

    def lines_dropped(self, count: int) -> None:
        """The process has dropped log lines by itself."""
        self._gate.drop(count)

    def checkpoint(self, event: CheckpointSaved) -> int:
        """Send a checkpoint; gives the number of the event."""
        return self._queue(event)

    def last(self, event: EventBody) -> None:
        """Say the last word, after how many lines are missing."""
        self._say_dropped()
        self._queue(event)

    def _line(self, body: LogLine) -> None:
        if not self._outbox.has_room(self._ref):
            self._gate.drop(1)
            return
        self._say_dropped()
        self._queue(body)
        if self._on_line is not None and not self._life.silent:
            self._on_line(body)

    def _say_dropped(self) -> None:
        if not self._life.silent and (count := self._gate.take_dropped()):
            self._queue(LogLine(LogLevel.WARN, f"{count} log lines were dropped: too many at once"))

    def _queue(self, body: EventBody) -> int:
        if self._life.silent:
            return 0
        self._sequence += 1
        self._outbox.add(self._ref, self._sequence, body)
        return self._sequence
