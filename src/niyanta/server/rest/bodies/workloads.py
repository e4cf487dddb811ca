"""The JSON bodies of the API, one struct a shape: what is encoded, and what the OpenAPI document shows."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from niyanta.domain.records import LogLevel
from niyanta.domain.workload import ActorType, Status
from niyanta.server.services.workloads import CancelRequest

__all__ = [
    "AuditAnswer",
    "AuditEvent",
    "BatchAnswer",
    "BatchResult",
    "CancelAnswer",
    "CancelBatchAnswer",
    "CancelRequest",
    "CancelResult",
    "ErrorBody",
    "ErrorEnvelope",
    "HealthAnswer",
    "ItemError",
    "JsonObject",
    "LabelsBody",
    "ListAnswer",
    "LogLine",
    "LogsAnswer",
    "NoFields",
    "Pagination",
    "PauseAnswer",
    "ReadyAnswer",
    "ResumeAnswer",
    "SubmitAnswer",
    "Timestamp",
    "Workload",
    "WorkloadRow",
    "WorkloadStatus",
    "one_of",
]


def one_of(words: type[StrEnum], description: str | None = None) -> Meta:
    """Which words there are, for the OpenAPI document; what is given is checked elsewhere, with better words."""
    return Meta(description=description, extra_json_schema={"enum": [word.value for word in words]})


Timestamp = Annotated[
    str,
    Meta(
        description="UTC, RFC 3339 with milliseconds.",
        examples=["2025-10-27T12:34:56.000Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
JsonObject = Annotated[Raw, Meta(extra_json_schema={"type": "object", "additionalProperties": True})]
LabelsBody = Annotated[Raw, Meta(extra_json_schema={"type": "object", "additionalProperties": {"type": "string"}})]
WorkloadStatus = Annotated[str, one_of(Status)]
Version = Annotated[int, Meta(description="Grows by one with each committed change.", ge=1)]


class ErrorBody(msgspec.Struct):
    """What went wrong."""

    code: str
    message: str
    details: dict[str, Any]
    request_id: str


class ErrorEnvelope(msgspec.Struct):
    """Every answer that is not a success."""

    error: ErrorBody


class NoFields(msgspec.Struct, forbid_unknown_fields=True):
    """A body that may be ``{}`` or nothing."""


class SubmitAnswer(msgspec.Struct):
    """A submission that was accepted and is stored."""

    workload_id: str
    status: WorkloadStatus
    created_at: Timestamp
    estimated_start_time: Timestamp | None
    version: Version


class ItemError(msgspec.Struct):
    """Why one item of a batch was refused; as in the error envelope."""

    code: str
    message: str
    details: dict[str, Any]


class BatchResult(msgspec.Struct):
    """What became of one workload of a batch: created, or refused with ``error``."""

    index: Annotated[int, Meta(description="Its place in the request, from 0.", ge=0)]
    workload_id: str | UnsetType = UNSET
    status: WorkloadStatus | UnsetType = UNSET
    created_at: Timestamp | UnsetType = UNSET
    estimated_start_time: Timestamp | UnsetType | None = UNSET
    version: Version | UnsetType = UNSET
    error: ItemError | UnsetType = UNSET


class BatchAnswer(msgspec.Struct):
    """A batch that was looked at; what it says was accepted is stored."""

    results: list[BatchResult]
    accepted: int
    rejected: int


class WorkloadRow(msgspec.Struct, kw_only=True):
    """One workload as lists show it."""

    workload_id: str
    workload_type: str
    status: WorkloadStatus
    priority: int
    progress_percent: int
    worker_id: str | None
    retry_count: int
    created_at: Timestamp
    started_at: Timestamp | None
    completed_at: Timestamp | None
    version: Version
    labels: LabelsBody


class Workload(msgspec.Struct, kw_only=True):
    """One workload, whole."""

    workload_id: str
    customer_id: str
    workload_type: str
    status: WorkloadStatus
    priority: int
    progress_percent: int
    worker_id: str | None
    input_params: JsonObject
    result_data: JsonObject | None
    error_message: str | None
    retry_count: int
    created_at: Timestamp
    scheduled_at: Timestamp | None
    started_at: Timestamp | None
    completed_at: Timestamp | None
    estimated_start_time: Timestamp | None
    estimated_completion_time: Timestamp | None
    version: Version
    generation: int
    checkpoint_sequence: int
    seconds_since_checkpoint: (
        Annotated[
            float,
            Meta(
                description="Of one that runs: since its last checkpoint, or since the attempt began; so much would "
                "be done again if its worker were lost now.",
                ge=0,
            ),
        ]
        | None
    )
    timeout_seconds: int | None
    affinity_rules: JsonObject | None
    pending_reason: str | None
    progress_message: str | None
    replayed_from: Annotated[str | None, Meta(description="The workload that it is a replay of.")]
    forked_from: Annotated[str | None, Meta(description="The workload that it is a fork of.")]
    from_checkpoint: Annotated[int | None, Meta(description="The checkpoint of that one at which it began.")]
    labels: LabelsBody
    error_fingerprint: Annotated[str | None, Meta(description="Of one that FAILED: names the failures like its own.")]
    paused_at: Timestamp | UnsetType | None = UNSET
    cancelled_at: Timestamp | UnsetType | None = UNSET


class Pagination(msgspec.Struct, kw_only=True, omit_defaults=False):
    """``total``, ``limit`` and ``offset`` come with offset pages only, ``total`` also with a log's ``tail``."""

    has_more: bool
    next_cursor: str | None = None
    reached_at: (
        Annotated[
            Timestamp,
            Meta(
                description="Of workloads by labels or a fingerprint, while has_more: the page has looked at those "
                "submitted up to here, in its order, whether they fit or not."
            ),
        ]
        | UnsetType
    ) = UNSET
    total: int | UnsetType = UNSET
    total_is_estimate: bool | UnsetType = UNSET
    limit: int | UnsetType = UNSET
    offset: int | UnsetType = UNSET


