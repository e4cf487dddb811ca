"""DrainWorker and GetWorkerDrain: a drain given, and how far it has come."""

from __future__ import annotations

from niyanta.domain.workers import DrainMode
from niyanta.domain.workload import Actor, ActorType
from niyanta.errors import InvalidInputError, NotFoundError
from niyanta.server.fleet.registration import WorkerService
from niyanta.server.grpc.messages import status_message
from niyanta.server.grpc.methods import Method, MethodCall, worker_id_of
from niyanta.server.grpc.values import put_time
from niyanta.server.services.draining import DrainReport, DrainReports
from niyanta.server.store.customers import Identity
from niyanta.wire.v1 import admin_service_pb2 as pb

__all__ = ["MODE_PREFIX", "STATUS_PREFIX", "DrainMethods", "operator"]

STATUS_PREFIX = "WORKER_STATUS_"
MODE_PREFIX = "DRAIN_MODE_"
_OUTCOME = "DRAIN_OUTCOME_"


class DrainMethods:
    """Drain, and report.

    Args:
        workers: Knows the fleet.
        reports: Says what became of what a worker had.
    """

    def __init__(self, workers: WorkerService, reports: DrainReports) -> None:
        self._workers = workers
        self._reports = reports

    @Method(
        name="DrainWorker",
        request=pb.DrainWorkerRequest,
        answer=pb.DrainWorkerResponse,
        admin=True,
        errors=(NotFoundError,),
    )
    async def drain(self, call: MethodCall[pb.DrainWorkerRequest]) -> pb.DrainWorkerResponse:
        """The worker gets nothing new."""
        worker_id = worker_id_of(call)
        await self._workers.drain(worker_id, operator(call.identity), _mode_of(call.request.mode))
        drain = _drain_message(await self._reports.of(worker_id))
        return pb.DrainWorkerResponse(worker_id=worker_id, status=pb.WORKER_STATUS_DRAINING, drain=drain)

    @Method(
        name="GetWorkerDrain",
        request=pb.GetWorkerDrainRequest,
        answer=pb.GetWorkerDrainResponse,
        admin=True,
        errors=(NotFoundError,),
    )
    async def report(self, call: MethodCall[pb.GetWorkerDrainRequest]) -> pb.GetWorkerDrainResponse:
        """As it is now."""
        return pb.GetWorkerDrainResponse(drain=_drain_message(await self._reports.of(worker_id_of(call))))


def operator(identity: Identity) -> Actor:
    """Who gives an order."""
    return Actor(ActorType.USER, identity.actor_id)


def _mode_of(number: int) -> DrainMode:
    """The mode that a request names; to finish when it names none."""
    if not number:
        return DrainMode.FINISH
    if number not in pb.DrainMode.values():
        raise InvalidInputError(
            f"mode: there is no mode {number}", details={"field": "mode", "allowed": pb.DrainMode.keys()[1:]}
        )
    return DrainMode(pb.DrainMode.Name(number).removeprefix(MODE_PREFIX).lower())


def _drain_message(report: DrainReport) -> pb.WorkerDrain:
    worker, order = report.worker.worker, report.order
    found = pb.WorkerDrain(
        worker_id=worker.worker_id,
        status=STATUS_PREFIX + worker.status,
        mode=MODE_PREFIX + (order.mode or DrainMode.FINISH).upper(),
        given_by=order.given_by,
        remaining=report.remaining,
    )
    put_time(found.given_at, order.given_at)
    for drained, fate in report.found:
        found.workloads.add(
            customer_id=drained.customer_id,
            workload_id=drained.workload_id,
            workload_type=drained.workload_type,
            attempt=drained.generation,
            outcome=_OUTCOME + fate.outcome.upper(),
            reason=fate.reason or "",
            status=status_message(drained.status),
            moved_to=drained.moved_to or "",
            checkpoint_sequence=drained.checkpoint_sequence,
            seconds_lost=round(fate.seconds_lost, 3),
        )
    return found
