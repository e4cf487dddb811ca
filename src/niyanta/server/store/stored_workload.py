"""One workload, whole, as it stands in PostgreSQL."""

from __future__ import annotations

from datetime import datetime

import msgspec

from niyanta.domain.workload import PausePhase, Status

__all__ = ["StoredWorkload"]


class StoredWorkload(msgspec.Struct, frozen=True, kw_only=True):
    """One workload, whole."""

    customer_id: str
    workload_id: str
    workload_type: str
    status: Status
    version: int
    generation: int
    event_count: int
    worker_id: str | None
    incarnation: str | None
    event_sequence: int
    progress_percent: int
    progress_message: str | None
    retry_count: int
    checkpoint_sequence: int
    pause_phase: PausePhase | None
    ready: bool
    available_at: datetime | None
    scheduled_at: datetime | None
    started_at: datetime | None
    attempt_started_at: datetime | None
    paused_at: datetime | None
    completed_at: datetime | None
    error_message: str | None
    result_json: str | None
    priority: int
    input_params: str
    """JSON, as it was submitted."""
    affinity_rules: str | None
    """JSON, as they were submitted."""
    timeout_seconds: int | None
    placement_key: int
    paused_by: str | None
    """Who asked for the last pause: an API key's id or a token's subject."""
    misfits: str | None
    """Forms of input that its own doesn't fit, with spaces between."""
    queue_rank: float
    created_at: datetime
    replayed_from: str | None
    """The workload that it is a replay of."""
    forked_from: str | None
    """The workload that it is a fork of."""
    from_checkpoint: int | None
    """The sequence of that one's checkpoint at which it began."""
    labels: str | None
    """JSON object; None without any."""
    error_fingerprint: str | None
    """Of one that FAILED: names the failures that are like its own (`niyanta.domain.fingerprints`)."""
    db_now: datetime
    """The database's time when it was read."""
