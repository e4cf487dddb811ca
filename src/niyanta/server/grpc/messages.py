"""Between the protocol's messages and what the services take and give."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import msgspec
from google.protobuf.json_format import ParseDict

from niyanta.domain.workload import Status
from niyanta.errors import InvalidInputError, PayloadTooLargeError
from niyanta.server.grpc.values import json_of, put_time, struct_of
from niyanta.server.services.outcomes import Submission
from niyanta.server.services.workloads import Outlook
from niyanta.server.store.listing import WorkloadSummary
from niyanta.server.store.stored_workload import StoredWorkload
from niyanta.wire.strict_json import StrictDecoder
from niyanta.wire.v1 import workload_service_pb2 as pb

__all__ = [
    "affinity_of",
    "checked",
    "status_message",
    "status_of",
    "submission_of",
    "submitted_message",
    "workload_message",
    "workload_summary_message",
]

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode

_PREFIX = "WORKLOAD_STATUS_"
_NUMBERS: dict[str, pb.WorkloadStatus] = {
    status.value: cast("pb.WorkloadStatus", pb.WorkloadStatus.Value(_PREFIX + status.value)) for status in Status
}
_NAMES: dict[int, str] = {number: name for name, number in _NUMBERS.items()}
_SIDES = ("hard_affinity", "soft_affinity", "anti_affinity")


def status_message(status: str) -> pb.WorkloadStatus:
    """The protocol's number for a status, of the enum's type."""
    return _NUMBERS[status]


def status_of(number: int, field: str = "status") -> str | None:
    """The status that a filter names; None when it names none.

    Raises:
        InvalidInputError: There is no such status.
    """
    if not number:
        return None
    if number not in _NAMES:
        raise InvalidInputError(
            f"{field}: there is no status {number}",
            details={"field": field, "allowed": [_PREFIX + name for name in _NAMES.values()]},
        )
    return _NAMES[number]


def submission_of(request: pb.SubmitWorkloadRequest, place: str = "") -> dict[str, Any]:
    """A submission as REST's body has it, so that the same decoder checks both; what is unset is left out.

    Raises:
        InvalidInputError: A number or a nesting that can't be taken; ``details.field``, after ``place``, says where.
    """
    found: dict[str, Any] = {}
    if request.workload_type:
        found["workload_type"] = request.workload_type
    if request.HasField("input_params"):
        found["input_params"] = json_of(request.input_params, f"{place}input_params")
    if request.HasField("priority"):
        found["priority"] = request.priority
    if request.HasField("affinity_rules"):
        found["affinity_rules"] = affinity_of(request.affinity_rules)
    if request.timeout_seconds:
        found["timeout_seconds"] = request.timeout_seconds
    if request.labels:
        found["labels"] = dict(request.labels)
    return found


def affinity_of(rules: pb.AffinityRules) -> dict[str, Any]:
    """Affinity rules as REST's body has them."""
    return {side: _constraint_of(getattr(rules, side)) for side in _SIDES if rules.HasField(side)}


def _constraint_of(constraint: pb.AffinityConstraint) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if constraint.worker_id:
        found["worker_id"] = constraint.worker_id
    if constraint.worker_tags:
        found["worker_tags"] = dict(constraint.worker_tags)
    if constraint.workload_types:
        found["workload_types"] = list(constraint.workload_types)
    return found


def checked(decoder: StrictDecoder[T], found: dict[str, Any], max_bytes: int) -> T:
    """A request that was put into REST's form, under the rules that hold for REST's body.

    Raises:
        InvalidInputError: ``details.field`` names the place, where there is one.
        PayloadTooLargeError: The JSON is larger than ``max_bytes``.
    """
    body = _encode(found)
    if len(body) > max_bytes:
        raise PayloadTooLargeError(
            f"As JSON the request is larger than {max_bytes} bytes", details={"max_bytes": max_bytes}
        )
    return decoder.decode(body)


def submitted_message(done: Submission) -> pb.SubmitWorkloadResponse:
    """A submission that was accepted."""
    found = pb.SubmitWorkloadResponse(workload_id=done.workload_id, status=status_message(Status.PENDING), version=1)
    put_time(found.created_at, done.created_at)
    put_time(found.estimated_start_time, done.estimated_start_at)
    return found


def workload_message(workload: StoredWorkload, outlook: Outlook) -> pb.Workload:
    """One workload, whole.

    Raises:
        InvalidStateError: Its input or result can't be carried exactly.
    """
    found = workload_summary_message(workload)
    found.customer_id = workload.customer_id
    struct_of(workload.input_params, "input_params", found.input_params)
    if workload.result_json is not None:
        struct_of(workload.result_json, "result_data", found.result_data)
    if workload.affinity_rules is not None:
        ParseDict(msgspec.json.decode(workload.affinity_rules), found.affinity_rules)
    found.error_message = workload.error_message or ""
    found.error_fingerprint = workload.error_fingerprint or ""
    put_time(found.scheduled_at, workload.scheduled_at)
    found.checkpoint_sequence = workload.checkpoint_sequence
    found.generation = workload.generation
    found.timeout_seconds = workload.timeout_seconds or 0
    found.pending_reason = outlook.pending_reason or ""
    put_time(found.estimated_start_time, outlook.estimated_start_at)
    put_time(found.estimated_completion_time, outlook.estimated_completion_at)
    found.progress_message = workload.progress_message or ""
    found.replayed_from = workload.replayed_from or ""
    found.forked_from = workload.forked_from or ""
    found.from_checkpoint = workload.from_checkpoint or 0
    if outlook.seconds_since_checkpoint is not None:
        found.seconds_since_checkpoint = round(outlook.seconds_since_checkpoint, 3)
    if workload.status is Status.PAUSED:
        put_time(found.paused_at, workload.paused_at)
    if workload.status is Status.CANCELLED:
        put_time(found.cancelled_at, workload.completed_at)
    return found


def workload_summary_message(workload: StoredWorkload | WorkloadSummary) -> pb.Workload:
    """One workload as lists show it."""
    found = pb.Workload(
        workload_id=workload.workload_id,
        workload_type=workload.workload_type,
        status=status_message(workload.status),
        priority=workload.priority,
        progress_percent=workload.progress_percent,
        worker_id=workload.worker_id or "",
        retry_count=workload.retry_count,
        version=workload.version,
        labels=None if workload.labels is None else msgspec.json.decode(workload.labels),
    )
    put_time(found.created_at, workload.created_at)
    put_time(found.started_at, workload.started_at)
    put_time(found.completed_at, workload.completed_at)
    return found
