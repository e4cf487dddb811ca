"""ExplainWorkload: why a workload waits, runs or has ended."""

from __future__ import annotations

import msgspec

from niyanta.errors import NotFoundError
from niyanta.server.grpc.messages import status_message
from niyanta.server.grpc.methods import Method, MethodCall, workload_id_of
from niyanta.server.grpc.values import put_details, put_time
from niyanta.server.services.workloads import WorkloadService
from niyanta.wire.v1 import workload_service_pb2 as pb

__all__ = ["ExplainMethods"]


class ExplainMethods:
    """Explain."""

    def __init__(self, workloads: WorkloadService) -> None:
        self._workloads = workloads

    @Method(
        name="ExplainWorkload",
        request=pb.ExplainWorkloadRequest,
        answer=pb.ExplainWorkloadResponse,
        errors=(NotFoundError,),
    )
    async def explain(self, call: MethodCall[pb.ExplainWorkloadRequest]) -> pb.ExplainWorkloadResponse:
        """All reasons."""
        found = await self._workloads.explain(call.identity, workload_id_of(call))
        answer = pb.ExplainWorkloadResponse(
            workload_id=found.workload.workload_id,
            status=status_message(found.workload.status),
            version=found.workload.version,
            smallest_change=found.smallest_change or "",
        )
        put_time(answer.explained_at, found.workload.db_now)
        for reason in found.reasons:
            said = answer.reasons.add(code=reason.code, message=reason.message)
            put_details(msgspec.json.encode(reason.details), said.details)
        half, late = found.completion
        if half is not None or late is not None:
            put_time(answer.estimated_completion.p50, half)
            put_time(answer.estimated_completion.p90, late)
        if (prospect := found.prospect) is not None:
            answer.position.ahead, answer.position.is_bounded = prospect.ahead, prospect.is_bounded
            if prospect.half is not None:
                put_time(answer.estimated_start.p50, prospect.half)
                put_time(answer.estimated_start.p90, prospect.late)
            if (accuracy := prospect.accuracy) is not None:
                answer.accuracy.samples = accuracy.samples
                answer.accuracy.p50, answer.accuracy.p90 = round(accuracy.median, 3), round(accuracy.late, 3)
        return answer
