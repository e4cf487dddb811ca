"""Why a workload waits, runs or has ended."""

from __future__ import annotations

from datetime import datetime

import msgspec
from starlette.responses import Response

from niyanta.domain.estimates import Accuracy
from niyanta.domain.explanation import Reason
from niyanta.errors import NotFoundError
from niyanta.server.rest.bodies import explanation as bodies
from niyanta.server.rest.frame.operation import Call, Operation
from niyanta.server.rest.frame.responses import json_response, timestamp
from niyanta.server.services.explaining import Explanation
from niyanta.server.services.workloads import WorkloadService

__all__ = ["ExplainRoutes"]

_encode = msgspec.json.Encoder().encode


class ExplainRoutes:
    """Explain."""

    def __init__(self, workloads: WorkloadService) -> None:
        self._workloads = workloads

    async def _exists(self, call: Call) -> None:
        await self._workloads.get(call.identity, call.path_id("workload_id"))

    @Operation(
        method="GET",
        path="/v1/workloads/{workload_id}/explain",
        operation_id="explainWorkload",
        summary="Why a workload waits, runs or has ended",
        description="Every reason that it waits, with its numbers; its place among your own; when it will start, how "
        "wrong such estimates were of late; and the smallest change that would start it. In other states it says "
        "where it runs, who paused it, or how it ended.",
        tag="Workloads",
        answer=bodies.ExplainAnswer,
        errors=(NotFoundError,),
        exists=_exists,
    )
    async def explain(self, call: Call) -> Response:
        """All reasons."""
        return json_response(_body(await self._workloads.explain(call.identity, call.path_id("workload_id"))))


def _body(found: Explanation) -> bodies.ExplainAnswer:
    prospect = found.prospect
    return bodies.ExplainAnswer(
        workload_id=found.workload.workload_id,
        status=found.workload.status,
        version=found.workload.version,
        explained_at=timestamp(found.workload.db_now),
        reasons=[_reason(reason) for reason in found.reasons],
        position=None if prospect is None else bodies.QueuePosition(prospect.ahead, prospect.is_bounded),
        estimated_start=None if prospect is None else _estimate(prospect.half, prospect.late),
        estimated_completion=_estimate(*found.completion),
        accuracy=None if prospect is None else _accuracy(prospect.accuracy),
        smallest_change=found.smallest_change,
    )


def _reason(reason: Reason) -> bodies.ExplainedReason:
    return bodies.ExplainedReason(reason.code, reason.message, msgspec.Raw(_encode(reason.details)))


def _estimate(half: datetime | None, late: datetime | None) -> bodies.TimeEstimate | None:
    return None if half is None and late is None else bodies.TimeEstimate(timestamp(half), timestamp(late))


def _accuracy(found: Accuracy | None) -> bodies.EstimateAccuracy | None:
    if found is None:
        return None
    return bodies.EstimateAccuracy(found.samples, round(found.median, 3), round(found.late, 3))
