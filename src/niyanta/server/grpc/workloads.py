"""The methods of ``niyanta.v1.WorkloadService``: what REST's ``/v1/workloads`` does, over the same services."""

from __future__ import annotations

from typing import Any

from niyanta.domain.customers import Scope
from niyanta.errors import ConflictError, InvalidStateError, NotFoundError, ServiceUnavailableError
from niyanta.server.grpc.messages import checked, status_message, submission_of, submitted_message, workload_message
from niyanta.server.grpc.methods import Method, MethodCall, workload_id_of
from niyanta.server.grpc.values import aside, put_time
from niyanta.server.services.checkpoints import CheckpointCatalog
from niyanta.server.services.pausing import PauseService
from niyanta.server.services.requests import SubmitRequest, check_idempotency_key
from niyanta.server.services.submission import SubmissionService
from niyanta.server.services.workloads import CancelRequest, WorkloadService
from niyanta.wire.strict_json import StrictDecoder
from niyanta.wire.v1 import workload_service_pb2 as pb

__all__ = ["WorkloadMethods"]


class WorkloadMethods:
    """Submit, read, list, cancel, pause, resume.

    Args:
        submissions: Stores workloads.
        workloads: Reads and changes them.
        pausing: Pauses them.
        catalog: Knows the checkpoints that they can be sent back to.
        max_body_bytes: As REST's body, a submission's JSON may not be larger.
    """

    def __init__(
        self,
        submissions: SubmissionService,
        workloads: WorkloadService,
        pausing: PauseService,
        catalog: CheckpointCatalog,
        max_body_bytes: int,
    ) -> None:
        self._submissions = submissions
        self._workloads = workloads
        self._pausing = pausing
        self._catalog = catalog
        self._max_body_bytes = max_body_bytes
        self._submission = StrictDecoder(SubmitRequest)
        self._cancellation = StrictDecoder(CancelRequest)

    async def _exists(self, call: MethodCall[Any]) -> None:
        await self._workloads.get(call.identity, workload_id_of(call))

    @Method(
        name="SubmitWorkload",
        scope=Scope.WORKLOADS_WRITE,
        request=pb.SubmitWorkloadRequest,
        answer=pb.SubmitWorkloadResponse,
        errors=(ConflictError, ServiceUnavailableError),
    )
    async def submit(self, call: MethodCall[pb.SubmitWorkloadRequest]) -> pb.SubmitWorkloadResponse:
        """Store a workload."""
        request = await aside(call.size_bytes, self._submission_of, call.request)
        key = check_idempotency_key(call.metadata.get("idempotency-key"))
        done = await self._submissions.submit(call.identity, request, key)
        if done.replayed:
            call.answer_metadata["idempotent-replayed"] = "true"
        return submitted_message(done)

    def _submission_of(self, request: pb.SubmitWorkloadRequest) -> SubmitRequest:
        return checked(self._submission, submission_of(request), self._max_body_bytes)

    @Method(
        name="GetWorkload",
        request=pb.GetWorkloadRequest,
        answer=pb.GetWorkloadResponse,
        errors=(NotFoundError, InvalidStateError),
    )
    async def get(self, call: MethodCall[pb.GetWorkloadRequest]) -> pb.GetWorkloadResponse:
        """One workload, whole."""
        workload = await self._workloads.get(call.identity, workload_id_of(call))
        outlook = await self._workloads.outlook(workload)
        size = len(workload.input_params) + len(workload.result_json or "")
        return pb.GetWorkloadResponse(workload=await aside(size, workload_message, workload, outlook))

    @Method(
        name="CancelWorkload",
        scope=Scope.WORKLOADS_WRITE,
        request=pb.CancelWorkloadRequest,
        answer=pb.CancelWorkloadResponse,
        errors=(InvalidStateError, NotFoundError),
        exists=_exists,
    )
    async def cancel(self, call: MethodCall[pb.CancelWorkloadRequest]) -> pb.CancelWorkloadResponse:
        """End a workload for good."""
        workload_id = workload_id_of(call)
        given = {"reason": call.request.reason} if call.request.reason else {}
        reason = checked(self._cancellation, given, self._max_body_bytes).reason
        state = (await self._workloads.cancel(call.identity, workload_id, reason)).state
        answer = pb.CancelWorkloadResponse(
            workload_id=workload_id, status=status_message(state.status), version=state.version
        )
        put_time(answer.cancelled_at, state.completed_at)
        return answer

    @Method(
        name="PauseWorkload",
        scope=Scope.WORKLOADS_WRITE,
        request=pb.PauseWorkloadRequest,
        answer=pb.PauseWorkloadResponse,
        errors=(InvalidStateError, NotFoundError, ServiceUnavailableError),
    )
    async def pause(self, call: MethodCall[pb.PauseWorkloadRequest]) -> pb.PauseWorkloadResponse:
        """Checkpoint, stop, free the slot; early enough before the deadline to tell how it went."""
        left = call.seconds_left
        wait_seconds = None if left is None else max(0.0, left - min(0.5, left / 4))
        workload = await self._pausing.pause(call.identity, workload_id_of(call), wait_seconds)
        answer = pb.PauseWorkloadResponse(
            workload_id=workload.workload_id,
            status=status_message(workload.status),
            checkpoint_sequence=workload.checkpoint_sequence,
            version=workload.version,
        )
        put_time(answer.paused_at, workload.paused_at)
        return answer

    @Method(
        name="ResumeWorkload",
        scope=Scope.WORKLOADS_WRITE,
        request=pb.ResumeWorkloadRequest,
        answer=pb.ResumeWorkloadResponse,
        errors=(ConflictError, InvalidStateError, NotFoundError),
    )
    async def resume(self, call: MethodCall[pb.ResumeWorkloadRequest]) -> pb.ResumeWorkloadResponse:
        """Back into the queue."""
        workload_id = workload_id_of(call)
        back_to = None
        if asked := call.request.from_checkpoint:
            back_to = await self._catalog.startable(call.identity, workload_id, asked)
        state = (await self._workloads.resume(call.identity, workload_id, back_to)).state
        return pb.ResumeWorkloadResponse(
            workload_id=workload_id,
            status=status_message(state.status),
            checkpoint_sequence=state.checkpoint_sequence,
            version=state.version,
        )
