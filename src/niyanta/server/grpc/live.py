"""StreamWorkloadEvents and StreamAllEvents: live feeds, told as messages."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from niyanta.errors import RateLimitedError, ServiceUnavailableError
from niyanta.server.grpc.messages import status_message
from niyanta.server.grpc.methods import Method, MethodCall
from niyanta.server.watching.events import (
    CustomerEvent,
    FeedEvent,
    FleetEvent,
    MissedEvent,
    ReadyEvent,
    WorkloadEvent,
    events_in,
)
from niyanta.server.watching.live import LiveFeeds
from niyanta.wire.v1 import admin_service_pb2
from niyanta.wire.v1 import workload_service_pb2 as pb

__all__ = ["LiveMethods"]

_REASON = "MISSED_REASON_"


class LiveMethods:
    """Open a live feed; who is too slow, and how many may be open, is as over REST."""

    def __init__(self, live: LiveFeeds) -> None:
        self._live = live

    @Method(
        name="StreamWorkloadEvents",
        request=pb.StreamWorkloadEventsRequest,
        answer=pb.LiveEvent,
        errors=(RateLimitedError, ServiceUnavailableError),
    )
    async def own(self, call: MethodCall[pb.StreamWorkloadEventsRequest]) -> AsyncGenerator[pb.LiveEvent, None]:
        """What happens to the customer's workloads."""
        async with contextlib.aclosing(self._told(call, everybody=False)) as events:
            async for event in events:
                yield event

    @Method(
        name="StreamAllEvents",
        request=admin_service_pb2.StreamAllEventsRequest,
        answer=pb.LiveEvent,
        admin=True,
        errors=(RateLimitedError, ServiceUnavailableError),
    )
    async def all(
        self, call: MethodCall[admin_service_pb2.StreamAllEventsRequest]
    ) -> AsyncGenerator[pb.LiveEvent, None]:
        """What happens to all workloads, workers and customers."""
        async with contextlib.aclosing(self._told(call, everybody=True)) as events:
            async for event in events:
                yield event

    async def _told(
        self,
        call: MethodCall[pb.StreamWorkloadEventsRequest] | MethodCall[admin_service_pb2.StreamAllEventsRequest],
        *,
        everybody: bool,
    ) -> AsyncGenerator[pb.LiveEvent, None]:
        authorization = call.metadata.get("authorization") or ""  # the frame has found it good
        last_id = call.request.last_event_id or None
        watch = self._live.open(call.identity, authorization, last_id, everybody=everybody)
        try:
            async for text in watch:
                for identifier, event in events_in(text):
                    yield _message(identifier, event)
        finally:
            self._live.leave(watch)


def _message(identifier: str, event: FeedEvent) -> pb.LiveEvent:
    found = pb.LiveEvent(id=identifier)
    match event:
        case WorkloadEvent():
            _put_workload(event, found.workload)
        case ReadyEvent():
            found.ready.MergeFrom(pb.FeedReady(resumed=event.resumed))
        case MissedEvent():
            found.missed.MergeFrom(pb.EventsMissed(reason=_REASON + event.reason.upper()))
        case FleetEvent():
            found.fleet.SetInParent()
        case CustomerEvent():
            found.customer.customer_id = event.customer_id
    return found


def _put_workload(event: WorkloadEvent, into: pb.WorkloadEvent) -> None:
    into.MergeFrom(
        pb.WorkloadEvent(
            workload_id=event.workload_id,
            customer_id=event.customer_id,
            workload_type=event.workload_type,
            status=status_message(event.status),
            version=event.version,
            progress_percent=event.progress_percent,
            generation=event.generation,
            worker_id=event.worker_id or "",
            message=event.message or "",
        )
    )
    into.timestamp.FromJsonString(event.timestamp)
