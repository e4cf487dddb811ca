"""The JSON bodies of configurations and of customers."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from niyanta.domain.customers import CustomerStatus
from niyanta.domain.limits import Tier
from niyanta.server.rest.bodies.workloads import JsonObject, Pagination, Timestamp, one_of

__all__ = [
    "AccountAnswer",
    "Config",
    "ConfigCreated",
    "ConfigsAnswer",
    "CustomerAnswer",
    "CustomerLimits",
    "CustomerStatusName",
    "CustomerUsage",
    "PeriodStatistics",
    "ResourceLimits",
    "RunSeconds",
    "StatisticsAnswer",
    "StatisticsSummary",
    "TierName",
    "TypeStatistics",
]

TierName = Annotated[str, one_of(Tier)]
CustomerStatusName = Annotated[str, one_of(CustomerStatus)]
Date = Annotated[str, Meta(examples=["2025-10-27"], extra_json_schema={"format": "date"})]
Seconds = Annotated[float, Meta(description="Of those that completed; null when there is none.")]


class ResourceLimits(msgspec.Struct):
    """What one attempt may use."""

    cpu_cores: float
    memory_mb: int
    disk_mb: int


class Config(msgspec.Struct, kw_only=True):
    """A workload type's configuration, whole."""

    config_id: str
    workload_type: str
    description: str
    config_json: JsonObject
    resource_limits: ResourceLimits
    checkpoint_interval_sec: int
    max_retries: int
    timeout_seconds: int | None
    input_schema: JsonObject | None
    created_at: Timestamp
    updated_at: Timestamp


class ConfigCreated(msgspec.Struct):
    """The workload type is set up."""

    config_id: str
    workload_type: str
    created_at: Timestamp


class ConfigsAnswer(msgspec.Struct):
    """A customer's configs, oldest first."""

    configs: list[Config]
    pagination: Pagination


class CustomerLimits(msgspec.Struct):
    """The limits that hold: the customer's own, else the tier's."""

    max_concurrent_workloads: int
    max_queue_depth: int
    rate_limit_per_sec: float
    burst: Annotated[int, Meta(description="Calls that may come at once after a rest.")]


class CustomerUsage(msgspec.Struct):
    """What the customer uses now."""

    current_running_workloads: Annotated[int, Meta(description="SCHEDULED and RUNNING.")]
    current_queue_depth: Annotated[int, Meta(description="PENDING and REDISTRIBUTING.")]
    workloads_today: Annotated[int, Meta(description="Created since midnight, UTC.")]


class CustomerAnswer(msgspec.Struct, kw_only=True):
    """One customer."""

    customer_id: str
    name: str
    tier: TierName
    status: CustomerStatusName
    limits: CustomerLimits
    created_at: Timestamp


class AccountAnswer(CustomerAnswer, kw_only=True):
    """The customer's own account."""

    usage: CustomerUsage


class RunSeconds(msgspec.Struct):
    """How long attempts ran, counted at the end of each."""

    used: Annotated[float, Meta(description="Of all attempts that have ended.")]
    redone: Annotated[
        float,
        Meta(
            description="Of that since the last checkpoint, where another attempt had to do it again: a worker was "
            "lost, an attempt failed, or was handed back."
        ),
    ]
    lost: Annotated[float, Meta(description="Of that since the last checkpoint, of what ended FAILED or CANCELLED.")]


class StatisticsSummary(msgspec.Struct):
    """All workloads created in the period."""

    total_workloads: int
    completed_workloads: int
    failed_workloads: int
    cancelled_workloads: int
    total_execution_hours: float
    run_seconds: RunSeconds


class TypeStatistics(msgspec.Struct):
    """One workload type's share."""

    workload_type: str
    count: int
    avg_duration_seconds: Seconds | None
    failure_rate: Annotated[float, Meta(description="failed / (completed + failed); null without either.")] | None
    run_seconds: RunSeconds


class PeriodStatistics(msgspec.Struct):
    """One day's or hour's share; those without workloads are left out."""

    start: Timestamp
    count: int
    completed: int
    failed: int
    cancelled: int
    avg_duration_seconds: Seconds | None


class StatisticsAnswer(msgspec.Struct):
    """What became of the workloads created between two days (UTC), both included."""

    start_date: Date
    end_date: Date
    summary: StatisticsSummary
    by_workload_type: list[TypeStatistics] | UnsetType = UNSET
    by_day: list[PeriodStatistics] | UnsetType = UNSET
    by_hour: list[PeriodStatistics] | UnsetType = UNSET
