"""Drains of workers, as operators see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from niyanta.client.status import Status

__all__ = ["Drain", "DrainedWorkload"]


class DrainedWorkload(msgspec.Struct, kw_only=True):
    """What has become of one workload that a worker had when it was drained."""

    customer_id: str
    workload_id: str
    workload_type: str
    attempt: int
    """The one that the worker had."""
    outcome: str
    """``running`` or ``moving`` while it is still there; else ``waiting``, ``moved``, ``paused`` or ``finished``."""
    reason: str | None = None
    """Why it is still there, or how it left without a checkpoint."""
    status: Status
    moved_to: str | None = None
    """The worker that was given its next attempt."""
    checkpoint_sequence: int | None = None
    """The checkpoint that it went on from; of one that is still there the newest."""
    seconds_lost: float = 0.0
    """Running time that is done again elsewhere; 0 when it moved at a checkpoint."""


class Drain(msgspec.Struct, kw_only=True):
    """A worker's drain, and how far it has come."""

    worker_id: str
    status: str
    mode: str = "finish"
    """``finish``: what it runs, finishes there. ``move``: it goes on elsewhere."""
    given_by: str | None = None
    """The API key that it was first given with."""
    given_at: datetime | None = None
    remaining: int | None = None
    """Workloads that the worker has still; None from a service that doesn't say."""
    workloads: Sequence[DrainedWorkload] = ()
