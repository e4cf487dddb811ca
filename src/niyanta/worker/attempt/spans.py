"""The spans of an attempt that its worker knows: getting ready, checkpoints, having the result acknowledged.

The attempt's own span is the coordinator's (`niyanta.server.moves.spans`), as a worker may die of what it tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from niyanta.domain.traces import TraceContext
from niyanta.wire.messages import Assignment, Completed, Failed, LogLine, Paused, Refused, Released
from niyanta.worker.handlers.link import trace_of

if TYPE_CHECKING:
    from niyanta.telemetry.lines import Lines
    from niyanta.telemetry.spans import Spans

__all__ = ["LAST_EVENTS", "AttemptTrace", "line_exporter"]

LAST_EVENTS = (Completed, Failed, Paused, Refused, Released)
"""Of an attempt nothing comes after one of these."""


class AttemptTrace:
    """Records what happens in one attempt.

    Attributes:
        context: The attempt's span.
        ended_ns: When its last event was queued, in Unix nanoseconds.
    """

    def __init__(self, spans: Spans, context: TraceContext) -> None:
        self._spans = spans
        self.context = context
        self.ended_ns = 0

    @classmethod
    def of(cls, assignment: Assignment, spans: Spans | None) -> AttemptTrace | None:
        """That of an assignment; None where nothing is recorded."""
        context = None if spans is None else trace_of(assignment)
        if spans is None or context is None or not context.is_sampled:
            return None
        return cls(spans, context)

    @property
    def ids(self) -> dict[str, str | int]:
        """Fields for lines of the worker's log."""
        return {"trace_id": self.context.trace_id, "span_id": self.context.span_id}

    def step(self, name: str, began_ns: int, *, error: str | None = None, **facts: str | int) -> None:
        """Something that began then has ended now."""
        self._spans.emit(
            name,
            self._spans.child(self.context),
            self.context,
            (began_ns, time.time_ns()),
            attributes={f"niyanta.{key}": value for key, value in facts.items()},
            error=error,
        )


def line_exporter(lines: Lines, assignment: Assignment) -> Callable[[LogLine], None]:
    """What exports the lines of an attempt's log, each with its place in the trace."""
    attempt = trace_of(assignment)
    facts = {
        "niyanta.customer_id": assignment.ref.customer_id,
        "niyanta.workload_id": assignment.ref.workload_id,
        "niyanta.workload_type": assignment.workload_type,
        "niyanta.attempt": assignment.ref.generation,
    }

    def export(line: LogLine) -> None:
        span_id = line.details.get("span_id")
        context = attempt._replace(span_id=str(span_id)) if attempt is not None and span_id else attempt
        lines.emit(line.level, line.message, facts, context)

    return export
