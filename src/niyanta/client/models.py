"""What the client's calls give. Fields that this release doesn't know are ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

__all__ = ["AuditEvent", "LogLine", "Page", "Pagination", "Workload"]


class Workload(msgspec.Struct, kw_only=True):
    """One workload; fields that an answer doesn't carry are None."""

    workload_id: str
    status: str
    workload_type: str | None = None
    customer_id: str | None = None
    priority: int | None = None
    progress_percent: int = 0
    progress_message: str | None = None
    worker_id: str | None = None
    input_params: dict[str, Any] | None = None
    result_data: dict[str, Any] | None = None
    error_message: str | None = None
    retry_count: int = 0
    version: int = 0
    generation: int = 0
    checkpoint_sequence: int = 0
    pending_reason: str | None = None
    timeout_seconds: int | None = None
    affinity_rules: dict[str, Any] | None = None
    created_at: datetime | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    paused_at: datetime | None = None
    cancelled_at: datetime | None = None
    estimated_start_time: datetime | None = None
    estimated_completion_time: datetime | None = None

    @property
    def id(self) -> str:
        return self.workload_id

    @property
    def is_terminal(self) -> bool:
        return self.status in ("COMPLETED", "FAILED", "CANCELLED")


class Pagination(msgspec.Struct):
    has_more: bool
    next_cursor: str | None = None
    total: int | None = None
    limit: int | None = None
    offset: int | None = None


class Page(msgspec.Struct):
    """One page of a list."""

    workloads: list[Workload]
    pagination: Pagination


class LogLine(msgspec.Struct):
    timestamp: datetime
    level: str
    message: str
    details: dict[str, Any] = {}


class AuditEvent(msgspec.Struct):
    event_id: int
    event_type: str
    timestamp: datetime
    actor_type: str
    actor_id: str
    details: dict[str, Any] = {}
