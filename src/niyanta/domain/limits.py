"""What each tier may use, and the defaults where no config says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "DEFAULT_CONFIG",
    "LIMIT_RANGES",
    "MAX_PRIORITY",
    "MAX_TIMEOUT_SECONDS",
    "TIERS",
    "Tier",
    "TierLimits",
    "TypeConfig",
]

MAX_PRIORITY = 1000
MAX_TIMEOUT_SECONDS = 30 * 24 * 3600


class Tier(StrEnum):
    """A customer's class, lowest first."""

    FREE = "free"
    STANDARD = "standard"
    PREMIUM = "premium"
    ENTERPRISE = "enterprise"


@dataclass(frozen=True, slots=True)
class TierLimits:
    """A tier's defaults; a customer's own figures override them."""

    weight: int
    """Share of the dispatches against other customers."""
    max_concurrent_workloads: int
    max_queue_depth: int
    rate_limit_per_sec: float
    burst: int


TIERS: dict[Tier, TierLimits] = {
    Tier.FREE: TierLimits(1, 10, 50, 1, 5),
    Tier.STANDARD: TierLimits(10, 100, 500, 10, 50),
    Tier.PREMIUM: TierLimits(50, 500, 2_000, 50, 200),
    Tier.ENTERPRISE: TierLimits(100, 2_000, 10_000, 200, 1_000),
}


LIMIT_RANGES: dict[str, tuple[float, float]] = {
    "max_concurrent_workloads": (0, 1_000_000),
    "max_queue_depth": (0, 10_000_000),
    "rate_limit_per_sec": (0.001, 1_000_000),
    "burst": (1, 1_000_000),
}
"""Least and greatest figure of its own that a customer may have."""


@dataclass(frozen=True, slots=True)
class TypeConfig:
    """What a workload keeps, for all its attempts, from its first assignment."""

    config_json: str = "{}"
    """The handler's configuration, a JSON object."""
    max_retries: int = 3
    timeout_seconds: int | None = None
    """Bound on one attempt's running time."""
    checkpoint_interval_sec: int = 300
    cpu_cores: float = 1.0
    memory_mb: int = 512
    disk_mb: int = 1024


DEFAULT_CONFIG = TypeConfig()
