"""What one process exports, from its start to its end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from niyanta.domain.traces import TraceContext
from niyanta.telemetry.settings import wanted_signals

if TYPE_CHECKING:
    from niyanta.telemetry.lines import Lines
    from niyanta.telemetry.spans import Spans

__all__ = ["Telemetry"]

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 2.0


class Telemetry:
    """The exporters of a process, as the ``OTEL_…`` settings want them; where they want none, none.

    Attributes:
        spans: Exports spans; None where no traces are wanted.
        wants_metrics: Whether metrics are wanted, which the part exports that has them.
        lines: Exports log lines, what this process logs among them; None where no logs are wanted.

    Args:
        service: Name of the kind of process, where the settings give none.
        instance: Which of them it is.
        logger: Of which lines are exported; all when empty.
        context_of: Gives the span in which the code runs that logs a line.
        serves_handlers: Whether handlers' own spans are exported with them.
    """

    def __init__(
        self,
        service: str,
        instance: str,
        logger: str = "",
        context_of: Callable[[], TraceContext | None] = lambda: None,
        serves_handlers: bool = False,
    ) -> None:
        wanted = wanted_signals()
        wanted.complain()
        self.wants_metrics = wanted.metrics
        self.spans: Spans | None = None
        self.lines: Lines | None = None
        try:
            if wanted.traces:
                from niyanta.telemetry.spans import Spans

                self.spans = Spans(service, instance)
                if serves_handlers:
                    self.spans.serve_handlers()
            if wanted.logs:
                from niyanta.telemetry.lines import Lines

                self.lines = Lines(service, instance)
                self.lines.take_all(logger, context_of)
        except ValueError as exc:  # a setting that the packages can't read; no reason not to work
            log.warning("telemetry.not_possible", extra={"problem": str(exc)})

    def close(self) -> None:
        """Export what waits, within a bound. Idempotent."""
        if self.lines is not None:
            self.lines.close(_CLOSE_SECONDS)
            self.lines = None
        if self.spans is not None:
            self.spans.close(_CLOSE_SECONDS)
            self.spans = None
