"""What the calls on failures give."""

from __future__ import annotations

from datetime import datetime

import msgspec

from niyanta.client.models import ItemError

__all__ = ["BatchReplayed", "BatchReplayedItem", "FailureGroup", "FailureList"]


class FailureGroup(msgspec.Struct, kw_only=True):
    """Workloads that FAILED with errors that are alike."""

    fingerprint: str
    """Names them, in filters."""
    message: str
    """The error of the last one; its first 1,000 characters."""
    pattern: str | None = None
    """What the errors have in common: without numbers, ids and paths."""
    count: int
    """How many, also those that are forgotten by now."""
    first_seen_at: datetime
    last_seen_at: datetime
    workload_types: list[str] = []
    workload_ids: list[str] = []
    """Up to five of them, the newest first, whenever they failed."""


class FailureList(msgspec.Struct):
    """Failures by fingerprint. ``has_more``: there are more fingerprints."""

    failures: list[FailureGroup]
    has_more: bool
    counted_since: datetime | None = None
    """From when on failures were counted, where there are too many to look at all of them."""


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
