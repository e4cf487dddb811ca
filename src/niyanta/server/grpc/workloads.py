"""The methods of ``niyanta.v1.WorkloadService``: what REST's ``/v1/workloads`` does, over the same services."""

from __future__ import annotations

from typing import Any

import msgspec

from niyanta.domain.transitions import Status
from niyanta.errors import PayloadTooLargeError
from niyanta.server.coordinator.submission import SubmissionService, SubmitRequest, check_idempotency_key
from niyanta.server.coordinator.workloads import CancelRequest, WorkloadService
from niyanta.server.grpc.messages import status_message, submission_of, workload_message
from niyanta.server.grpc.methods import Call, Method, workload_id_of
from niyanta.server.grpc.values import put_time
from niyanta.wire.strict_json import StrictDecoder
from niyanta.wire.v1 import workload_service_pb2 as pb

__all__ = ["WorkloadMethods"]

_encode = msgspec.json.Encoder().encode


class WorkloadMethods:
    """Submit, read, list, cancel, pause, resume.

    Args:
        submissions: Stores workloads.
        workloads: Reads and changes them.
        max_body_bytes: As REST's body, a submission's JSON may not be larger.
    """

    def __init__(self, submissions: SubmissionService, workloads: WorkloadService, max_body_bytes: int) -> None:
        self._submissions = submissions
        self._workloads = workloads
        self._max_body_bytes = max_body_bytes
        self._submission = StrictDecoder(SubmitRequest)
        self._cancellation = StrictDecoder(CancelRequest)

    def methods(self) -> list[Method[Any]]:
        """What this part of the service offers."""
        return [
            Method(name="SubmitWorkload", request=pb.SubmitWorkloadRequest, unary=self.submit),
            Method(name="GetWorkload", request=pb.GetWorkloadRequest, unary=self.get),
            Method(name="CancelWorkload", request=pb.CancelWorkloadRequest, unary=self.cancel, exists=self._exists),
            Method(name="PauseWorkload", request=pb.PauseWorkloadRequest, unary=self.pause),
            Method(name="ResumeWorkload", request=pb.ResumeWorkloadRequest, unary=self.resume),
        ]

    async def _exists(self, call: Call[Any]) -> None:
        await self._workloads.get(call.identity, workload_id_of(call))

    async def submit(self, call: Call[pb.SubmitWorkloadRequest]) -> pb.SubmitWorkloadResponse:
        """Store a workload."""
        body = _encode(submission_of(call.request))
        if len(body) > self._max_body_bytes:
            raise PayloadTooLargeError(
                f"As JSON the submission is larger than {self._max_body_bytes} bytes",
                details={"max_bytes": self._max_body_bytes},
            )
        key = check_idempotency_key(call.metadata.get("idempotency-key"))
        done = await self._submissions.submit(call.identity, self._submission.decode(body), key)
        if done.replayed:
            call.answer_metadata["idempotent-replayed"] = "true"
        answer = pb.SubmitWorkloadResponse(
            workload_id=done.workload_id, status=status_message(Status.PENDING), version=1
        )
        put_time(answer.created_at, done.created_at)
        put_time(answer.estimated_start_time, done.estimated_start_at)
        return answer

    async def get(self, call: Call[pb.GetWorkloadRequest]) -> pb.GetWorkloadResponse:
        """One workload, whole."""
        row = await self._workloads.get(call.identity, workload_id_of(call))
        return pb.GetWorkloadResponse(workload=workload_message(row, await self._workloads.pending_reason(row)))

    async def cancel(self, call: Call[pb.CancelWorkloadRequest]) -> pb.CancelWorkloadResponse:
        """End a workload for good."""
        workload_id = workload_id_of(call)
        given = {"reason": call.request.reason} if call.request.reason else {}
        reason = self._cancellation.decode(_encode(given)).reason
        state = (await self._workloads.cancel(call.identity, workload_id, reason)).state
        answer = pb.CancelWorkloadResponse(
            workload_id=workload_id, status=status_message(state.status), version=state.version
        )
        put_time(answer.cancelled_at, state.completed_at)
        return answer

    async def pause(self, call: Call[pb.PauseWorkloadRequest]) -> pb.PauseWorkloadResponse:
        """Checkpoint, stop, free the slot; early enough before the deadline to tell how it went."""
        left = call.seconds_left
        wait_seconds = None if left is None else max(0.0, left - min(0.5, left / 4))
        row = await self._workloads.pause(call.identity, workload_id_of(call), wait_seconds)
        answer = pb.PauseWorkloadResponse(
            workload_id=row["workload_id"],
            status=status_message(row["status"]),
            checkpoint_sequence=row["checkpoint_sequence"],
            version=row["version"],
        )
        put_time(answer.paused_at, row["paused_at"])
        return answer

    async def resume(self, call: Call[pb.ResumeWorkloadRequest]) -> pb.ResumeWorkloadResponse:
        """Back into the queue."""
        workload_id = workload_id_of(call)
        state = (await self._workloads.resume(call.identity, workload_id)).state
        return pb.ResumeWorkloadResponse(
            workload_id=workload_id,
            status=status_message(state.status),
            checkpoint_sequence=state.checkpoint_sequence,
            version=state.version,
        )
