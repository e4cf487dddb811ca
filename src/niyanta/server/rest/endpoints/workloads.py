"""A customer's workloads: submit, read, list, steer, and what happened."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from niyanta.domain.limits import (
    DEFAULT_PAGE,
    MAX_FINGERPRINT_LENGTH,
    MAX_ID_LENGTH,
    MAX_LONG_PAGE,
    MAX_PAGE,
    MAX_TYPE_LENGTH,
    MAX_VERSION,
    MAX_WAIT_SECONDS,
)
from niyanta.domain.workload import Status
from niyanta.errors import (
    ConflictError,
    InvalidStateError,
    NotFoundError,
    ServiceUnavailableError,
)
from niyanta.server.rest.bodies import workloads as bodies
from niyanta.server.rest.endpoints.paging import CURSOR, OFFSET, page_cursor
from niyanta.server.rest.frame.operation import Call, Operation
from niyanta.server.rest.frame.parameters import Choice, Integer, LabelFilter, Moment, Text
from niyanta.server.rest.frame.responses import json_response, number, timestamp
from niyanta.server.services.checkpoints import CheckpointCatalog, ResumeRequest
from niyanta.server.services.cursors import Cursors
from niyanta.server.services.matching import narrowed
from niyanta.server.services.pausing import PauseService
from niyanta.server.services.submission import SubmissionService, SubmitRequest, check_idempotency_key
from niyanta.server.services.workloads import Outlook, WorkloadService
from niyanta.server.store.list_query import ORDERS, ListQuery
from niyanta.server.store.listing import WorkloadSummary
from niyanta.server.store.stored_workload import StoredWorkload

__all__ = ["WorkloadRoutes", "idempotency_key"]

_ONE = "/v1/workloads/{workload_id}"
_TAG = "Workloads"

LIMIT = Integer("limit", "Results per page.", 1, MAX_PAGE, DEFAULT_PAGE)
AUDIT_LIMIT = Integer("limit", "Events per page.", 1, MAX_LONG_PAGE, MAX_LONG_PAGE)
STATUS = Choice("status", "Only workloads in this status.", tuple(status.value for status in Status))
WORKLOAD_TYPE = Text("workload_type", "Only workloads of this type.", MAX_TYPE_LENGTH)
LABEL = LabelFilter("label", "Only workloads with this label, as key:value; given several times, with all of them.")
FINGERPRINT = Text(
    "fingerprint", "Only workloads that FAILED with errors of this fingerprint.", MAX_FINGERPRINT_LENGTH
)
CREATED_AFTER = Moment("created_after", "Only workloads created after this time.")
CREATED_BEFORE = Moment("created_before", "Only workloads created before this time.")
Q = Text("q", "Only workloads whose ids begin so.", MAX_ID_LENGTH)
ORDER_BY = Choice("order_by", "What to sort by; ties by id, nulls last.", ORDERS, "created_at")
ORDER = Choice("order", "Sort direction.", ("asc", "desc"), "desc")
WAIT = Integer("wait_seconds", "Answer when the version changes, or after this long.", 0, MAX_WAIT_SECONDS, 0)
VERSION = Integer("version", "With wait_seconds: answer when the version passes this one.", 0, MAX_VERSION)


class WorkloadRoutes:
    """Submit, read, list, cancel, pause, resume, audit."""

    def __init__(
        self,
        submissions: SubmissionService,
        workloads: WorkloadService,
        pausing: PauseService,
        checkpoints: CheckpointCatalog,
        cursors: Cursors,
    ) -> None:
        self._checkpoints = checkpoints
        self._submissions = submissions
        self._workloads = workloads
        self._pausing = pausing
        self._cursors = cursors

    async def _exists(self, call: Call) -> None:
        await self._workloads.get(call.identity, call.path_id("workload_id"))

    @Operation(
        method="POST",
        path="/v1/workloads",
        operation_id="submitWorkload",
        summary="Submit a workload",
        tag=_TAG,
        body=SubmitRequest,
        answer=bodies.SubmitAnswer,
        status=202,
        headers=("Location", "Idempotent-Replayed"),
        request_headers=("Idempotency-Key", "traceparent"),
        errors=(ConflictError, ServiceUnavailableError),
    )
    async def submit(self, call: Call) -> Response:
        """202 once it is stored."""
        done = await self._submissions.submit(call.identity, call.body, idempotency_key(call.request))
        headers = {"Location": f"/v1/workloads/{done.workload_id}"}
        if done.replayed:
            headers["Idempotent-Replayed"] = "true"
        answer = bodies.SubmitAnswer(
            done.workload_id,
            Status.PENDING.value,
            timestamp(done.created_at),
            timestamp(done.estimated_start_at),
            1,
        )
        return json_response(answer, 202, headers)

    @Operation(
        method="GET",
        path=_ONE,
        operation_id="getWorkload",
        summary="Get one workload",
        tag=_TAG,
        query=(WAIT, VERSION),
        answer=bodies.Workload,
        errors=(NotFoundError,),
        exists=_exists,
    )
    async def get(self, call: Call) -> Response:
        """One, whole; with wait_seconds once it has changed."""
        workload_id = call.path_id("workload_id")
        if wait := WAIT.read(call.request):
            version = VERSION.read(call.request)
            workload = await self._workloads.wait(call.identity, workload_id, wait, version)
        else:
            workload = await self._workloads.get(call.identity, workload_id)
        return json_response(workload_body(workload, await self._workloads.outlook(workload)))

    @Operation(
        method="GET",
        path="/v1/workloads",
        operation_id="listWorkloads",
        summary="List workloads",
        tag=_TAG,
        description="A label, a fingerprint, a time or q goes with the order created_at, and the first two with a "
        "cursor, not an offset. A page by them may have fewer workloads than limit, or none, and go on all the same: "
        "has_more says so, and reached_at how far it looked.",
        query=(
            *(STATUS, WORKLOAD_TYPE, LABEL, FINGERPRINT, CREATED_AFTER, CREATED_BEFORE, Q),
            *(LIMIT, OFFSET, ORDER_BY, ORDER, CURSOR),
        ),
        answer=bodies.ListAnswer,
    )
    async def list(self, call: Call) -> Response:
        """One page."""
        query = self._list_query(call)
        page, total = await self._workloads.list_page(query)
        pagination = bodies.Pagination(has_more=page.next is not None)
        if page.next is not None:
            pagination.next_cursor = self._cursors.after_place(query, page.next)
        if (reached_at := page.reached_at(query)) is not None:
            pagination.reached_at = timestamp(reached_at)
        if total is not None:
            pagination.total, pagination.total_is_estimate = total.count, not total.is_exact
            pagination.limit, pagination.offset = query.limit, query.offset
        found = [workload_summary_body(workload) for workload in page.workloads]
        return json_response(bodies.ListAnswer(found, pagination))

    def _list_query(self, call: Call) -> ListQuery:
        request = call.request
        cursor = page_cursor(request)
        query = ListQuery(
            customer_id=call.identity.customer_id,
            status=STATUS.read(request),
            workload_type=WORKLOAD_TYPE.read(request),
            order_by=ORDER_BY.read(request) or "",
            descending=ORDER.read(request) == "desc",
            limit=LIMIT.read(request) or 0,
            offset=OFFSET.read(request) or 0,
        )
        query = narrowed(
            query,
            labels=LABEL.read(request),
            fingerprint=FINGERPRINT.read(request),
            created_after=CREATED_AFTER.read(request),
            created_before=CREATED_BEFORE.read(request),
            prefix=Q.read(request) or "",
        )
        return query if cursor is None else replace(query, after=self._cursors.read_place(cursor, query))

    @Operation(
        method="POST",
        path=_ONE + "/cancel",
        operation_id="cancelWorkload",
        summary="Cancel a workload",
        tag=_TAG,
        body=bodies.CancelRequest,
        body_required=False,
        answer=bodies.CancelAnswer,
        errors=(InvalidStateError, NotFoundError),
        exists=_exists,
    )
    async def cancel(self, call: Call) -> Response:
        """Ended for good."""
        workload_id = call.path_id("workload_id")
        reason = call.body.reason if call.body is not None else None
        state = (await self._workloads.cancel(call.identity, workload_id, reason)).state
        return json_response(
            bodies.CancelAnswer(workload_id, state.status.value, timestamp(state.completed_at), state.version)
        )

    @Operation(
        method="POST",
        path=_ONE + "/pause",
        operation_id="pauseWorkload",
        summary="Checkpoint and stop a running workload",
        tag=_TAG,
        body=bodies.NoFields,
        body_required=False,
        answer=bodies.PauseAnswer,
        errors=(InvalidStateError, NotFoundError, ServiceUnavailableError),
        exists=_exists,
    )
    async def pause(self, call: Call) -> Response:
        """Once its checkpoint is safe and its processes are gone."""
        workload_id = call.path_id("workload_id")
        workload = await self._pausing.pause(call.identity, workload_id)
        return json_response(
            bodies.PauseAnswer(
                workload_id,
                workload.status,
                timestamp(workload.paused_at),
                workload.checkpoint_sequence,
                workload.version,
            )
        )

    @Operation(
        method="POST",
        path=_ONE + "/resume",
        operation_id="resumeWorkload",
        summary="Go on from the last checkpoint, or from another",
        tag=_TAG,
        body=ResumeRequest,
        body_required=False,
        answer=bodies.ResumeAnswer,
        status=202,
        errors=(ConflictError, InvalidStateError, NotFoundError),
        exists=_exists,
    )
    async def resume(self, call: Call) -> Response:
        """Back in the queue."""
        workload_id = call.path_id("workload_id")
        asked = call.body.from_checkpoint if call.body is not None else None
        back_to = None
        if asked is not None:
            back_to = await self._checkpoints.startable(call.identity, workload_id, asked)
        state = (await self._workloads.resume(call.identity, workload_id, back_to)).state
        return json_response(
            bodies.ResumeAnswer(workload_id, state.status.value, state.checkpoint_sequence, state.version), 202
        )

    @Operation(
        method="GET",
        path=_ONE + "/audit",
        operation_id="getWorkloadAudit",
        summary="Read a workload's history",
        tag=_TAG,
        query=(AUDIT_LIMIT, CURSOR),
        answer=bodies.AuditAnswer,
        errors=(NotFoundError,),
        exists=_exists,
    )
    async def audit(self, call: Call) -> Response:
        """A page of the history."""
        workload_id = call.path_id("workload_id")
        limit = AUDIT_LIMIT.read(call.request) or 0
        listed = ("audit", call.identity.customer_id, workload_id)
        cursor = CURSOR.read(call.request)
        after = self._cursors.read_number(cursor, *listed) if cursor is not None else 0
        found, has_more = await self._workloads.audit(call.identity, workload_id, after=after, limit=limit)
        events = [
            bodies.AuditEvent(
                event_id=event.event_id,
                event_type=event.event_type,
                timestamp=timestamp(event.occurred_at),
                actor_type=event.actor_type,
                actor_id=event.actor_id,
                details=_raw(event.details_json),
            )
            for event in found
        ]
        pagination = bodies.Pagination(has_more=has_more)
        if has_more:
            pagination.next_cursor = self._cursors.after_number(events[-1].event_id, *listed)
        return json_response(bodies.AuditAnswer(workload_id, events, pagination))


def idempotency_key(request: Request) -> str | None:
    """The ``Idempotency-Key`` header, checked."""
    return check_idempotency_key(request.headers.get("idempotency-key"))


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def _raw_or_none(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else number(round(seconds, 3))


def workload_body(workload: StoredWorkload, outlook: Outlook) -> bodies.Workload:
    """One workload, whole."""
    status = workload.status
    body = bodies.Workload(
        workload_id=workload.workload_id,
        customer_id=workload.customer_id,
        workload_type=workload.workload_type,
        status=status,
        priority=workload.priority,
        progress_percent=workload.progress_percent,
        worker_id=workload.worker_id,
        input_params=_raw(workload.input_params),
        result_data=_raw_or_none(workload.result_json),
        error_message=workload.error_message,
        retry_count=workload.retry_count,
        created_at=timestamp(workload.created_at),
        scheduled_at=timestamp(workload.scheduled_at),
        started_at=timestamp(workload.started_at),
        completed_at=timestamp(workload.completed_at),
        estimated_start_time=timestamp(outlook.estimated_start_at),
        estimated_completion_time=timestamp(outlook.estimated_completion_at),
        version=workload.version,
        generation=workload.generation,
        checkpoint_sequence=workload.checkpoint_sequence,
        seconds_since_checkpoint=_rounded(outlook.seconds_since_checkpoint),
        timeout_seconds=workload.timeout_seconds,
        affinity_rules=_raw_or_none(workload.affinity_rules),
        pending_reason=outlook.pending_reason,
        progress_message=workload.progress_message,
        replayed_from=workload.replayed_from,
        forked_from=workload.forked_from,
        from_checkpoint=workload.from_checkpoint,
        labels=_raw(workload.labels or "{}"),
        error_fingerprint=workload.error_fingerprint,
    )
    if status is Status.PAUSED:
        body.paused_at = timestamp(workload.paused_at)
    if status is Status.CANCELLED:
        body.cancelled_at = timestamp(workload.completed_at)
    return body


def workload_summary_body(workload: WorkloadSummary) -> bodies.WorkloadRow:
    """One workload as lists show it."""
    return bodies.WorkloadRow(
        workload_id=workload.workload_id,
        workload_type=workload.workload_type,
        status=workload.status,
        priority=workload.priority,
        progress_percent=workload.progress_percent,
        worker_id=workload.worker_id,
        retry_count=workload.retry_count,
        created_at=timestamp(workload.created_at),
        started_at=timestamp(workload.started_at),
        completed_at=timestamp(workload.completed_at),
        version=workload.version,
        labels=_raw(workload.labels or "{}"),
    )
