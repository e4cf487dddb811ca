"""The logs of workloads: pages as JSON, or all of it as text."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import msgspec
from starlette.responses import Response, StreamingResponse

from niyanta.domain.limits import DEFAULT_LINES, MAX_LINES, MAX_SEARCH_LENGTH, MAX_SEARCHED_LINES
from niyanta.domain.records import LogLevel
from niyanta.errors import NotFoundError
from niyanta.server.rest.bodies import workloads as bodies
from niyanta.server.rest.endpoints.paging import CURSOR
from niyanta.server.rest.frame.operation import Call, Operation
from niyanta.server.rest.frame.parameters import Choice, Integer, Moment, Text
from niyanta.server.rest.frame.responses import json_response, timestamp
from niyanta.server.services.logs import LogPage, LogRequest, LogService
from niyanta.server.services.workloads import WorkloadService
from niyanta.server.store.logs import StoredLine

__all__ = ["LogRoutes"]

LIMIT = Integer("limit", "Log lines per page; as text, in all.", 1, MAX_LINES, DEFAULT_LINES)
SINCE = Moment("since", "Only lines after this time.")
UNTIL = Moment("until", "Only lines up to this time.")
LEVEL = Choice("level", "Only lines of this level or a higher one.", tuple(LogLevel))
ORDER = Choice("order", "Oldest first, or newest first.", ("asc", "desc"), "asc")
TAIL = Integer(
    "tail",
    "The last so many lines, oldest first; next_cursor leads to the ones before them. In place of limit and order.",
    1,
    MAX_LINES,
)
Q = Text(
    "q",
    "Only lines whose message has this in it, in whatever case. A page looks at "
    f"{MAX_SEARCHED_LINES:,} lines at the most, so it may have few or none although next_cursor leads on.",
    MAX_SEARCH_LENGTH,
)

_TEXT = "text/plain"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What could move a terminal's cursor or change its colours; a tab may stay."""


class LogRoutes:
    """Reading logs."""

    def __init__(self, logs: LogService, workloads: WorkloadService) -> None:
        self._logs = logs
        self._workloads = workloads

    async def _exists(self, call: Call) -> None:
        await self._workloads.get(call.identity, call.path_id("workload_id"))

    @Operation(
        method="GET",
        path="/v1/workloads/{workload_id}/logs",
        operation_id="getWorkloadLogs",
        summary="Read a workload's log",
        tag="Workloads",
        query=(LIMIT, SINCE, UNTIL, LEVEL, Q, ORDER, TAIL, CURSOR),
        answer=bodies.LogsAnswer,
        other_media_types=(_TEXT,),
        errors=(NotFoundError,),
        exists=_exists,
    )
    async def logs(self, call: Call) -> Response:
        """A page as JSON; as text everything that was asked for, however many lines that are."""
        workload_id = call.path_id("workload_id")
        request = LogRequest(
            since=SINCE.read(call.request),
            until=UNTIL.read(call.request),
            level=LEVEL.read(call.request),
            order=ORDER.read(call.request) if ORDER.text(call.request) is not None else None,
            limit=LIMIT.read(call.request) if LIMIT.text(call.request) is not None else None,
            tail=TAIL.read(call.request),
            cursor=CURSOR.read(call.request),
            q=Q.read(call.request),
        )
        if call.media_type == _TEXT:
            pages = self._logs.pages(call.identity, workload_id, request)
            first = await anext(pages)
            headers = {"Content-Disposition": f'attachment; filename="{workload_id}.log"'}
            return StreamingResponse(_text(first, pages), headers=headers, media_type=_TEXT)
        page = await self._logs.page(call.identity, workload_id, request)
        pagination = bodies.Pagination(has_more=page.has_more, next_cursor=page.next_cursor)
        if page.total is not None:
            pagination.total, pagination.total_is_estimate = page.total, page.total_is_estimate
        return json_response(
            bodies.LogsAnswer(
                workload_id=workload_id,
                logs=[_line(line) for line in page.lines],
                has_more=page.has_more,
                pagination=pagination,
            )
        )


def _line(line: StoredLine) -> bodies.LogLine:
    return bodies.LogLine(
        timestamp=timestamp(line.place.logged_at),
        level=line.level,
        message=line.message,
        details=msgspec.Raw(line.details_json.encode()),
        attempt=line.place.generation,
        sequence=line.place.sequence,
    )


async def _text(first: LogPage, rest: AsyncIterator[LogPage]) -> AsyncIterator[bytes]:
    yield _page_text(first)
    async for page in rest:
        yield _page_text(page)


def _page_text(page: LogPage) -> bytes:
    return "".join(_line_text(line) for line in page.lines).encode()


def _line_text(line: StoredLine) -> str:
    """Time, level, message and, where there are any, details.

    What follows a line break inside a message is indented, so that a message can't pass for two.
    """
    details = "" if line.details_json == "{}" else f" {line.details_json}"
    said = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", line.message.replace("\r\n", "\n") + details)
    indented = said.replace("\n", "\n    ")
    return f"{timestamp(line.place.logged_at)} {line.level:<5} {indented}\n"
