"""What the client's calls give.

A field that an answer doesn't carry is None, never what would look like a fact. Fields not known here are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from niyanta.client.pagination import Pagination
from niyanta.client.run_seconds import RunSeconds
from niyanta.client.status import Status

__all__ = [
    "ApiKey",
    "AuditEvent",
    "BatchCancelled",
    "BatchCancelledItem",
    "BatchSubmitted",
    "BatchSubmittedItem",
    "Customer",
    "CustomerLimits",
    "CustomerUsage",
    "FleetWorker",
    "ItemError",
    "LogLine",
    "LogPage",
    "Page",
    "Pagination",
    "Period",
    "ResourceLimits",
    "Statistics",
    "StatisticsSummary",
    "Token",
    "TypeStatistics",
    "Update",
    "Workload",
    "WorkloadConfig",
]


class Workload(msgspec.Struct, kw_only=True):
    """One workload. ``get`` gives all of it; the answers to other calls carry a part."""

    workload_id: str
    status: Status
    workload_type: str | None = None
    customer_id: str | None = None
    priority: int | None = None
    progress_percent: int | None = None
    progress_message: str | None = None
    worker_id: str | None = None
    input_params: dict[str, Any] | None = None
    result_data: dict[str, Any] | None = None
    error_message: str | None = None
    retry_count: int | None = None
    version: int | None = None
    generation: int | None = None
    checkpoint_sequence: int | None = None
    seconds_since_checkpoint: float | None = None
    """Of one that runs: so much would be done again if its worker were lost now."""
    pending_reason: str | None = None
    replayed_from: str | None = None
    """The workload that it is a replay of."""
    forked_from: str | None = None
    """The workload that it is a fork of."""
    from_checkpoint: int | None = None
    timeout_seconds: int | None = None
    affinity_rules: dict[str, Any] | None = None
    labels: dict[str, str] | None = None
    error_fingerprint: str | None = None
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
        """The same as ``workload_id``."""
        return self.workload_id

    @property
    def is_terminal(self) -> bool:
        """Whether nothing follows."""
        return self.status.is_terminal


class Update(msgspec.Struct, kw_only=True):
    """One thing that happened to a workload that is watched: its status or progress changed, or it logged a line."""

    type: str
    """``status_update``, ``log_line``, ``completed`` or ``failed``."""
    workload_id: str
    status: Status | None = None
    """None for a log line."""
    progress_percent: int | None = None
    version: int | None = None
    timestamp: datetime | None = None
    message: str | None = None
    """The handler's progress message, or the log line."""
    level: str | None = None
    """Of a log line: ``DEBUG``, ``INFO``, ``WARN`` or ``ERROR``."""
    details: dict[str, Any] | None = None
    result_data: dict[str, Any] | None = None
    error_message: str | None = None

    @property
    def is_log_line(self) -> bool:
        """Whether it is a line that the workload logged."""
        return self.type == "log_line"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing follows."""
        return self.status is not None and self.status.is_terminal


class Page(msgspec.Struct):
    """One page of a list."""

    workloads: list[Workload]
    pagination: Pagination


class LogLine(msgspec.Struct):
    """One line of a workload's log; ``attempt`` and ``sequence`` name it for ever."""

    timestamp: datetime
    level: str
    """``DEBUG``, ``INFO``, ``WARN`` or ``ERROR``."""
    message: str
    details: dict[str, Any] = {}
    attempt: int | None = None
    sequence: int | None = None


class LogPage(msgspec.Struct):
    """Some lines of a workload's log; it can be looped over like a list of them."""

    logs: list[LogLine]
    pagination: Pagination
    """``next_cursor`` leads to the next lines in the direction of reading; of a tail, ``total`` counts all lines."""

    def __iter__(self) -> Iterator[LogLine]:
        return iter(self.logs)

    def __len__(self) -> int:
        return len(self.logs)

    def __getitem__(self, index: int) -> LogLine:
        return self.logs[index]


class AuditEvent(msgspec.Struct):
    """One move of a workload."""

    event_id: int
    event_type: str
    timestamp: datetime
    actor_type: str
    actor_id: str
    details: dict[str, Any] = {}


class ItemError(msgspec.Struct):
    """Why one item of a batch was refused."""

    code: str
    message: str
    details: dict[str, Any] = {}


class BatchSubmittedItem(msgspec.Struct, kw_only=True):
    """What became of one item of a batch; it has a ``workload_id`` or an ``error``."""

    index: int
    workload_id: str | None = None
    status: Status | None = None
    created_at: datetime | None = None
    estimated_start_time: datetime | None = None
    version: int | None = None
    error: ItemError | None = None


class BatchSubmitted(msgspec.Struct):
    """What became of a batch, item by item in the order given."""

    results: list[BatchSubmittedItem]
    accepted: int
    rejected: int


