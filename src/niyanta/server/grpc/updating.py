"""UpdateWorkload: what a workload was submitted with, changed while it waits."""

from __future__ import annotations

from typing import Any

from niyanta.domain.customers import Scope
from niyanta.errors import ConflictError, InvalidStateError, NotFoundError
from niyanta.server.grpc.messages import affinity_of, checked, workload_message
from niyanta.server.grpc.methods import Method, MethodCall, workload_id_of
from niyanta.server.grpc.values import aside
from niyanta.server.services.updating import UpdateRequest, UpdateService
from niyanta.server.services.workloads import WorkloadService
from niyanta.wire.strict_json import StrictDecoder
from niyanta.wire.v1 import workload_service_pb2 as pb

__all__ = ["UpdateMethods"]


class UpdateMethods:
    """Change.

    Args:
        updates: Changes workloads.
        workloads: Reads them.
        max_body_bytes: As REST's body, a request's JSON may not be larger.
    """

    def __init__(self, updates: UpdateService, workloads: WorkloadService, max_body_bytes: int) -> None:
        self._updates = updates
        self._workloads = workloads
        self._max_body_bytes = max_body_bytes
        self._decoder = StrictDecoder(UpdateRequest)

    async def _exists(self, call: MethodCall[Any]) -> None:
        await self._workloads.get(call.identity, workload_id_of(call))

    @Method(
        name="UpdateWorkload",
        scope=Scope.WORKLOADS_WRITE,
        request=pb.UpdateWorkloadRequest,
        answer=pb.UpdateWorkloadResponse,
        errors=(ConflictError, InvalidStateError, NotFoundError),
        exists=_exists,
    )
    async def update(self, call: MethodCall[pb.UpdateWorkloadRequest]) -> pb.UpdateWorkloadResponse:
        """The whole workload as it is now."""
        request = call.request
        given: dict[str, Any] = {}
        if request.HasField("priority"):
            given["priority"] = request.priority
        if request.HasField("timeout_seconds"):
            given["timeout_seconds"] = request.timeout_seconds or None
        if request.HasField("affinity_rules"):
            given["affinity_rules"] = affinity_of(request.affinity_rules) or None
        if request.HasField("labels"):
            given["labels"] = dict(request.labels.entries) or None
        if request.version:
            given["version"] = request.version
        wanted = checked(self._decoder, given, self._max_body_bytes)
        changed = await self._updates.update(call.identity, workload_id_of(call), wanted)
        outlook = await self._workloads.outlook(changed)
        size = len(changed.input_params) + len(changed.result_json or "")
        return pb.UpdateWorkloadResponse(workload=await aside(size, workload_message, changed, outlook))
