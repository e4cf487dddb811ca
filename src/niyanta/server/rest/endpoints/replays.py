"""What was submitted, once more: replays and forks."""

from __future__ import annotations

from starlette.responses import Response

from niyanta.domain.workload import Status
from niyanta.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    InvalidStateError,
    NotFoundError,
    ServiceUnavailableError,
)
from niyanta.server.rest.bodies import replays as bodies
from niyanta.server.rest.bodies.workloads import ItemError, SubmitAnswer
from niyanta.server.rest.endpoints.workloads import idempotency_key
from niyanta.server.rest.frame.operation import Call, Operation
from niyanta.server.rest.frame.responses import json_response, timestamp
from niyanta.server.services.outcomes import ItemOutcome, Submission
from niyanta.server.services.replaying import ForkRequest, ReplayBatchRequest, ReplayRequest, ReplayService
from niyanta.server.services.workloads import WorkloadService

__all__ = ["ReplayRoutes"]

_TAG = "Workloads"


class ReplayRoutes:
    """Replay one, and many; fork one."""

    def __init__(self, replays: ReplayService, workloads: WorkloadService) -> None:
        self._replays = replays
        self._workloads = workloads

    async def _exists(self, call: Call) -> None:
        await self._workloads.get(call.identity, call.path_id("workload_id"))

    @Operation(
        method="POST",
        path="/v1/workloads/{workload_id}/replay",
        operation_id="replayWorkload",
        summary="Submit a workload that has ended again",
        description="As a new workload, which says in replayed_from where it comes from: with the same type, input, "
        "priority, time-out and affinity, but for what the body says. It begins at the start, or at a checkpoint of "
        "the original. Limits and idempotency keys hold as for submissions.",
        tag=_TAG,
        body=ReplayRequest,
        body_required=False,
        answer=SubmitAnswer,
        status=202,
        headers=("Location", "Idempotent-Replayed"),
        request_headers=("Idempotency-Key",),
        errors=(ConflictError, ForbiddenError, InvalidStateError, NotFoundError, ServiceUnavailableError),
        exists=_exists,
    )
    async def replay(self, call: Call) -> Response:
        """202 once it is stored."""
        request = call.body if call.body is not None else ReplayRequest()
        key = idempotency_key(call.request)
        return _made(await self._replays.replay(call.identity, call.path_id("workload_id"), request, key))

    @Operation(
        method="POST",
        path="/v1/workloads/{workload_id}/fork",
        operation_id="forkWorkload",
        summary="Submit a workload again, to begin at one of its checkpoints",
        description="As a new workload, which says in forked_from where it comes from, with the same type, input, "
        "priority, time-out and affinity, but for what the body says. The original may run, and goes on as if "
        "nothing had happened. Limits and idempotency keys hold as for submissions.",
        tag=_TAG,
        body=ForkRequest,
        body_required=False,
        answer=SubmitAnswer,
        status=202,
        headers=("Location", "Idempotent-Replayed"),
        request_headers=("Idempotency-Key",),
        errors=(ConflictError, ForbiddenError, NotFoundError, ServiceUnavailableError),
        exists=_exists,
    )
    async def fork(self, call: Call) -> Response:
        """202 once it is stored."""
        request = call.body if call.body is not None else ForkRequest()
        key = idempotency_key(call.request)
        return _made(await self._replays.fork(call.identity, call.path_id("workload_id"), request, key))

    @Operation(
        method="POST",
        path="/v1/workloads/replay",
        operation_id="replayWorkloadBatch",
        summary="Replay up to 1000 workloads",
        description="Those that a filter means, the oldest first, each with its own outcome, all in one transaction. "
        "It ends early where your queue is full or the inputs get large, and by labels where it has looked at very "
        "many, then maybe with none. While has_more, call again with "
        "next_cursor, the same filter and, if any, another Idempotency-Key: a key covers one call. What a call that "
        "was cut off has done is found out by sending it again with its key.",
        tag=_TAG,
        body=ReplayBatchRequest,
        answer=bodies.ReplayBatchAnswer,
        status=202,
        headers=("Idempotent-Replayed",),
        request_headers=("Idempotency-Key",),
        errors=(ConflictError, ServiceUnavailableError),
    )
    async def replay_batch(self, call: Call) -> Response:
        """202 once they are stored."""
        done = await self._replays.replay_batch(call.identity, call.body, idempotency_key(call.request))
        results = [_result(original, outcome) for original, outcome in done.outcomes]
        rejected = sum(isinstance(outcome, ApiError) for _, outcome in done.outcomes)
        has_more = done.next_cursor is not None
        body = bodies.ReplayBatchAnswer(results, len(results) - rejected, rejected, has_more, done.next_cursor)
        return json_response(body, 202, {"Idempotent-Replayed": "true"} if done.replayed else None)


def _made(done: Submission) -> Response:
    headers = {"Location": f"/v1/workloads/{done.workload_id}"}
    if done.replayed:
        headers["Idempotent-Replayed"] = "true"
    created, start = timestamp(done.created_at), timestamp(done.estimated_start_at)
    return json_response(SubmitAnswer(done.workload_id, Status.PENDING, created, start, 1), 202, headers)


def _result(original: str, outcome: ItemOutcome) -> bodies.ReplayResult:
    if isinstance(outcome, ApiError):
        error = ItemError(outcome.code, outcome.message, outcome.details)
        return bodies.ReplayResult(original, error=error)
    return bodies.ReplayResult(original, outcome.workload_id)
