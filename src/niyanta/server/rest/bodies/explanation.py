"""The JSON body of an explanation."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from niyanta.domain.explanation import ReasonCode
from niyanta.domain.limits import MAX_AHEAD
from niyanta.server.rest.bodies.workloads import JsonObject, Timestamp, Version, WorkloadStatus, one_of

__all__ = ["EstimateAccuracy", "ExplainAnswer", "ExplainedReason", "QueuePosition", "TimeEstimate"]


class ExplainedReason(msgspec.Struct):
    """One reason why the workload is where it is."""

    code: Annotated[str, one_of(ReasonCode, "A later release may know more.")]
    message: Annotated[str, Meta(description="A sentence for people.")]
    details: Annotated[JsonObject, Meta(description="The numbers behind it; which, depends on the code.")]


class QueuePosition(msgspec.Struct):
    """The workload's place among the customer's own that wait for the same slots."""

    ahead: Annotated[
        int,
        Meta(description="How many go before it.", ge=0, extra_json_schema={"maximum": MAX_AHEAD}),
    ]
    is_bounded: Annotated[bool, Meta(description="So many or more: counting ends there.")]


class EstimateAccuracy(msgspec.Struct):
    """How wrong estimates of a start were of late: waits that were, as multiples of those that were estimated."""

    samples: Annotated[int, Meta(ge=1)]
    p50: Annotated[float, Meta(description="1 is right in the middle; 2 says that it took twice as long.")]
    p90: float


class TimeEstimate(msgspec.Struct):
    """When something will be."""

    p50: Annotated[Timestamp | None, Meta(description="By then it is so for half of such workloads.")]
    p90: Annotated[Timestamp | None, Meta(description="By then for nine of ten.")]


class ExplainAnswer(msgspec.Struct, kw_only=True):
    """Why a workload is where it is."""

    workload_id: str
    status: WorkloadStatus
    version: Version
    explained_at: Annotated[Timestamp, Meta(description="What is said of workers is about a second older.")]
    reasons: Annotated[
        list[ExplainedReason],
        Meta(
            description="All that keep it waiting, what has to change first, first; or why it doesn't wait.",
            min_length=1,
        ),
    ]
    position: Annotated[QueuePosition | None, Meta(description="null unless it waits in the queue.")]
    estimated_start: Annotated[
        TimeEstimate | None,
        Meta(description="null when there is nothing to estimate from, or too many go before it to be counted."),
    ]
    estimated_completion: Annotated[
        TimeEstimate | None, Meta(description="null unless it runs and something is known.")
    ]
    accuracy: Annotated[
        EstimateAccuracy | None, Meta(description="Of the last estimates; null when none has come true yet.")
    ]
    smallest_change: Annotated[
        str | None, Meta(description="The least that would start it, for people; null when it has only to wait.")
    ]
