"""The JSON bodies of replays."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from niyanta.server.rest.bodies.workloads import ItemError

__all__ = ["ReplayBatchAnswer", "ReplayResult"]


class ReplayResult(msgspec.Struct):
    """What became of one workload that was to be replayed: the new one's id, or ``error``."""

    replayed_from: Annotated[str, Meta(description="The original.")]
    workload_id: Annotated[str, Meta(description="Its replay.")] | UnsetType = UNSET
    error: ItemError | UnsetType = UNSET


class ReplayBatchAnswer(msgspec.Struct):
    """What the call came to; what it says was accepted is stored."""

    results: list[ReplayResult]
    accepted: int
    rejected: int
    has_more: Annotated[bool, Meta(description="The filter means more workloads: call again with next_cursor.")]
    next_cursor: str | None
