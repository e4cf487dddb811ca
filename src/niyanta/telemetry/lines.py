"""Log lines exported by OTLP, each with its place in a trace.

Import this only where `niyanta.telemetry.settings` says that logs are wanted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

from niyanta.domain.traces import TraceContext
from niyanta.telemetry.contexts import span_context
from niyanta.telemetry.ending import ended
from niyanta.telemetry.facts import facts_of
from niyanta.telemetry.resource import resource_of
from niyanta.version import __version__

__all__ = ["Lines"]

_SEVERITIES = {
    "DEBUG": SeverityNumber.DEBUG,
    "INFO": SeverityNumber.INFO,
    "WARN": SeverityNumber.WARN,
    "WARNING": SeverityNumber.WARN,
    "ERROR": SeverityNumber.ERROR,
    "CRITICAL": SeverityNumber.FATAL,
}


class Lines:
    """Exports log lines of one process. What a collector doesn't take in time is lost, and nobody waits for it.

    Args:
        service: Name of the kind of process, where the settings give none.
        instance: Which of them it is.
    """

    def __init__(self, service: str, instance: str) -> None:
        self._exporter = OTLPLogExporter()
        self._provider = LoggerProvider(resource=resource_of(service, instance), shutdown_on_exit=False)
        self._provider.add_log_record_processor(BatchLogRecordProcessor(self._exporter))
        self._logger = self._provider.get_logger("niyanta", __version__)
        self._logging = logging.getLogger()
        self._handler: logging.Handler | None = None

    def emit(
        self,
        level: str,
        message: str,
        facts: Mapping[str, object],
        context: TraceContext | None,
        at_ns: int | None = None,
    ) -> None:
        """Hand a line on. Never blocks.

        Args:
            level: As ``logging`` or a workload's log has it.
            message: The line.
            facts: What is said besides.
            context: The span in which it was said; None outside of any.
            at_ns: When, in Unix nanoseconds; now when None.
        """
        within = contexts.Context()
        if context is not None:
            within = trace.set_span_in_context(trace.NonRecordingSpan(span_context(context)), within)
        severity = _SEVERITIES.get(level, SeverityNumber.INFO)
        self._logger.emit(
            LogRecord(
                timestamp=at_ns or time.time_ns(),
                context=within,
                severity_text=severity.name,
                severity_number=severity,
                body=message,
                attributes={name: _plain(fact) for name, fact in facts.items() if fact is not None},
            )
        )

    def take_all(self, logger: str, context_of: Callable[[], TraceContext | None]) -> None:
        """Export from now on what a logger and those below log, each line in the span that is given for it."""
        self._logging = logging.getLogger(logger)
        self._handler = _Handler(self, context_of)
        self._logging.addHandler(self._handler)

    def close(self, seconds: float) -> None:
        """Export what waits, but don't wait longer than this for a collector."""
        if self._handler is not None:
            self._logging.removeHandler(self._handler)
        if not ended(self._provider.shutdown, seconds):
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # gives up what it tries again


class _Handler(logging.Handler):
    """Hands on what is logged, but for what the exporters themselves log."""

    def __init__(self, lines: Lines, context_of: Callable[[], TraceContext | None]) -> None:
        super().__init__()
        self._lines = lines
        self._context_of = context_of
        self._texts = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on one."""
        if record.name.startswith(("opentelemetry", "urllib3")):
            return
        try:
            facts = {"logger": record.name, **facts_of(record)}
            if record.exc_info:
                facts["exception.stacktrace"] = self._texts.formatException(record.exc_info)
            at_ns = int(record.created * 1e9)
            self._lines.emit(record.levelname, record.getMessage(), facts, self._context_of(), at_ns)
        except Exception:
            self.handleError(record)


def _plain(fact: object) -> str | int | float | bool:
    return fact if isinstance(fact, str | int | float | bool) else str(fact)
