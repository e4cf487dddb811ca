"""The shapes of what clients send: dicts, with their keys known to type checkers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Required, TypedDict

from niyanta.client.status import Status

__all__ = ["AffinityRule", "AffinityRules", "BatchFilter", "Changes", "ListFilter", "Submission", "TierLimits"]


class AffinityRule(TypedDict, total=False):
    """What a worker is asked for; all that is given must hold."""

    worker_id: str
    """This worker."""
    worker_tags: dict[str, str]
    """It has these tags."""
    workload_types: Sequence[str]
    """It serves these types; in ``anti_affinity``: it runs one of them."""


class AffinityRules(TypedDict, total=False):
    """Which workers may run a workload."""

    hard_affinity: AffinityRule
    """Only such."""
    soft_affinity: AffinityRule
    """Such before others."""
    anti_affinity: AffinityRule
    """None of such."""


class Submission(TypedDict, total=False):
    """One workload of a batch; fields as in ``submit``."""

    workload_type: Required[str]
    input_params: Required[dict[str, Any]]
    priority: int
    affinity_rules: AffinityRules
    timeout_seconds: int
    labels: Mapping[str, str]


class Changes(TypedDict, total=False):
    """What of a waiting workload is to be different."""

    priority: int
    """0 to 1000, higher first."""
    timeout_seconds: int | None
    """None: what the type's config says."""
    affinity_rules: AffinityRules | None
    """None: it may run anywhere."""
    labels: dict[str, str] | None
    """In place of all that it has; None: no labels."""


class BatchFilter(TypedDict, total=False):
    """Which workloads to cancel or to replay, oldest first; all that is given must hold."""

    status: Status | str
    workload_type: str
    created_before: datetime | str
    created_after: datetime | str
    labels: Mapping[str, str]
    """All of these."""
    fingerprint: str
    """To replay: as `FailureGroup` has it."""


class ListFilter(TypedDict, total=False):
    """Which workloads to list; all that is given, and isn't None, must hold."""

    status: Status | str | None
    workload_type: str | None
    labels: Mapping[str, str] | None
    """All of these. Such lists, and those with what follows, are ordered by ``created_at``."""
    created_before: datetime | str | None
    created_after: datetime | str | None
    q: str | None
    """How the id begins."""
    fingerprint: str | None
    """FAILED with such errors; as `FailureGroup` has it."""


class TierLimits(TypedDict, total=False):
    """A customer's own limits; None: what its tier gives."""

    max_concurrent_workloads: int | None
    max_queue_depth: int | None
    rate_limit_per_sec: float | None
    """Requests per second."""
    burst: int | None
    """Requests at once, after a rest."""
