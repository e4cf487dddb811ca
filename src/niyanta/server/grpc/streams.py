"""StreamWorkloadStatus: a watch, told as messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator

from niyanta.errors import InvalidStateError, NotFoundError, RateLimitedError, ServiceUnavailableError
from niyanta.server.grpc.messages import status_message
from niyanta.server.grpc.methods import Method, MethodCall, workload_id_of
from niyanta.server.grpc.values import put_time, struct_of
from niyanta.server.watching.service import Update, Watch, WatcherTooSlowError, WatchService
from niyanta.wire.v1 import workload_service_pb2 as pb

__all__ = ["StreamMethods"]


class StreamMethods:
    """The streams of all callers.

    Args:
        watches: Where updates come from, and who checks the callers' credentials meanwhile.
        most_per_customer: Streams that a customer may have open here at once.
    """

    def __init__(self, watches: WatchService, most_per_customer: int) -> None:
        self._watches = watches
        self._most_per_customer = most_per_customer
        self._open: set[Watch] = set()
        self._counts: Counter[str] = Counter()

    def end_all(self) -> None:
        """The server stops: end every stream; callers may call again, elsewhere."""
        for watch in self._open:
            watch.interrupt(ServiceUnavailableError("The server is stopping; call again", retry_after_seconds=1))

    @Method(
        name="StreamWorkloadStatus",
        request=pb.StreamWorkloadStatusRequest,
        answer=pb.WorkloadStatusUpdate,
        errors=(NotFoundError, InvalidStateError, RateLimitedError, ServiceUnavailableError),
    )
    async def stream(
        self, call: MethodCall[pb.StreamWorkloadStatusRequest]
    ) -> AsyncGenerator[pb.WorkloadStatusUpdate, None]:
        """The state now, then each change, up to the terminal one.

        grpc takes the next message when there is room for it on the way to the caller. Meanwhile progress is
        overtaken by newer progress, and who lets too many changes of status wait is sent away.
        """
        customer_id = call.identity.customer_id
        workload_id = workload_id_of(call)
        if self._counts[customer_id] >= self._most_per_customer:
            raise RateLimitedError(
                f"{self._most_per_customer} streams are open already; end one first",
                details={"max_streams": self._most_per_customer},
                retry_after_seconds=5,
            )
        self._counts[customer_id] += 1
        try:
            authorization = call.metadata.get("authorization")
            async with await self._watches.open(call.identity, workload_id, authorization=authorization) as watch:
                self._open.add(watch)
                try:
                    async for update in watch:
                        yield _message(update)
                finally:
                    self._open.discard(watch)
        except WatcherTooSlowError as exc:
            raise ServiceUnavailableError(
                "The updates were taken too slowly; call again", retry_after_seconds=1
            ) from exc
        finally:
            self._counts -= Counter([customer_id])


def _message(update: Update) -> pb.WorkloadStatusUpdate:
    found = pb.WorkloadStatusUpdate(
        workload_id=update.workload_id,
        status=status_message(update.status),
        progress_percent=update.progress_percent,
        message=update.message or "",
        version=update.version,
        generation=update.generation,
        error_message=update.error_message or "",
    )
    put_time(found.timestamp, update.timestamp)
    if update.result_json is not None:
        struct_of(update.result_json, "result_data", found.result_data)
    return found
