"""Many workloads with one call."""

from __future__ import annotations

from starlette.responses import Response

from niyanta.domain.limits import MAX_BATCH_VALUES
from niyanta.domain.workload import Status
from niyanta.errors import ApiError, ConflictError, ServiceUnavailableError
from niyanta.server.rest.bodies import workloads as bodies
from niyanta.server.rest.endpoints.workloads import idempotency_key
from niyanta.server.rest.frame.operation import Call, Operation
from niyanta.server.rest.frame.responses import json_response, timestamp
from niyanta.server.services.batches import BatchService, CancelBatchRequest
from niyanta.server.services.outcomes import ItemOutcome
from niyanta.server.services.requests import BatchRequest, BodyLimit
from niyanta.server.services.submission import SubmissionService

__all__ = ["BatchRoutes"]

_TAG = "Workloads"


class BatchRoutes:
    """Submit and cancel many."""

    def __init__(self, submissions: SubmissionService, batches: BatchService) -> None:
        self._submissions = submissions
        self._batches = batches

    @Operation(
        method="POST",
        path="/v1/workloads/batch",
        operation_id="submitWorkloadBatch",
        summary="Submit up to 1000 workloads",
        description="All in one transaction, each accepted or refused by itself, in the order of the request. Costs "
        "one call of the rate limit. With an Idempotency-Key the batch as a whole is submitted once; an "
        "answer in which nothing was accepted is not kept.",
        tag=_TAG,
        body=BatchRequest,
        body_limit=BodyLimit.BATCH,
        max_values=MAX_BATCH_VALUES,
        answer=bodies.BatchAnswer,
        status=202,
        headers=("Idempotent-Replayed",),
        request_headers=("Idempotency-Key", "traceparent"),
        errors=(ConflictError, ServiceUnavailableError),
    )
    async def submit(self, call: Call) -> Response:
        """Submit many."""
        key = idempotency_key(call.request)
        answer = await self._submissions.submit_batch(call.identity, call.body.workloads, key)
        results = [_result(index, outcome) for index, outcome in enumerate(answer.outcomes)]
        rejected = sum(isinstance(outcome, ApiError) for outcome in answer.outcomes)
        body = bodies.BatchAnswer(results, len(results) - rejected, rejected)
        return json_response(body, 202, {"Idempotent-Replayed": "true"} if answer.replayed else None)

    @Operation(
        method="POST",
        path="/v1/workloads/batch/cancel",
        operation_id="cancelWorkloadBatch",
        summary="Cancel up to 1000 workloads",
        description="By id or by filter. Each has its own outcome. A filter means workloads that have not ended, the "
        "oldest first; has_more says that another call finds more.",
        tag=_TAG,
        body=CancelBatchRequest,
        answer=bodies.CancelBatchAnswer,
        errors=(ServiceUnavailableError,),
    )
    async def cancel(self, call: Call) -> Response:
        """Cancel many."""
        found = await self._batches.cancel(call.identity, call.body)
        results = [
            bodies.CancelResult(workload_id, error=_error(outcome))
            if isinstance(outcome, ApiError)
            else bodies.CancelResult(
                workload_id, outcome.status.value, timestamp(outcome.completed_at), outcome.version
            )
            for workload_id, outcome in found.outcomes
        ]
        failed = sum(isinstance(outcome, ApiError) for _, outcome in found.outcomes)
        return json_response(bodies.CancelBatchAnswer(results, len(results) - failed, failed, found.has_more))


def _result(index: int, outcome: ItemOutcome) -> bodies.BatchResult:
    if isinstance(outcome, ApiError):
        return bodies.BatchResult(index, error=_error(outcome))
    return bodies.BatchResult(
        index,
        outcome.workload_id,
        Status.PENDING.value,
        timestamp(outcome.created_at),
        timestamp(outcome.estimated_start_at),
        1,
    )


def _error(error: ApiError) -> bodies.ItemError:
    return bodies.ItemError(error.code, error.message, error.details)
