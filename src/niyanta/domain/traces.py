"""Where a workload stands in a trace: the contexts of W3C Trace Context that it carries.

Source: https://www.w3.org/TR/trace-context/, whose header ``traceparent`` is what is sent and stored.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

__all__ = ["TraceContext", "attempt_context", "read_traceparent"]

_VERSION_0 = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_LATER = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_MOST_LENGTH = 512
_SAMPLED = 1


class TraceContext(NamedTuple):
    """One span, as others name it."""

    trace_id: str
    """32 hexadecimal digits, not all zero."""
    span_id: str
    """16 of them."""
    is_sampled: bool
    """Whether it is recorded, and so what is below it."""

    @property
    def traceparent(self) -> str:
        """The header that hands it on."""
        return f"00-{self.trace_id}-{self.span_id}-{_SAMPLED if self.is_sampled else 0:02x}"


def read_traceparent(*found: str) -> TraceContext | None:
    """The context that all headers of that name hand on; None for none, and for what the standard has ignored.

    That is one of another form, one whose ids are zero, and more than one.
    """
    if len(found) != 1 or len(text := found[0]) > _MOST_LENGTH:
        return None
    fits = _VERSION_0.fullmatch(text) if text.startswith("00") else _LATER.fullmatch(text)
    if fits is None:
        return None
    trace_id, span_id, flags = fits.groups()
    if not int(trace_id, 16) or not int(span_id, 16):
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def attempt_context(workload: TraceContext, workload_id: str, generation: int) -> TraceContext:
    """The span of an attempt, below that of its workload's submission.

    Whoever knows the workload knows it: the coordinator that records it may be another than the one that began it,
    and an attempt that follows can point to it.
    """
    named = f"{workload.trace_id} {workload_id} {generation}".encode()
    return workload._replace(span_id=hashlib.sha256(named).hexdigest()[:16])
