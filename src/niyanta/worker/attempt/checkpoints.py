"""Fetching the checkpoint that an attempt starts from, and putting large ones away."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from niyanta.errors import CheckpointError, ConnectionFailedError, PermanentError, TransientError
from niyanta.wire.messages import AttemptRef, CheckpointReply, CheckpointRequest, CheckpointSaved
from niyanta.wire.objects import DamagedObjectError, ObjectStore, checkpoint_folder, size_and_sha256
from niyanta.worker.attempt.means import Means

__all__ = ["Fetched", "fetch", "put_away", "saved_in_database"]

_PAUSE_SECONDS = 0.2
_STORE_TRIES = 5


@dataclass(frozen=True)
class Fetched:
    """A checkpoint that lies in a file, checked."""

    sequence: int
    """May be older than what was asked for, when that was damaged or missing."""
    encoding: str


async def fetch(means: Means, ref: AttemptRef, sequence: int, target: Path) -> Fetched:
    """Write the newest good checkpoint up to a sequence number into a file.

    Waits for as long as the broker or the service is away.

    Raises:
        PermanentError: The service has no good one left.
        TransientError: It lies in an object store that this worker can't reach.
    """
    up_to = sequence
    while True:
        reply = await _ask(means, ref, up_to, 0)
        if await _receive(means, ref, reply, target):
            return Fetched(reply.sequence, reply.encoding)
        up_to = reply.sequence - 1


async def _receive(means: Means, ref: AttemptRef, first: CheckpointReply, target: Path) -> bool:
    """Write the checkpoint that a reply is about; False when it turns out damaged."""
    if first.object_key is not None:
        return await _receive_object(means.object_store, first, target)
    digest, reply, size = hashlib.sha256(), first, 0
    with target.open("wb") as file:
        while True:
            file.write(reply.data)
            digest.update(reply.data)
            size += len(reply.data)
            if size >= first.total_bytes or not reply.data:
                return size == first.total_bytes and digest.digest() == first.sha256
            reply = await _ask(means, ref, first.sequence, size)
            if reply.sequence != first.sequence:
                return False


async def _receive_object(store: ObjectStore | None, reply: CheckpointReply, target: Path) -> bool:
    if store is None:
        raise TransientError(
            f"checkpoint {reply.sequence} lies in an object store, and this worker has none: "
            "set NIYANTA_OBJECT_STORE_URL for it"
        )
    for tries_left in reversed(range(_STORE_TRIES)):
        try:
            await store.get(reply.object_key or "", target, reply.total_bytes, reply.sha256)
            return True
        except DamagedObjectError:
            return False
        except ConnectionFailedError as exc:
            if not tries_left:
                raise TransientError(f"checkpoint {reply.sequence} can't be loaded: {exc}") from exc
            await asyncio.sleep(_PAUSE_SECONDS)
    return False


async def _ask(means: Means, ref: AttemptRef, up_to: int, offset: int) -> CheckpointReply:
    while True:
        if up_to < 1:
            raise PermanentError("none of the workload's checkpoints is good any more")
        request = CheckpointRequest(means.who.worker_id, means.who.incarnation, ref, up_to, offset)
        try:
            raw = await means.broker.request(
                means.subjects.checkpoint, msgspec.msgpack.encode(request), timeout_seconds=5
            )
        except ConnectionFailedError:
            await asyncio.sleep(_PAUSE_SECONDS)
            continue
        reply = msgspec.msgpack.decode(raw, type=CheckpointReply)
        if reply.ok:
            return reply
        if not (reply.try_again or (reply.error or "").startswith("try again")):
            raise PermanentError(f"checkpoint {up_to} can't be loaded: {reply.error}")
        await asyncio.sleep(_PAUSE_SECONDS)


def saved_in_database(data: bytes, encoding: str) -> CheckpointSaved:
    """The event for a checkpoint that travels with it."""
    return CheckpointSaved(data, hashlib.sha256(data).digest(), encoding, size_bytes=len(data))


async def put_away(store: ObjectStore | None, ref: AttemptRef, path: Path, encoding: str) -> CheckpointSaved:
    """Put a large checkpoint into the object store; gives the event that says where.

    Raises:
        CheckpointError: There is no store, or it didn't take it. The last good checkpoint still stands.
    """
    if store is None:
        raise CheckpointError("the worker has no object store for a checkpoint of this size")
    try:
        size_bytes, sha256 = await asyncio.to_thread(size_and_sha256, path)
        key = await store.put(path, checkpoint_folder(ref.customer_id, ref.workload_id, ref.generation))
        return CheckpointSaved(b"", sha256, encoding, key, size_bytes)
    except (ConnectionFailedError, OSError) as exc:
        raise CheckpointError(f"{exc}. The last good one still stands") from exc
