"""ReplayWorkload, ReplayWorkloadBatch and ForkWorkload: what was submitted, once more."""

from __future__ import annotations

from typing import Any

from niyanta.domain.customers import Scope
from niyanta.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    InvalidStateError,
    NotFoundError,
    ServiceUnavailableError,
)
from niyanta.server.grpc.batches import filter_of, put_error
from niyanta.server.grpc.messages import checked, submitted_message
from niyanta.server.grpc.methods import Method, MethodCall, workload_id_of
from niyanta.server.grpc.values import json_of
from niyanta.server.services.outcomes import Submission
from niyanta.server.services.replaying import ForkRequest, ReplayBatchRequest, ReplayRequest, ReplayService
from niyanta.server.services.requests import check_idempotency_key
from niyanta.server.services.workloads import WorkloadService
from niyanta.wire.strict_json import StrictDecoder
from niyanta.wire.v1 import workload_service_pb2 as pb

__all__ = ["ReplayMethods"]


class ReplayMethods:
    """Replay one, and many; fork one.

    Args:
        replays: Replays workloads.
        workloads: Says whether there is one.
        max_body_bytes: As REST's body, a request's JSON may not be larger.
    """

    def __init__(self, replays: ReplayService, workloads: WorkloadService, max_body_bytes: int) -> None:
        self._replays = replays
        self._workloads = workloads
        self._max_body_bytes = max_body_bytes
        self._one = StrictDecoder(ReplayRequest)
        self._fork = StrictDecoder(ForkRequest)
        self._batch = StrictDecoder(ReplayBatchRequest)

    async def _exists(self, call: MethodCall[Any]) -> None:
        await self._workloads.get(call.identity, workload_id_of(call))

    @Method(
        name="ReplayWorkload",
        scope=Scope.WORKLOADS_WRITE,
        request=pb.ReplayWorkloadRequest,
        answer=pb.SubmitWorkloadResponse,
        errors=(ConflictError, ForbiddenError, InvalidStateError, NotFoundError, ServiceUnavailableError),
        exists=_exists,
    )
    async def replay(self, call: MethodCall[pb.ReplayWorkloadRequest]) -> pb.SubmitWorkloadResponse:
        """Submit one again."""
        wanted = checked(self._one, _again(call.request), self._max_body_bytes)
        key = check_idempotency_key(call.metadata.get("idempotency-key"))
        return _made(call, await self._replays.replay(call.identity, workload_id_of(call), wanted, key))

    @Method(
        name="ForkWorkload",
        scope=Scope.WORKLOADS_WRITE,
        request=pb.ForkWorkloadRequest,
        answer=pb.SubmitWorkloadResponse,
        errors=(ConflictError, ForbiddenError, NotFoundError, ServiceUnavailableError),
        exists=_exists,
    )
    async def fork(self, call: MethodCall[pb.ForkWorkloadRequest]) -> pb.SubmitWorkloadResponse:
        """Submit one again, to begin at one of its checkpoints."""
        wanted = checked(self._fork, _again(call.request), self._max_body_bytes)
        key = check_idempotency_key(call.metadata.get("idempotency-key"))
        return _made(call, await self._replays.fork(call.identity, workload_id_of(call), wanted, key))

    @Method(
        name="ReplayWorkloadBatch",
        scope=Scope.WORKLOADS_WRITE,
        request=pb.ReplayWorkloadBatchRequest,
        answer=pb.ReplayWorkloadBatchResponse,
        errors=(ConflictError, ServiceUnavailableError),
    )
    async def replay_batch(self, call: MethodCall[pb.ReplayWorkloadBatchRequest]) -> pb.ReplayWorkloadBatchResponse:
        """Submit many again, each with an outcome of its own."""
        request = call.request
        given: dict[str, Any] = {"filter": filter_of(request.filter)}
        if request.HasField("priority"):
            given["priority"] = request.priority
        if request.limit:
            given["limit"] = request.limit
        if request.cursor:
            given["cursor"] = request.cursor
        key = check_idempotency_key(call.metadata.get("idempotency-key"))
        wanted = checked(self._batch, given, self._max_body_bytes)
        done = await self._replays.replay_batch(call.identity, wanted, key)
        if done.replayed:
            call.answer_metadata["idempotent-replayed"] = "true"
        answer = pb.ReplayWorkloadBatchResponse(
            has_more=done.next_cursor is not None, next_cursor=done.next_cursor or ""
        )
        for original, outcome in done.outcomes:
            result = answer.results.add(replayed_from=original)
            if isinstance(outcome, ApiError):
                put_error(outcome, result.error)
                answer.rejected += 1
            else:
                result.workload_id = outcome.workload_id
                answer.accepted += 1
        return answer


def _again(request: pb.ReplayWorkloadRequest | pb.ForkWorkloadRequest) -> dict[str, Any]:
    """What the new one has differently, as REST's body has it."""
    given: dict[str, Any] = {}
    if request.HasField("input_params"):
        given["input_params"] = json_of(request.input_params, "input_params")
    if request.HasField("priority"):
        given["priority"] = request.priority
    if request.from_checkpoint:
        given["from_checkpoint"] = request.from_checkpoint
    return given


def _made(call: MethodCall[Any], done: Submission) -> pb.SubmitWorkloadResponse:
    if done.replayed:
        call.answer_metadata["idempotent-replayed"] = "true"
    return submitted_message(done)
