"""ListFailures: what has failed, by what the errors have in common."""

from __future__ import annotations

from niyanta.domain.fingerprints import pattern_of
from niyanta.domain.limits import DEFAULT_PAGE, MAX_PAGE, MAX_TYPE_LENGTH
from niyanta.server.grpc.fields import choice, text, whole
from niyanta.server.grpc.methods import Method, MethodCall
from niyanta.server.grpc.values import moment_or_none, put_time
from niyanta.server.services.failures import FailureService
from niyanta.server.store.failures import FAILURE_ORDERS, FailureQuery
from niyanta.wire.v1 import workload_service_pb2 as pb

__all__ = ["FailureMethods"]


class FailureMethods:
    """List failures."""

    def __init__(self, failures: FailureService) -> None:
        self._failures = failures

    @Method(name="ListFailures", request=pb.ListFailuresRequest, answer=pb.ListFailuresResponse)
    async def list(self, call: MethodCall[pb.ListFailuresRequest]) -> pb.ListFailuresResponse:
        """The last first, or the most frequent."""
        request = call.request
        found, has_more = await self._failures.list(
            FailureQuery(
                call.identity.customer_id,
                since=moment_or_none(request, "since"),
                until=moment_or_none(request, "until"),
                workload_type=text("workload_type", request.workload_type, MAX_TYPE_LENGTH),
                order_by=choice("order_by", request.order_by, FAILURE_ORDERS) or FAILURE_ORDERS[0],
                limit=whole("limit", request.limit or DEFAULT_PAGE, 1, MAX_PAGE),
            )
        )
        answer = pb.ListFailuresResponse(has_more=has_more)
        for failure in found:
            message = answer.failures.add(
                fingerprint=failure.fingerprint,
                message=failure.message,
                pattern=pattern_of(failure.message),
                count=failure.failed,
                workload_types=failure.workload_types,
                workload_ids=failure.workload_ids,
            )
            put_time(message.first_seen_at, failure.first_at)
            put_time(message.last_seen_at, failure.last_at)
            put_time(answer.counted_since, failure.counted_since)
        return answer
