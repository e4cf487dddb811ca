"""What the calls on failures give."""

from __future__ import annotations

import msgspec

from niyanta.client.models import ItemError

__all__ = ["BatchReplayed", "BatchReplayedItem"]


class BatchReplayedItem(msgspec.Struct, kw_only=True):
    """What became of one replay; it has a ``workload_id`` or an ``error``."""

    replayed_from: str
    """The original."""
    workload_id: str | None = None
    error: ItemError | None = None


class BatchReplayed(msgspec.Struct):
    """What became of a batch of replays. ``has_more``: the filter fits more, call again with ``next_cursor``."""

    results: list[BatchReplayedItem]
    accepted: int
    rejected: int
    has_more: bool
    next_cursor: str | None = None
