"""The methods of ``niyanta.v1.AdminService``: what REST's ``/v1/admin/workers`` does, over the same service."""

from __future__ import annotations

from niyanta.domain.limits import DEFAULT_PAGE, MAX_CURSOR_LENGTH, MAX_OFFSET, MAX_PAGE
from niyanta.errors import InvalidInputError, NotFoundError
from niyanta.server.fleet.registration import WorkerService
from niyanta.server.grpc.draining import MODE_PREFIX, STATUS_PREFIX, operator
from niyanta.server.grpc.fields import text, whole
from niyanta.server.grpc.methods import Method, MethodCall, worker_id_of
from niyanta.server.grpc.values import put_time
from niyanta.server.services.cursors import Cursors, refuse_both
from niyanta.server.store.workers import ListedWorker
from niyanta.wire.v1 import admin_service_pb2 as pb

__all__ = ["WorkerMethods"]

_KIND = "STANDING_ORDER_KIND_"


class WorkerMethods:
    """List, read, undrain, remove.

    Args:
        workers: Knows the fleet.
        cursors: Makes and reads those of its list.
    """

    def __init__(self, workers: WorkerService, cursors: Cursors) -> None:
        self._workers = workers
        self._cursors = cursors

    @Method(name="ListWorkers", request=pb.ListWorkersRequest, answer=pb.ListWorkersResponse, admin=True)
    async def list(self, call: MethodCall[pb.ListWorkersRequest]) -> pb.ListWorkersResponse:
        """One page, by id."""
        request = call.request
        refuse_both(request.cursor, has_offset=bool(request.offset))
        status = _status_of(request.status)
        listed = ("workers", status or "")
        limit = whole("limit", request.limit or DEFAULT_PAGE, 1, MAX_PAGE)
        offset = whole("offset", request.offset, 0, MAX_OFFSET)
        cursor = text("cursor", request.cursor, MAX_CURSOR_LENGTH)
        after = None if cursor is None else self._cursors.read_id(cursor, *listed)
        found, total = await self._workers.page(status, limit + 1, skip=offset, after=after)
        answer = pb.ListWorkersResponse(workers=[_worker_message(worker) for worker in found[:limit]])
        pagination = answer.pagination
        pagination.has_more = len(found) > limit
        if pagination.has_more:
            pagination.next_cursor = self._cursors.after_id(found[limit - 1].worker.worker_id, *listed)
        if cursor is None:
            pagination.total, pagination.total_is_estimate = total, False
            pagination.limit, pagination.offset = limit, offset
        return answer

    @Method(
        name="GetWorker",
        request=pb.GetWorkerRequest,
        answer=pb.GetWorkerResponse,
        admin=True,
        errors=(NotFoundError,),
    )
    async def get(self, call: MethodCall[pb.GetWorkerRequest]) -> pb.GetWorkerResponse:
        """One of them."""
        return pb.GetWorkerResponse(worker=_worker_message(await self._workers.one(worker_id_of(call))))

    @Method(
        name="UndrainWorker",
        request=pb.UndrainWorkerRequest,
        answer=pb.UndrainWorkerResponse,
        admin=True,
        errors=(NotFoundError,),
    )
    async def undrain(self, call: MethodCall[pb.UndrainWorkerRequest]) -> pb.UndrainWorkerResponse:
        """The worker's status as it is now."""
        worker_id = worker_id_of(call)
        status = await self._workers.undrain(worker_id, operator(call.identity))
        return pb.UndrainWorkerResponse(worker_id=worker_id, status=STATUS_PREFIX + status)

    @Method(
        name="RemoveWorker",
        request=pb.RemoveWorkerRequest,
        answer=pb.RemoveWorkerResponse,
        admin=True,
        errors=(NotFoundError,),
    )
    async def remove(self, call: MethodCall[pb.RemoveWorkerRequest]) -> pb.RemoveWorkerResponse:
        """Answered once its workloads are on their way to others."""
        worker_id = worker_id_of(call)
        await self._workers.remove(worker_id, operator(call.identity))
        return pb.RemoveWorkerResponse(worker_id=worker_id)


def _status_of(number: int) -> str | None:
    """The status that a filter names; None when it names none."""
    if not number:
        return None
    if number not in pb.WorkerStatus.values():
        raise InvalidInputError(
            f"status: there is no status {number}",
            details={"field": "status", "allowed": pb.WorkerStatus.keys()[1:]},
        )
    return pb.WorkerStatus.Name(number).removeprefix(STATUS_PREFIX)


def _worker_message(listed: ListedWorker) -> pb.Worker:
    worker, order = listed.worker, listed.standing_order
    found = pb.Worker(
        worker_id=worker.worker_id,
        status=STATUS_PREFIX + worker.status,
        capabilities=[handler.workload_type for handler in worker.handlers],
        input_forms=worker.forms,
        capacity_total=worker.capacity,
        capacity_used=len(listed.workload_ids),
        tags=worker.tags,
        running_workloads=listed.workload_ids,
        version=worker.version,
        missing_walls=worker.missing_walls,
        customers=worker.customers,
    )
    put_time(found.last_heartbeat, worker.last_heartbeat)
    put_time(found.registered_at, listed.worker.registered_at)
    if order is not None:
        given = pb.StandingOrder(
            kind=_KIND + order.kind.upper(),
            given_by=order.given_by,
            mode=None if order.mode is None else MODE_PREFIX + order.mode.upper(),
        )
        put_time(given.given_at, order.given_at)
        found.standing_order.MergeFrom(given)
    return found
