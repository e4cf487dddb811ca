"""What ``explain`` gives: why a workload is where it is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from niyanta.client.status import Status

__all__ = ["EstimateAccuracy", "ExplainedReason", "Explanation", "QueuePosition", "TimeEstimate"]


class ExplainedReason(msgspec.Struct):
    """One reason why a workload is where it is."""

    code: str
    """``workers_full``, ``limit_reached``, ``backing_off`` and so on; a later release may know more."""
    message: str
    details: dict[str, Any] = {}
    """The numbers behind it; which, depends on the code."""


class QueuePosition(msgspec.Struct):
    """A workload's place among the customer's own that wait for the same slots."""

    ahead: int
    is_bounded: bool
    """So many or more: counting ends there."""


class TimeEstimate(msgspec.Struct):
    """By when it is so for half of such workloads, and for nine of ten."""

    p50: datetime | None = None
    p90: datetime | None = None


class EstimateAccuracy(msgspec.Struct):
    """How wrong estimates of a start were of late: waits that were, as multiples of those that were estimated."""

    samples: int
    p50: float
    p90: float


class Explanation(msgspec.Struct, kw_only=True):
    """Why a workload is where it is."""

    workload_id: str
    status: Status
    version: int
    explained_at: datetime
    reasons: list[ExplainedReason]
    """All that keep it waiting, what has to change first, first; or why it doesn't wait."""
    position: QueuePosition | None = None
    """None unless it waits in the queue."""
    estimated_start: TimeEstimate | None = None
    estimated_completion: TimeEstimate | None = None
    accuracy: EstimateAccuracy | None = None
    """Of the last estimates; None when none has come true yet."""
    smallest_change: str | None = None
    """The least that would start it, for people; None when it has only to wait."""
