"""What the REST API answers: bodies in the contract's shapes, and the error envelope."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.responses import Response

from niyanta.errors import ApiError

__all__ = ["error_response", "json_response", "timestamp", "workload_body", "workload_row_body"]

_encode = msgspec.json.Encoder().encode


def timestamp(at: datetime | None) -> str | None:
    """RFC 3339, UTC, milliseconds, ``Z``."""
    if at is None:
        return None
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON body; `msgspec.Raw` parts are passed through as they are stored."""
    return Response(_encode(body), status, headers, media_type="application/json")


def error_response(error: ApiError, request_id: str, headers: dict[str, str] | None = None) -> Response:
    """The contract's error envelope."""
    headers = dict(headers or {})
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_seconds)))
    body = {
        "error": {
            "code": error.code,
            "message": error.message,
            "details": error.details,
            "request_id": request_id,
        }
    }
    return json_response(body, error.http_status, headers)


def _raw(text: str | None) -> Any:
    return None if text is None else msgspec.Raw(text.encode())


def workload_body(row: Any, pending_reason: str | None) -> dict[str, Any]:
    """One workload, whole, from its row."""
    body = {
        "workload_id": row["workload_id"],
        "customer_id": row["customer_id"],
        "workload_type": row["workload_type"],
        "status": row["status"],
        "priority": row["priority"],
        "progress_percent": row["progress_percent"],
        "worker_id": row["worker_id"],
        "input_params": _raw(row["input_params"]),
        "result_data": _raw(row["result_json"]),
        "error_message": row["error_message"],
        "retry_count": row["retry_count"],
        "created_at": timestamp(row["created_at"]),
        "scheduled_at": timestamp(row["scheduled_at"]),
        "started_at": timestamp(row["started_at"]),
        "completed_at": timestamp(row["completed_at"]),
        "estimated_completion_time": None,
        "version": row["version"],
        "generation": row["generation"],
        "checkpoint_sequence": row["checkpoint_sequence"],
        "timeout_seconds": row["timeout_seconds"],
        "affinity_rules": _raw(row["affinity_rules"]),
        "pending_reason": pending_reason,
        "progress_message": row["progress_message"],
    }
    if row["status"] == "PAUSED":
        body["paused_at"] = timestamp(row["paused_at"])
    if row["status"] == "CANCELLED":
        body["cancelled_at"] = timestamp(row["completed_at"])
    return body


def workload_row_body(row: Any) -> dict[str, Any]:
    """One workload as lists show it."""
    return {
        "workload_id": row["workload_id"],
        "workload_type": row["workload_type"],
        "status": row["status"],
        "priority": row["priority"],
        "progress_percent": row["progress_percent"],
        "worker_id": row["worker_id"],
        "retry_count": row["retry_count"],
        "created_at": timestamp(row["created_at"]),
        "started_at": timestamp(row["started_at"]),
        "completed_at": timestamp(row["completed_at"]),
        "version": row["version"],
    }
