"""The admin API for drains: give one, and see how far it has come."""

from __future__ import annotations

from starlette.responses import Response

from niyanta.domain.workers import DrainMode
from niyanta.domain.workload import Actor, ActorType
from niyanta.errors import NotFoundError
from niyanta.server.fleet.registration import WorkerService
from niyanta.server.rest.bodies import drains as bodies
from niyanta.server.rest.endpoints.paging import note
from niyanta.server.rest.frame.operation import Access, Call, Operation
from niyanta.server.rest.frame.responses import json_response, timestamp
from niyanta.server.services.draining import DrainReport, DrainReports, drain_mode

__all__ = ["DrainRoutes"]

_DRAIN = "/v1/admin/workers/{worker_id}/drain"


class DrainRoutes:
    """For keys with the admin role."""

    def __init__(self, workers: WorkerService, reports: DrainReports) -> None:
        self._workers = workers
        self._reports = reports

    @Operation(
        method="POST",
        path=_DRAIN,
        operation_id="drainWorker",
        summary="Give a worker nothing new, also after a restart; what it runs finishes, or moves",
        description="Holds for the worker's id until `undrain`. Given again, the last mode holds. The answer says "
        "what the worker has; ask with GET how far it has come.",
        tag="Admin",
        access=Access.ADMIN,
        body=bodies.DrainRequest,
        body_required=False,
        answer=bodies.DrainAnswer,
        errors=(NotFoundError,),
    )
    async def drain(self, call: Call) -> Response:
        """The worker gets nothing new."""
        worker_id = call.path_id("worker_id")
        mode = drain_mode(None if call.body is None else call.body.mode)
        await self._workers.drain(worker_id, Actor(ActorType.USER, call.identity.actor_id), mode)
        note("admin.worker_drained", call, mode=mode.value)
        return json_response(_body(await self._reports.of(worker_id)))

    @Operation(
        method="GET",
        path=_DRAIN,
        operation_id="getWorkerDrain",
        summary="How far a worker's drain has come: what became of each workload that it had",
        tag="Admin",
        access=Access.ADMIN,
        answer=bodies.DrainAnswer,
        errors=(NotFoundError,),
    )
    async def report(self, call: Call) -> Response:
        """As it is now."""
        return json_response(_body(await self._reports.of(call.path_id("worker_id"))))


def _body(report: DrainReport) -> bodies.DrainAnswer:
    worker, order = report.worker.worker, report.order
    return bodies.DrainAnswer(
        worker_id=worker.worker_id,
        status=worker.status,
        mode=order.mode or DrainMode.FINISH,
        given_by=order.given_by,
        given_at=timestamp(order.given_at),
        remaining=report.remaining,
        workloads=[
            bodies.DrainedWorkloadBody(
                customer_id=found.customer_id,
                workload_id=found.workload_id,
                workload_type=found.workload_type,
                attempt=found.generation,
                outcome=fate.outcome,
                reason=fate.reason,
                status=found.status,
                moved_to=found.moved_to,
                checkpoint_sequence=found.checkpoint_sequence or None,
                seconds_lost=round(fate.seconds_lost, 3),
            )
            for found, fate in report.found
        ],
    )
