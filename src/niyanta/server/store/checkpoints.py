"""Checkpoints in PostgreSQL: compressed, checked when read; the last ones of each workload, and pinned ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

import msgspec
import zstandard

from niyanta.domain.records import Encoding
from niyanta.server.store.queries import Connection, Queries

__all__ = ["CheckpointStore", "ListedCheckpoint", "NewCheckpoint", "StoredCheckpoint"]


class NewCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint to keep; ``data`` is uncompressed, or None when ``object_key`` names where it lies."""

    customer_id: str
    workload_id: str
    sequence: int
    generation: int
    worker_id: str | None
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


class ListedCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a kept checkpoint, without what is in it."""

    sequence: int
    generation: int
    """The attempt that saved it."""
    worker_id: str | None
    """None: saved through a release that didn't note it."""
    encoding: Encoding
    size_bytes: int
    sha256: bytes
    progress_percent: int
    created_at: datetime
    pinned: bool
    in_object_store: bool


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

    def checked(self) -> StoredCheckpoint | None:
        """The whole checkpoint; None when it is damaged."""
        data = self.content()
        if data is None:
            return None
        return StoredCheckpoint(
            sequence=self.sequence,
            encoding=self.encoding,
            data=data,
            object_key=self.object_key,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
        )


class _Dropped(msgspec.Struct, frozen=True):
    object_key: str | None


_queries = Queries("checkpoints.sql")
_add_checkpoints = _queries.many("add_checkpoints", _Dropped)
_checkpoints = _queries.many("checkpoints", _KeptCheckpoint)
_one = _queries.one("one", _KeptCheckpoint)
_saved_at = _queries.one("saved_at", datetime, lambda row: row["created_at"])
_listed = _queries.many("listed", ListedCheckpoint)
_count_pinned = _queries.sole("count_pinned", int)
_set_pinned = _queries.one("set_pinned", ListedCheckpoint)
_copy_within = _queries.many("copy_within", int)


class CheckpointStore:
    """Queries on checkpoints. Every method takes the connection."""

    async def add(self, conn: Connection, checkpoints: Sequence[NewCheckpoint], kept: int) -> list[str]:
        """Compress and keep; only the last ``kept`` of a workload stay, and those that are pinned.

        Gives the object keys of those dropped.
        """
        compressor = zstandard.ZstdCompressor(level=3)
        dropped = await _add_checkpoints(
            conn,
            customer_ids=[c.customer_id for c in checkpoints],
            workload_ids=[c.workload_id for c in checkpoints],
            sequences=[c.sequence for c in checkpoints],
            generations=[c.generation for c in checkpoints],
            worker_ids=[c.worker_id for c in checkpoints],
            encodings=[c.encoding for c in checkpoints],
            datas=[None if c.data is None else compressor.compress(c.data) for c in checkpoints],
            object_keys=[c.object_key for c in checkpoints],
            sizes=[c.size_bytes for c in checkpoints],
            hashes=[c.sha256 for c in checkpoints],
            progress=[c.progress_percent for c in checkpoints],
            kept=kept,
        )
        return [checkpoint.object_key for checkpoint in dropped if checkpoint.object_key is not None]

    async def newest_good(
        self, conn: Connection, customer_id: str, workload_id: str, up_to: int
    ) -> StoredCheckpoint | None:
        """The newest checkpoint up to a sequence whose length and SHA-256 are right; None when none is."""
        for kept in await _checkpoints(conn, customer_id=customer_id, workload_id=workload_id, up_to=up_to):
            if (found := kept.checked()) is not None:
                return found
        return None

    async def listed(self, conn: Connection, customer_id: str, workload_id: str) -> list[ListedCheckpoint]:
        """The kept checkpoints of a workload, newest first."""
        return await _listed(conn, customer_id=customer_id, workload_id=workload_id)

    async def get(
        self, conn: Connection, customer_id: str, workload_id: str, sequence: int
    ) -> StoredCheckpoint | None:
        """One checkpoint; None when it isn't kept, or is damaged."""
        kept = await _one(conn, customer_id=customer_id, workload_id=workload_id, sequence=sequence)
        return None if kept is None else kept.checked()

    async def saved_at(self, conn: Connection, customer_id: str, workload_id: str, sequence: int) -> datetime | None:
        """When a checkpoint was saved; None when it isn't kept."""
        return await _saved_at(conn, customer_id=customer_id, workload_id=workload_id, sequence=sequence)

    async def count_pinned(self, conn: Connection, customer_id: str, most: int) -> int:
        """How many checkpoints of a customer are pinned; stops counting at ``most``."""
        return await _count_pinned(conn, customer_id=customer_id, most=most)

    async def set_pinned(
        self, conn: Connection, customer_id: str, workload_id: str, sequence: int, *, pinned: bool
    ) -> ListedCheckpoint | None:
        """Pin one, or unpin it; None when it isn't kept."""
        return await _set_pinned(
            conn, customer_id=customer_id, workload_id=workload_id, sequence=sequence, pinned=pinned
        )

    async def copy_within(
        self, conn: Connection, customer_id: str, workload_id: str, source: int, sequence: int
    ) -> bool:
        """Make an older checkpoint the newest, as a copy; False when the database doesn't hold it."""
        copied = await _copy_within(
            conn, customer_id=customer_id, workload_id=workload_id, source=source, sequence=sequence
        )
        return bool(copied)
