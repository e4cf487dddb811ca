"""A workload's checkpoints: list, download, pin."""

from __future__ import annotations

import re

from starlette.responses import Response, StreamingResponse

from niyanta.domain.limits import MAX_CHECKPOINT_SEQUENCE
from niyanta.domain.records import Encoding
from niyanta.errors import ConflictError, NotFoundError
from niyanta.server.rest.bodies import checkpoints as bodies
from niyanta.server.rest.frame.operation import Call, Operation
from niyanta.server.rest.frame.responses import json_response, timestamp
from niyanta.server.services.checkpoints import CheckpointCatalog
from niyanta.server.services.workloads import WorkloadService
from niyanta.server.store.checkpoints import ListedCheckpoint

__all__ = ["CheckpointRoutes"]

_ALL = "/v1/workloads/{workload_id}/checkpoints"
_ONE = _ALL + "/{sequence}"
_TAG = "Workloads"
_BYTES = "application/octet-stream"
_SEQUENCE = re.compile("[1-9][0-9]{0,9}", re.ASCII)


class CheckpointRoutes:
    """List, download, pin, unpin."""

    def __init__(self, catalog: CheckpointCatalog, workloads: WorkloadService) -> None:
        self._catalog = catalog
        self._workloads = workloads

    async def _exists(self, call: Call) -> None:
        await self._workloads.get(call.identity, call.path_id("workload_id"))

    async def _one_exists(self, call: Call) -> None:
        kept = await self._catalog.listed(call.identity, call.path_id("workload_id"))
        if _sequence(call) not in [checkpoint.sequence for checkpoint in kept]:
            raise NotFoundError("There is no such checkpoint")

    @Operation(
        method="GET",
        path=_ALL,
        operation_id="listCheckpoints",
        summary="List a workload's checkpoints",
        tag=_TAG,
        answer=bodies.CheckpointsAnswer,
        errors=(NotFoundError,),
        exists=_exists,
    )
    async def list(self, call: Call) -> Response:
        """All that are kept."""
        workload_id = call.path_id("workload_id")
        kept = await self._catalog.listed(call.identity, workload_id)
        return json_response(bodies.CheckpointsAnswer(workload_id, [_body(found) for found in kept]))

    @Operation(
        method="GET",
        path=_ONE,
        operation_id="downloadCheckpoint",
        summary="Download a checkpoint",
        description="What the handler saved, as it saved it: JSON (`application/json`) or bytes.",
        tag=_TAG,
        media_type=_BYTES,
        headers=("ETag",),
        errors=(NotFoundError,),
        exists=_one_exists,
    )
    async def download(self, call: Call) -> Response:
        """The checkpoint itself."""
        workload_id = call.path_id("workload_id")
        found = await self._catalog.read(call.identity, workload_id, _sequence(call))
        headers = {
            "ETag": f'"{found.sha256.hex()}"',
            "Content-Disposition": f'attachment; filename="{workload_id}-{found.sequence}"',
        }
        kind = "application/json" if found.encoding is Encoding.JSON else _BYTES
        if found.object_key is None:
            return Response(found.data, headers=headers, media_type=kind)
        pieces = await self._catalog.pieces(found.object_key)
        return StreamingResponse(pieces, headers=headers | {"Content-Length": str(found.size_bytes)}, media_type=kind)

    @Operation(
        method="PUT",
        path=_ONE + "/pin",
        operation_id="pinCheckpoint",
        summary="Keep a checkpoint, however many come after it",
        tag=_TAG,
        answer=bodies.Checkpoint,
        errors=(ConflictError, NotFoundError),
        exists=_one_exists,
    )
    async def pin(self, call: Call) -> Response:
        """The checkpoint, pinned."""
        return await self._pin(call, pinned=True)

    @Operation(
        method="DELETE",
        path=_ONE + "/pin",
        operation_id="unpinCheckpoint",
        summary="Keep a checkpoint no longer than others",
        tag=_TAG,
        answer=bodies.Checkpoint,
        errors=(NotFoundError,),
        exists=_one_exists,
    )
    async def unpin(self, call: Call) -> Response:
        """The checkpoint, not pinned any more."""
        return await self._pin(call, pinned=False)

    async def _pin(self, call: Call, *, pinned: bool) -> Response:
        workload_id = call.path_id("workload_id")
        return json_response(
            _body(await self._catalog.pin(call.identity, workload_id, _sequence(call), pinned=pinned))
        )


def _sequence(call: Call) -> int:
    """The sequence from the path; 0, which no checkpoint has, for what can't be one."""
    text = str(call.request.path_params["sequence"])
    return int(text) if _SEQUENCE.fullmatch(text) and int(text) <= MAX_CHECKPOINT_SEQUENCE else 0


def _body(found: ListedCheckpoint) -> bodies.Checkpoint:
    return bodies.Checkpoint(
        sequence=found.sequence,
        attempt=found.generation,
        size_bytes=found.size_bytes,
        encoding=found.encoding,
        sha256=found.sha256.hex(),
        progress_percent=found.progress_percent,
        worker_id=found.worker_id,
        created_at=timestamp(found.created_at),
        pinned=found.pinned,
        in_object_store=found.in_object_store,
    )
