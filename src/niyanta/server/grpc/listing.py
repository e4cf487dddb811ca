"""ListWorkloads: one page, as REST gives it."""

from __future__ import annotations

from dataclasses import replace

from niyanta.domain.limits import (
    DEFAULT_PAGE,
    MAX_CURSOR_LENGTH,
    MAX_FINGERPRINT_LENGTH,
    MAX_ID_LENGTH,
    MAX_OFFSET,
    MAX_PAGE,
    MAX_TYPE_LENGTH,
)
from niyanta.server.grpc.fields import choice, text, whole
from niyanta.server.grpc.messages import status_of, workload_summary_message
from niyanta.server.grpc.methods import Method, MethodCall
from niyanta.server.grpc.values import moment_or_none, put_time
from niyanta.server.services.cursors import Cursors, refuse_both
from niyanta.server.services.matching import narrowed
from niyanta.server.services.requests import check_labels
from niyanta.server.services.workloads import WorkloadService
from niyanta.server.store.list_query import ORDERS, ListQuery
from niyanta.wire.v1 import workload_service_pb2 as pb

__all__ = ["ListMethods"]


class ListMethods:
    """Lists of workloads."""

    def __init__(self, workloads: WorkloadService, cursors: Cursors) -> None:
        self._workloads = workloads
        self._cursors = cursors

    @Method(
        name="ListWorkloads",
        request=pb.ListWorkloadsRequest,
        answer=pb.ListWorkloadsResponse,
    )
    async def list(self, call: MethodCall[pb.ListWorkloadsRequest]) -> pb.ListWorkloadsResponse:
        """One page."""
        query = self._query(call)
        page, total = await self._workloads.list_page(query)
        answer = pb.ListWorkloadsResponse(workloads=[workload_summary_message(summary) for summary in page.workloads])
        answer.pagination.has_more = page.next is not None
        if page.next is not None:
            answer.pagination.next_cursor = self._cursors.after_place(query, page.next)
        put_time(answer.pagination.reached_at, page.reached_at(query))
        if total is not None:
            answer.pagination.total = total.count
            answer.pagination.total_is_estimate = not total.is_exact
            answer.pagination.limit, answer.pagination.offset = query.limit, query.offset
        return answer

    def _query(self, call: MethodCall[pb.ListWorkloadsRequest]) -> ListQuery:
        request = call.request
        refuse_both(request.cursor, has_offset=bool(request.offset))
        query = ListQuery(
            customer_id=call.identity.customer_id,
            status=status_of(request.status),
            workload_type=text("workload_type", request.workload_type, MAX_TYPE_LENGTH),
            order_by=choice("order_by", request.order_by, ORDERS) or "created_at",
            descending=choice("order", request.order, ("asc", "desc")) != "asc",
            limit=whole("limit", request.limit or DEFAULT_PAGE, 1, MAX_PAGE),
            offset=whole("offset", request.offset, 0, MAX_OFFSET),
        )
        check_labels("labels", request.labels)
        query = narrowed(
            query,
            labels=request.labels.items(),
            created_after=moment_or_none(request, "created_after"),
            created_before=moment_or_none(request, "created_before"),
            fingerprint=text("fingerprint", request.fingerprint, MAX_FINGERPRINT_LENGTH),
            prefix=text("q", request.q, MAX_ID_LENGTH) or "",
        )
        cursor = text("cursor", request.cursor, MAX_CURSOR_LENGTH)
        return query if cursor is None else replace(query, after=self._cursors.read_place(cursor, query))
