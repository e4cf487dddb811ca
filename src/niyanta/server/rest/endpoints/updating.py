"""What a workload was submitted with, changed while it waits."""

from __future__ import annotations

from starlette.responses import Response

from niyanta.errors import ConflictError, InvalidStateError, NotFoundError
from niyanta.server.rest.bodies import workloads as bodies
from niyanta.server.rest.endpoints.workloads import workload_body
from niyanta.server.rest.frame.operation import Call, Operation
from niyanta.server.rest.frame.responses import json_response
from niyanta.server.services.updating import TERMS, UpdateRequest, UpdateService
from niyanta.server.services.workloads import WorkloadService

__all__ = ["UpdateRoutes"]


class UpdateRoutes:
    """Change."""

    def __init__(self, updates: UpdateService, workloads: WorkloadService) -> None:
        self._updates = updates
        self._workloads = workloads

    async def _exists(self, call: Call) -> None:
        await self._workloads.get(call.identity, call.path_id("workload_id"))

    @Operation(
        method="PATCH",
        path="/v1/workloads/{workload_id}",
        operation_id="updateWorkload",
        summary="Change a workload's priority, time-out, affinity or labels while it waits",
        description="Of one that waits for a worker or is PAUSED; in another state it is an INVALID_STATE, as a "
        "worker has it, or it has ended. With version it is a CONFLICT when the workload has another one by now. Its "
        "place among your own is as if it had had the priority from the start. The history says what was and who did "
        "it.",
        tag="Workloads",
        body=UpdateRequest,
        one_of_fields=TERMS,
        answer=bodies.Workload,
        errors=(ConflictError, InvalidStateError, NotFoundError),
        exists=_exists,
    )
    async def update(self, call: Call) -> Response:
        """The whole workload as it is now."""
        changed = await self._updates.update(call.identity, call.path_id("workload_id"), call.body)
        return json_response(workload_body(changed, await self._workloads.outlook(changed)))
