"""Whether what handlers record is exported from their process."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from niyanta.telemetry.settings import wanted_signals

if TYPE_CHECKING:
    from niyanta.telemetry.handlers import HandlerSpans

__all__ = ["handler_spans"]


def handler_spans() -> HandlerSpans | None:
    """Get ready for it, in the process that runs handlers or in the one that it is forked from.

    None where no traces are wanted, or can't be had; the agent says why.
    """
    if not wanted_signals().traces:
        return None
    with contextlib.suppress(Exception):
        from niyanta.telemetry.handlers import HandlerSpans

        return HandlerSpans.install("niyanta-worker")
    return None
