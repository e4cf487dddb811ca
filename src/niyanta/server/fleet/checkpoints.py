"""The checkpoint that an attempt starts from, handed to its worker in ranges."""

from __future__ import annotations

import msgspec

from niyanta.errors import ServiceUnavailableError
from niyanta.server.fleet.doors import ANYBODY, Doors, MessageKind, Sender
from niyanta.server.store.checkpoints import CheckpointStore, StoredCheckpoint
from niyanta.server.store.database import Database, Pool, retried
from niyanta.server.store.workloads import WorkloadStore
from niyanta.wire.decoding import UNREADABLE
from niyanta.wire.messages import CheckpointReply, CheckpointRequest

__all__ = ["CheckpointService"]

_MOST_RANGE_BYTES = 512 * 1024


class CheckpointService:
    """Answers requests for checkpoints."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._workloads = WorkloadStore()
        self._checkpoints = CheckpointStore()
        self._decode = msgspec.msgpack.Decoder(CheckpointRequest).decode
        self._encode = msgspec.msgpack.Encoder().encode

    async def start(self, doors: Doors) -> None:
        """Begin to answer workers."""
        await doors.open(MessageKind.CHECKPOINT, self.receive)

    async def receive(self, payload: bytes, sender: Sender = ANYBODY) -> bytes:
        """Answer a `CheckpointRequest` with one range of the newest good checkpoint."""
        return self._encode(await self._answer(payload, sender))

    async def _answer(self, payload: bytes, sender: Sender) -> CheckpointReply:
        try:
            request = self._decode(payload)
            if not sender.speaks_for(request.worker_id, request.incarnation):
                raise _NotYoursError
            found = await self._find(request)
        except UNREADABLE as exc:
            return CheckpointReply(ok=False, error=f"the request can't be read: {exc}")
        except ServiceUnavailableError as exc:
            return CheckpointReply(ok=False, error=f"try again: {exc}", try_again=True)
        except _NotYoursError:
            return CheckpointReply(ok=False, error="the attempt is not this worker's")
        if found is None:
            return CheckpointReply(ok=False, error="no good checkpoint is left")
        end = request.offset + min(request.max_bytes, _MOST_RANGE_BYTES)
        return CheckpointReply(
            ok=True,
            sequence=found.sequence,
            encoding=found.encoding,
            data=found.data[request.offset : end],
            total_bytes=found.size_bytes,
            sha256=found.sha256,
            object_key=found.object_key,
        )

    @retried
    async def _find(self, request: CheckpointRequest) -> StoredCheckpoint | None:
        """The newest good one up to the request's; None when none is left."""
        ref = request.ref
        async with self._database.connection(Pool.VITAL) as conn:
            who = request.worker_id, request.incarnation
            held = (await self._workloads.held_by(conn, [who]))[who]
            if (ref.customer_id, ref.workload_id, ref.generation) not in held:
                raise _NotYoursError
            return await self._checkpoints.newest_good(conn, ref.customer_id, ref.workload_id, request.sequence)


class _NotYoursError(Exception):
    """The worker doesn't hold the attempt."""
