"""GetWorkloadLogs: one page, as REST gives it."""

from __future__ import annotations

from typing import Any

from niyanta.domain.limits import MAX_CURSOR_LENGTH, MAX_LINES, MAX_SEARCH_LENGTH
from niyanta.domain.records import LogLevel
from niyanta.errors import InvalidInputError, NotFoundError
from niyanta.server.grpc.fields import choice, text, whole
from niyanta.server.grpc.methods import Method, MethodCall, workload_id_of
from niyanta.server.grpc.values import aside, moment_of, put_details, put_time
from niyanta.server.services.logs import LogPage, LogRequest, LogService
from niyanta.server.services.workloads import WorkloadService
from niyanta.server.store.logs import StoredLine
from niyanta.wire.v1 import workload_service_pb2 as pb

__all__ = ["LogMethods"]

_PREFIX = "LOG_LEVEL_"
_NUMBERS: dict[str, Any] = {level: pb.LogLevel.Value(_PREFIX + level) for level in LogLevel}
_LEVELS: dict[int, str] = {number: level for level, number in _NUMBERS.items()}


class LogMethods:
    """Reading logs."""

    def __init__(self, logs: LogService, workloads: WorkloadService) -> None:
        self._logs = logs
        self._workloads = workloads

    async def _exists(self, call: MethodCall[Any]) -> None:
        await self._workloads.get(call.identity, workload_id_of(call))

    @Method(
        name="GetWorkloadLogs",
        request=pb.GetWorkloadLogsRequest,
        answer=pb.GetWorkloadLogsResponse,
        errors=(NotFoundError,),
        exists=_exists,
    )
    async def logs(self, call: MethodCall[pb.GetWorkloadLogsRequest]) -> pb.GetWorkloadLogsResponse:
        """One page."""
        page = await self._logs.page(call.identity, workload_id_of(call), _request_of(call.request))
        size = sum(len(line.message) + len(line.details_json) for line in page.lines)
        return await aside(size, _answer, page)


def _request_of(request: pb.GetWorkloadLogsRequest) -> LogRequest:
    return LogRequest(
        since=moment_of(request.since, "since") if request.HasField("since") else None,
        until=moment_of(request.until, "until") if request.HasField("until") else None,
        level=_level_of(request.level),
        order=choice("order", request.order, ("asc", "desc")),
        limit=whole("limit", request.limit, 1, MAX_LINES) if request.limit else None,
        tail=whole("tail", request.tail, 1, MAX_LINES) if request.tail else None,
        cursor=text("cursor", request.cursor, MAX_CURSOR_LENGTH),
        q=text("q", request.q, MAX_SEARCH_LENGTH),
    )


def _level_of(number: int) -> str | None:
    if number and number not in _LEVELS:
        raise InvalidInputError(
            f"level: there is no level {number}",
            details={"field": "level", "allowed": [_PREFIX + level for level in LogLevel]},
        )
    return _LEVELS.get(number)


def _answer(page: LogPage) -> pb.GetWorkloadLogsResponse:
    answer = pb.GetWorkloadLogsResponse(logs=[_line(line) for line in page.lines])
    answer.pagination.has_more = page.has_more
    answer.pagination.next_cursor = page.next_cursor or ""
    if page.total is not None:
        answer.pagination.total, answer.pagination.total_is_estimate = page.total, page.total_is_estimate
    return answer


def _line(line: StoredLine) -> pb.LogLine:
    found = pb.LogLine(
        level=_NUMBERS[line.level],
        message=line.message,
        attempt=line.place.generation,
        sequence=line.place.sequence,
    )
    put_time(found.timestamp, line.place.logged_at)
    put_details(line.details_json, found.details)
    return found
