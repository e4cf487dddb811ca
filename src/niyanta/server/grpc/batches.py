"""SubmitWorkloadBatch and CancelWorkloadBatch: many workloads with one call."""

from __future__ import annotations

from typing import Any

import msgspec

from niyanta.domain.customers import Scope
from niyanta.domain.limits import MAX_BATCH_VALUES
from niyanta.errors import ApiError, ConflictError, ServiceUnavailableError
from niyanta.server.grpc.messages import checked, status_message, status_of, submission_of, submitted_message
from niyanta.server.grpc.methods import Method, MethodCall
from niyanta.server.grpc.values import aside, moment_of, put_details, put_time
from niyanta.server.services.batches import BatchService, CancelBatchRequest
from niyanta.server.services.outcomes import ItemOutcome
from niyanta.server.services.requests import BatchRequest, BodyLimit, check_idempotency_key
from niyanta.server.services.submission import SubmissionService
from niyanta.wire.strict_json import StrictDecoder
from niyanta.wire.v1 import workload_service_pb2 as pb

__all__ = ["BatchMethods", "filter_of", "put_error"]


class BatchMethods:
    """Submit and cancel many.

    Args:
        submissions: Stores workloads.
        batches: Cancels them.
        max_body_bytes: A batch may not be larger, encoded or as JSON.
    """

    def __init__(self, submissions: SubmissionService, batches: BatchService, max_body_bytes: int) -> None:
        self._submissions = submissions
        self._batches = batches
        self._max_body_bytes = max_body_bytes
        self._submission = StrictDecoder(BatchRequest, MAX_BATCH_VALUES)
        self._cancellation = StrictDecoder(CancelBatchRequest)

    @Method(
        name="SubmitWorkloadBatch",
        scope=Scope.WORKLOADS_WRITE,
        request=pb.SubmitWorkloadBatchRequest,
        answer=pb.SubmitWorkloadBatchResponse,
        body_limit=BodyLimit.BATCH,
        errors=(ConflictError, ServiceUnavailableError),
    )
    async def submit(self, call: MethodCall[pb.SubmitWorkloadBatchRequest]) -> pb.SubmitWorkloadBatchResponse:
        """Store many, each with an outcome of its own."""
        batch = await aside(call.size_bytes, self._batch_of, call.request)
        key = check_idempotency_key(call.metadata.get("idempotency-key"))
        done = await self._submissions.submit_batch(call.identity, batch.workloads, key)
        if done.replayed:
            call.answer_metadata["idempotent-replayed"] = "true"
        answer = pb.SubmitWorkloadBatchResponse()
        for index, outcome in enumerate(done.outcomes):
            answer.results.append(_submitted(index, outcome))
        answer.rejected = sum(isinstance(outcome, ApiError) for outcome in done.outcomes)
        answer.accepted = len(done.outcomes) - answer.rejected
        return answer

    def _batch_of(self, request: pb.SubmitWorkloadBatchRequest) -> BatchRequest:
        each = [submission_of(one, f"workloads[{index}].") for index, one in enumerate(request.workloads)]
        return checked(self._submission, {"workloads": each}, self._max_body_bytes)

    @Method(
        name="CancelWorkloadBatch",
        scope=Scope.WORKLOADS_WRITE,
        request=pb.CancelWorkloadBatchRequest,
        answer=pb.CancelWorkloadBatchResponse,
        errors=(ServiceUnavailableError,),
    )
    async def cancel(self, call: MethodCall[pb.CancelWorkloadBatchRequest]) -> pb.CancelWorkloadBatchResponse:
        """Cancel many, each with an outcome of its own."""
        request = call.request
        given: dict[str, Any] = {}
        if request.workload_ids:
            given["workload_ids"] = list(request.workload_ids)
        if request.HasField("filter"):
            given["filter"] = filter_of(request.filter)
        if request.reason:
            given["reason"] = request.reason
        found = await self._batches.cancel(call.identity, checked(self._cancellation, given, self._max_body_bytes))
        answer = pb.CancelWorkloadBatchResponse(has_more=found.has_more)
        for workload_id, outcome in found.outcomes:
            result = answer.results.add(workload_id=workload_id)
            if isinstance(outcome, ApiError):
                put_error(outcome, result.error)
                answer.failed += 1
                continue
            result.cancelled.workload_id = workload_id
            result.cancelled.status = status_message(outcome.status)
            result.cancelled.version = outcome.version
            put_time(result.cancelled.cancelled_at, outcome.completed_at)
            answer.cancelled += 1
        return answer


def filter_of(given: pb.WorkloadFilter) -> dict[str, Any]:
    """A filter as REST's body has it; what is unset is left out."""
    found: dict[str, Any] = {}
    if (status := status_of(given.status, "filter.status")) is not None:
        found["status"] = status
    if given.workload_type:
        found["workload_type"] = given.workload_type
    if given.HasField("created_before"):
        found["created_before"] = moment_of(given.created_before, "filter.created_before").isoformat()
    if given.HasField("created_after"):
        found["created_after"] = moment_of(given.created_after, "filter.created_after").isoformat()
    if given.labels:
        found["labels"] = dict(given.labels)
    if given.fingerprint:
        found["fingerprint"] = given.fingerprint
    return found


def _submitted(index: int, outcome: ItemOutcome) -> pb.SubmitWorkloadBatchResult:
    result = pb.SubmitWorkloadBatchResult(index=index)
    if isinstance(outcome, ApiError):
        put_error(outcome, result.error)
    else:
        result.workload.CopyFrom(submitted_message(outcome))
    return result


def put_error(error: ApiError, into: pb.ItemError) -> None:
    """Why one item was refused."""
    into.code, into.message = error.code, error.message
    put_details(msgspec.json.encode(error.details), into.details)
