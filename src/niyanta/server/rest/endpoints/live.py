"""Live feeds: all of a customer's workloads, or everybody's, as server-sent events."""

from __future__ import annotations

from starlette.responses import Response

from niyanta.errors import RateLimitedError
from niyanta.server.rest.frame.credentials import authorization_of
from niyanta.server.rest.frame.event_stream import EVENT_STREAM, EventStream
from niyanta.server.rest.frame.operation import Access, Call, Operation
from niyanta.server.watching.live import LiveFeeds

__all__ = ["LiveRoutes"]

_DESCRIPTION = """\
Server-sent events, until one side ends the connection. Each has an `id`, an `event` and, as `data`, a JSON object
whose `type` is the event's name:

- `ready` opens the feed: what is committed from now on is told. `resumed` says whether it goes on behind
  `Last-Event-ID`.
- `workload`: one was submitted, moved, or reported progress, and is like this now: `workload_id`, `customer_id`,
  `workload_type`, `status`, `version`, `progress_percent`, `generation`, `worker_id`, `message`, `timestamp`.
- `missed`: some events may be missing, so read the list again. Its `reason` is `unknown_id` (what followed
  `Last-Event-ID` isn't kept here), `too_slow` (more waited for you than is kept) or `lost` (what another coordinator
  committed may not have been told here).
%s
Open the feed first and read the list after `ready`; then nothing is left out. Of two events of a workload the one
with the higher `version` is the newer, in whichever order they come; what is committed together is told as one event.
`timestamp` is when this coordinator heard of it. A comment comes every 15 seconds when nothing else does. The feed
ends when its credentials do, and when the coordinator stops.
"""
_MORE = """\
- `fleet`: workers came, went or were drained.
- `customer`: the customer `customer_id`, its limits or its keys changed.
"""


class LiveRoutes:
    """Open a live feed."""

    def __init__(self, live: LiveFeeds) -> None:
        self._live = live

    @Operation(
        method="GET",
        path="/v1/workloads/events",
        operation_id="streamWorkloadEvents",
        summary="Follow all your workloads live",
        description=_DESCRIPTION % "",
        tag="Workloads",
        media_type=EVENT_STREAM,
        request_headers=("Last-Event-ID",),
        errors=(RateLimitedError,),
    )
    async def own(self, call: Call) -> Response:
        """What happens to the customer's workloads."""
        return self._open(call, everybody=False)

    @Operation(
        method="GET",
        path="/v1/admin/events",
        operation_id="streamAllEvents",
        summary="Follow everybody's workloads and the fleet live",
        description=_DESCRIPTION % _MORE,
        tag="Admin",
        access=Access.ADMIN,
        media_type=EVENT_STREAM,
        request_headers=("Last-Event-ID",),
        errors=(RateLimitedError,),
    )
    async def all(self, call: Call) -> Response:
        """What happens to all workloads, workers and customers."""
        return self._open(call, everybody=True)

    def _open(self, call: Call, *, everybody: bool) -> Response:
        authorization = authorization_of(call.request) or ""  # the frame has found it good
        last_id = call.request.headers.get("last-event-id")
        watch = self._live.open(call.identity, authorization, last_id, everybody=everybody)
        return EventStream(watch, self._live.leave)
