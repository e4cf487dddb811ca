"""A workload's checkpoints over gRPC: list, pin, unpin."""

from __future__ import annotations

from typing import Any

from niyanta.domain.customers import Scope
from niyanta.domain.limits import MAX_CHECKPOINT_SEQUENCE
from niyanta.errors import ConflictError, NotFoundError
from niyanta.server.grpc.methods import Method, MethodCall, workload_id_of
from niyanta.server.grpc.values import put_time
from niyanta.server.services.checkpoints import CheckpointCatalog
from niyanta.server.services.workloads import WorkloadService
from niyanta.server.store.checkpoints import ListedCheckpoint
from niyanta.wire.v1 import workload_service_pb2 as pb

__all__ = ["CheckpointMethods"]


class CheckpointMethods:
    """List, pin, unpin. What a handler saved is downloaded over REST."""

    def __init__(self, catalog: CheckpointCatalog, workloads: WorkloadService) -> None:
        self._catalog = catalog
        self._workloads = workloads

    async def _exists(self, call: MethodCall[Any]) -> None:
        await self._workloads.get(call.identity, workload_id_of(call))

    @Method(
        name="ListCheckpoints",
        request=pb.ListCheckpointsRequest,
        answer=pb.ListCheckpointsResponse,
        errors=(NotFoundError,),
        exists=_exists,
    )
    async def list(self, call: MethodCall[pb.ListCheckpointsRequest]) -> pb.ListCheckpointsResponse:
        """All that are kept."""
        workload_id = workload_id_of(call)
        kept = await self._catalog.listed(call.identity, workload_id)
        return pb.ListCheckpointsResponse(workload_id=workload_id, checkpoints=[_message(found) for found in kept])

    @Method(
        name="PinCheckpoint",
        scope=Scope.WORKLOADS_WRITE,
        request=pb.PinCheckpointRequest,
        answer=pb.PinCheckpointResponse,
        errors=(ConflictError, NotFoundError),
        exists=_exists,
    )
    async def pin(self, call: MethodCall[pb.PinCheckpointRequest]) -> pb.PinCheckpointResponse:
        """Keep one, however many come after it."""
        return pb.PinCheckpointResponse(checkpoint=await self._pinned(call, pinned=True))

    @Method(
        name="UnpinCheckpoint",
        scope=Scope.WORKLOADS_WRITE,
        request=pb.UnpinCheckpointRequest,
        answer=pb.UnpinCheckpointResponse,
        errors=(NotFoundError,),
        exists=_exists,
    )
    async def unpin(self, call: MethodCall[pb.UnpinCheckpointRequest]) -> pb.UnpinCheckpointResponse:
        """Keep one no longer than others."""
        return pb.UnpinCheckpointResponse(checkpoint=await self._pinned(call, pinned=False))

    async def _pinned(
        self, call: MethodCall[pb.PinCheckpointRequest] | MethodCall[pb.UnpinCheckpointRequest], *, pinned: bool
    ) -> pb.Checkpoint:
        workload_id, sequence = workload_id_of(call), call.request.sequence
        if not 0 < sequence <= MAX_CHECKPOINT_SEQUENCE:
            sequence = 0  # which no checkpoint has
        return _message(await self._catalog.pin(call.identity, workload_id, sequence, pinned=pinned))


def _message(found: ListedCheckpoint) -> pb.Checkpoint:
    message = pb.Checkpoint(
        sequence=found.sequence,
        attempt=found.generation,
        size_bytes=found.size_bytes,
        encoding=found.encoding,
        sha256=found.sha256.hex(),
        progress_percent=found.progress_percent,
        worker_id=found.worker_id or "",
        pinned=found.pinned,
        in_object_store=found.in_object_store,
    )
    put_time(message.created_at, found.created_at)
    return message
