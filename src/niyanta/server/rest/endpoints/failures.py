"""What has failed, by what the errors have in common."""

from __future__ import annotations

from starlette.responses import Response

from niyanta.domain.fingerprints import pattern_of
from niyanta.domain.limits import DEFAULT_PAGE, MAX_PAGE, MAX_TYPE_LENGTH
from niyanta.server.rest.bodies import failures as bodies
from niyanta.server.rest.frame.operation import Call, Operation
from niyanta.server.rest.frame.parameters import Choice, Integer, Moment, Text
from niyanta.server.rest.frame.responses import json_response, timestamp
from niyanta.server.services.failures import FailureService
from niyanta.server.store.failures import FAILURE_ORDERS, FailureQuery

__all__ = ["FailureRoutes"]

_LIMIT = Integer("limit", "Fingerprints at the most.", 1, MAX_PAGE, DEFAULT_PAGE)
_SINCE = Moment("since", "Only what failed in the hour of this time or later.")
_UNTIL = Moment("until", "Only what failed in the hour of this time or before.")
_TYPE = Text("workload_type", "Only workloads of this type.", MAX_TYPE_LENGTH)
_ORDER_BY = Choice("order_by", "The last seen first, or the most frequent.", FAILURE_ORDERS, FAILURE_ORDERS[0])


class FailureRoutes:
    """List failures."""

    def __init__(self, failures: FailureService) -> None:
        self._failures = failures

    @Operation(
        method="GET",
        path="/v1/failures",
        operation_id="listFailures",
        summary="List failures by what their errors have in common",
        description="Workloads that FAILED, those together whose errors are the same but for numbers, ids, paths and "
        "addresses. What failed before an upgrade to this release isn't counted.",
        tag="Workloads",
        query=(_SINCE, _UNTIL, _TYPE, _ORDER_BY, _LIMIT),
        answer=bodies.FailuresAnswer,
    )
    async def list(self, call: Call) -> Response:
        """The last first, or the most frequent."""
        request = call.request
        found, has_more = await self._failures.list(
            FailureQuery(
                call.identity.customer_id,
                since=_SINCE.read(request),
                until=_UNTIL.read(request),
                workload_type=_TYPE.read(request),
                order_by=_ORDER_BY.read(request) or "",
                limit=_LIMIT.read(request) or 0,
            )
        )
        failures = [
            bodies.FailureBody(
                fingerprint=failure.fingerprint,
                message=failure.message,
                pattern=pattern_of(failure.message),
                count=failure.failed,
                first_seen_at=timestamp(failure.first_at),
                last_seen_at=timestamp(failure.last_at),
                workload_types=failure.workload_types,
                workload_ids=failure.workload_ids,
            )
            for failure in found
        ]
        since = timestamp(found[0].counted_since) if found else None
        return json_response(bodies.FailuresAnswer(failures=failures, has_more=has_more, counted_since=since))