class BatchCancelledItem(msgspec.Struct, kw_only=True):
    """What became of one cancellation; it has a ``status`` or an ``error``."""

    workload_id: str
    status: Status | None = None
    cancelled_at: datetime | None = None
    version: int | None = None
    error: ItemError | None = None


class BatchCancelled(msgspec.Struct):
    """What became of a batch of cancellations. ``has_more``: the filter fits more, call again."""

    results: list[BatchCancelledItem]
    cancelled: int
    failed: int
    has_more: bool | None = None


class ResourceLimits(msgspec.Struct, omit_defaults=True):
    """What one attempt may use; None leaves the default."""

    cpu_cores: float | None = None
    memory_mb: int | None = None
    disk_mb: int | None = None


class WorkloadConfig(msgspec.Struct, kw_only=True):
    """The settings of one workload type."""

    config_id: str
    workload_type: str
    description: str | None = None
    config_json: dict[str, Any] | None = None
    resource_limits: ResourceLimits | None = None
    checkpoint_interval_sec: int | None = None
    max_retries: int | None = None
    timeout_seconds: int | None = None
    input_schema: dict[str, Any] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def id(self) -> str:
        """The same as ``config_id``."""
        return self.config_id


class CustomerLimits(msgspec.Struct):
    """What a customer may use; ``burst`` is how many requests may come at once after a rest."""

    max_concurrent_workloads: int
    max_queue_depth: int
    rate_limit_per_sec: float
    burst: int | None = None


class CustomerUsage(msgspec.Struct):
    """What a customer uses now; queued are PENDING and REDISTRIBUTING, running are SCHEDULED and RUNNING."""

    current_running_workloads: int
    current_queue_depth: int
    workloads_today: int


class Customer(msgspec.Struct, kw_only=True):
    """A customer's account."""

    customer_id: str
    name: str
    tier: str
    limits: CustomerLimits
    status: str | None = None
    usage: CustomerUsage | None = None
    created_at: datetime | None = None

    @property
    def id(self) -> str:
        """The same as ``customer_id``."""
        return self.customer_id


class StatisticsSummary(msgspec.Struct):
    """All workloads that were created in a period."""

    total_workloads: int
    completed_workloads: int
    failed_workloads: int
    cancelled_workloads: int
    total_execution_hours: float
    run_seconds: RunSeconds | None = None
    """None from a service that doesn't say."""


class TypeStatistics(msgspec.Struct):
    """One workload type's share; the rate is failed / (completed + failed)."""

    workload_type: str
    count: int
    avg_duration_seconds: float | None = None
    failure_rate: float | None = None
    run_seconds: RunSeconds | None = None
    """None from a service that doesn't say."""


class Period(msgspec.Struct, kw_only=True):
    """One day or hour."""

    start: str
    count: int
    completed: int
    failed: int
    cancelled: int
    avg_duration_seconds: float | None = None


class Statistics(msgspec.Struct, kw_only=True):
    """What a customer used between two days, both included."""

    start_date: date
    end_date: date
    summary: StatisticsSummary
    by_workload_type: list[TypeStatistics] | None = None
    by_day: list[Period] | None = None
    by_hour: list[Period] | None = None


class FleetWorker(msgspec.Struct, kw_only=True):
    """One registered worker, as operators see it."""

    worker_id: str
    status: str
    capabilities: list[str]
    """Workload types that it serves."""
    input_forms: dict[str, str] | None = None
    """By workload type which version of its input the handler takes: a digest of its JSON Schema, or ``any``."""
    capacity_total: int
    capacity_used: int
    tags: dict[str, str]
    last_heartbeat: datetime | None = None
    running_workloads: list[str]
    version: str | None = None
    missing_walls: list[str] | None = None
    """What doesn't keep handlers in on its machine: walls of the box that each of their processes is in."""
    customers: list[str] | None = None
    """The only ones whose workloads it gets, by its join token; empty for everybody's."""
    registered_at: datetime | None = None


class ApiKey(msgspec.Struct, kw_only=True):
    """One API key; ``api_key`` itself comes only with its creation."""

    key_id: str
    customer_id: str | None = None
    name: str | None = None
    role: str | None = None
    scopes: Sequence[str] = ()
    """What it may be used for."""
    api_key: str | None = None
    status: Status | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    last_used_from: str | None = None
    """Network address."""

    def __repr__(self) -> str:
        return f"ApiKey(key_id={self.key_id!r}, name={self.name!r}, role={self.role!r}, status={self.status!r})"


class Token(msgspec.Struct, kw_only=True):
    """A short-lived token made of an API key; ``token`` itself comes only with its creation."""

    token_id: str
    token: str | None = None
    key_id: str | None = None
    """The key that it was made of."""
    scopes: Sequence[str] = ()
    """What it may be used for."""
    workload_id: str | None = None
    """The only workload that it is good for; None for all."""
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    last_used_from: str | None = None
    """Network address."""

    def __repr__(self) -> str:
        return f"Token(token_id={self.token_id!r}, scopes={self.scopes!r}, expires_at={self.expires_at!r})"
