"""Checkpoints in PostgreSQL: compressed, checked when they are read, the last ten of each workload."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
import zstandard

from niyanta.domain.records import Encoding
from niyanta.server.store.queries import Connection, Queries

__all__ = ["CheckpointStore", "NewCheckpoint", "StoredCheckpoint"]


class NewCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint to keep; ``data`` is uncompressed, or None when ``object_key`` names where it lies."""

    customer_id: str
    workload_id: str
    sequence: int
    generation: int
    encoding: Encoding
    data: bytes | None
    object_key: str | None
    size_bytes: int
    sha256: bytes
    progress_percent: int


class StoredCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A whole, checked checkpoint."""

    sequence: int
    encoding: Encoding
    data: bytes
    """Empty when ``object_key`` names where it lies; whoever fetches that checks it."""
    object_key: str | None
    size_bytes: int
    sha256: bytes


class _KeptCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    sequence: int
    encoding: Encoding
    data: bytes | None
    """Compressed."""
    object_key: str | None
    size_bytes: int
    sha256: bytes

    def content(self) -> bytes | None:
        """What was saved; empty when it lies elsewhere, None when it is damaged."""
        if self.data is None:
            return b""
        try:
            data = zstandard.ZstdDecompressor().decompress(self.data, max_output_size=self.size_bytes or 1)
        except zstandard.ZstdError:
            return None
        if len(data) != self.size_bytes or hashlib.sha256(data).digest() != self.sha256:
            return None
        return data


class _Dropped(msgspec.Struct, frozen=True):
    object_key: str | None


_queries = Queries("checkpoints.sql")
_add_checkpoints = _queries.many("add_checkpoints", _Dropped)
_checkpoints = _queries.many("checkpoints", _KeptCheckpoint)


class CheckpointStore:
    """Queries on checkpoints. Every method takes the connection."""

    async def add(self, conn: Connection, checkpoints: Sequence[NewCheckpoint]) -> list[str]:
        """Compress and keep; only the last ten of a workload stay. Gives the object keys of those dropped."""
        compressor = zstandard.ZstdCompressor(level=3)
        dropped = await _add_checkpoints(
            conn,
            customer_ids=[c.customer_id for c in checkpoints],
            workload_ids=[c.workload_id for c in checkpoints],
            sequences=[c.sequence for c in checkpoints],
            generations=[c.generation for c in checkpoints],
            encodings=[c.encoding for c in checkpoints],
            datas=[None if c.data is None else compressor.compress(c.data) for c in checkpoints],
            object_keys=[c.object_key for c in checkpoints],
            sizes=[c.size_bytes for c in checkpoints],
            hashes=[c.sha256 for c in checkpoints],
            progress=[c.progress_percent for c in checkpoints],
        )
        return [checkpoint.object_key for checkpoint in dropped if checkpoint.object_key is not None]

    async def newest_good(
        self, conn: Connection, customer_id: str, workload_id: str, up_to: int
    ) -> StoredCheckpoint | None:
        """The newest checkpoint up to a sequence whose length and SHA-256 are right; None when none is."""
        for kept in await _checkpoints(conn, customer_id=customer_id, workload_id=workload_id, up_to=up_to):
            data = kept.content()
            if data is not None:
                return StoredCheckpoint(
                    sequence=kept.sequence,
                    encoding=kept.encoding,
                    data=data,
                    object_key=kept.object_key,
                    size_bytes=kept.size_bytes,
                    sha256=kept.sha256,
                )
        return None
