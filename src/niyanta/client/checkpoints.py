"""The checkpoints of workloads: list, download, pin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import msgspec

from niyanta.client.transport import Transport, quoted

__all__ = ["AsyncCheckpoints", "Checkpoint"]


class Checkpoint(msgspec.Struct, kw_only=True):
    """What is known of a kept checkpoint."""

    sequence: int
    """Counts from 1 within the workload."""
    attempt: int | None = None
    """That saved it."""
    size_bytes: int | None = None
    encoding: str | None = None
    """``json`` or ``bytes``."""
    sha256: str | None = None
    """Of what the handler saved, in hexadecimal."""
    progress_percent: int | None = None
    worker_id: str | None = None
    created_at: datetime | None = None
    pinned: bool | None = None
    """It is kept, however many come after it."""
    in_object_store: bool | None = None


class _Checkpoints(msgspec.Struct):
    checkpoints: list[Checkpoint]


class AsyncCheckpoints:
    """The checkpoints of workloads."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self, workload_id: str) -> Sequence[Checkpoint]:
        """Those that are kept of a workload: the last ones and pinned ones, the newest first."""
        answer = await self._transport.call("GET", f"/workloads/{quoted(workload_id)}/checkpoints")
        return msgspec.json.decode(answer, type=_Checkpoints).checkpoints

    async def download(self, workload_id: str, sequence: int) -> bytes:
        """What the handler saved: JSON or bytes, as its ``encoding`` says. Of a large one `iterate` gives parts."""
        return b"".join([part async for part in self.iterate(workload_id, sequence)])

    async def iterate(self, workload_id: str, sequence: int) -> AsyncIterator[bytes]:
        """The same in parts, as they come: a checkpoint may be larger than memory."""
        async for part in self._transport.content(f"/workloads/{quoted(workload_id)}/checkpoints/{sequence}"):
            yield part

    async def pin(self, workload_id: str, sequence: int) -> Checkpoint:
        """Keep one, however many come after it.

        Raises:
            ConflictError: As many of the customer's are pinned as may be.
        """
        return await self._set_pinned("PUT", workload_id, sequence)

    async def unpin(self, workload_id: str, sequence: int) -> Checkpoint:
        """Keep one no longer than others."""
        return await self._set_pinned("DELETE", workload_id, sequence)

    async def _set_pinned(self, method: str, workload_id: str, sequence: int) -> Checkpoint:
        path = f"/workloads/{quoted(workload_id)}/checkpoints/{sequence}/pin"
        return msgspec.json.decode(await self._transport.call(method, path), type=Checkpoint)
