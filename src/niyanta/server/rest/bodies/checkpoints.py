"""Checkpoints as the API shows them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from niyanta.domain.records import Encoding
from niyanta.server.rest.bodies.workloads import Timestamp, one_of

__all__ = ["Checkpoint", "CheckpointsAnswer"]


class Checkpoint(msgspec.Struct, kw_only=True):
    """What is known of a checkpoint that is kept."""

    sequence: Annotated[int, Meta(description="Counts from 1 within the workload.", ge=1)]
    attempt: Annotated[int, Meta(description="That saved it, from 1; 0: taken over from another workload.", ge=0)]
    size_bytes: Annotated[int, Meta(description="Of what the handler saved.", ge=0)]
    encoding: Annotated[str, one_of(Encoding)]
    sha256: Annotated[str, Meta(description="Of what the handler saved, in hexadecimal.")]
    progress_percent: int
    worker_id: Annotated[str, Meta(description="That saved it, where that was noted.")] | None
    created_at: Timestamp
    pinned: Annotated[bool, Meta(description="It is kept, however many come after it.")]
    in_object_store: Annotated[
        bool, Meta(description="It lies in the object store; nothing can be sent back to it unless it is the last.")
    ]


class CheckpointsAnswer(msgspec.Struct):
    """All that are kept of a workload, the newest first."""

    workload_id: str
    checkpoints: list[Checkpoint]