class ListAnswer(msgspec.Struct):
    """One page of workloads."""

    workloads: list[WorkloadRow]
    pagination: Pagination


class CancelAnswer(msgspec.Struct):
    """The cancellation is committed."""

    workload_id: str
    status: WorkloadStatus
    cancelled_at: Timestamp | None
    version: Version


class CancelResult(msgspec.Struct):
    """What became of one workload of a batch: cancelled, or not for the reason in ``error``."""

    workload_id: str
    status: WorkloadStatus | UnsetType = UNSET
    cancelled_at: Timestamp | UnsetType | None = UNSET
    version: Version | UnsetType = UNSET
    error: ItemError | UnsetType = UNSET


class CancelBatchAnswer(msgspec.Struct):
    """The cancellations are committed."""

    results: list[CancelResult]
    cancelled: int
    failed: int
    has_more: Annotated[bool, Meta(description="The filter means more workloads: call again.")]


class PauseAnswer(msgspec.Struct):
    """The checkpoint is safe and the processes are gone."""

    workload_id: str
    status: WorkloadStatus
    paused_at: Timestamp | None
    checkpoint_sequence: int
    version: Version


class ResumeAnswer(msgspec.Struct):
    """The workload waits for a worker again."""

    workload_id: str
    status: WorkloadStatus
    checkpoint_sequence: int
    version: Version


class LogLine(msgspec.Struct, kw_only=True):
    """One line of a workload's log; ``attempt`` and ``sequence`` name it for ever."""

    timestamp: Timestamp
    level: Annotated[str, one_of(LogLevel)]
    message: str
    details: JsonObject
    attempt: Annotated[int, Meta(description="Which attempt wrote it, from 1.", ge=1)]
    sequence: Annotated[int, Meta(description="Grows from line to line within the attempt.", ge=1)]


class LogsAnswer(msgspec.Struct, kw_only=True):
    """Log lines in the order asked for."""

    workload_id: str
    logs: list[LogLine]
    has_more: Annotated[bool, Meta(description="As in `pagination`.")]
    pagination: Pagination


class AuditEvent(msgspec.Struct):
    """One move of the workload."""

    event_id: Annotated[int, Meta(description="Counts from 1 within the workload.", ge=1)]
    event_type: str
    timestamp: Timestamp
    actor_type: Annotated[str, one_of(ActorType)]
    actor_id: str
    details: JsonObject


class AuditAnswer(msgspec.Struct):
    """The workload's history in order."""

    workload_id: str
    events: list[AuditEvent]
    pagination: Pagination


class HealthAnswer(msgspec.Struct):
    """The coordinator is alive."""

    status: str
    timestamp: Timestamp


class Dependencies(msgspec.Struct):
    database: Annotated[str, Meta(extra_json_schema={"enum": ["connected", "disconnected"]})]
    broker: Annotated[str, Meta(extra_json_schema={"enum": ["connected", "disconnected"]})]
    leader_elected: bool


class ReadyAnswer(msgspec.Struct):
    """Whether the coordinator has what it needs to serve."""

    status: Annotated[str, Meta(extra_json_schema={"enum": ["ready", "not_ready"]})]
    dependencies: Dependencies
