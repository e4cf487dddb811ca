"""What is to be said of a workload that doesn't wait for a worker: where it runs, who paused it, how it ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from niyanta.domain.explanation import Reason, ReasonCode
from niyanta.domain.workload import Status
from niyanta.server.store.audit_events import StoredAuditEvent
from niyanta.server.store.stored_workload import StoredWorkload

__all__ = ["standing_reason"]


def standing_reason(workload: StoredWorkload, last: StoredAuditEvent | None) -> Reason:
    """Why a workload that isn't queued is where it is.

    Args:
        workload: Not PENDING or REDISTRIBUTING.
        last: The last line of its history, if it has been kept.
    """
    match workload.status:
        case Status.SCHEDULED:
            return _starting(workload)
        case Status.RUNNING:
            return _running(workload)
        case Status.PAUSED:
            return _paused(workload)
        case Status.CANCELLED:
            return _cancelled(workload, last)
        case Status.FAILED:
            return _failed(workload, last)
        case _:
            return _completed(workload)


def _starting(workload: StoredWorkload) -> Reason:
    seconds = _seconds(workload.scheduled_at, workload.db_now)
    summary = f"worker {workload.worker_id} has been given it"
    details = {"worker_id": workload.worker_id, "attempt": workload.generation, "seconds": seconds}
    return Reason(
        ReasonCode.STARTING, summary, f"{summary} {seconds:g} s ago and hasn't said yet that it runs", details
    )


def _running(workload: StoredWorkload) -> Reason:
    seconds = _seconds(workload.attempt_started_at, workload.db_now)
    summary = f"it runs on worker {workload.worker_id}"
    message = f"attempt {workload.generation} runs on worker {workload.worker_id} for {seconds:g} s"
    details: dict[str, Any] = {
        "worker_id": workload.worker_id,
        "attempt": workload.generation,
        "seconds": seconds,
        "progress_percent": workload.progress_percent,
        "checkpoint_sequence": workload.checkpoint_sequence,
    }
    code = ReasonCode.RUNNING
    if workload.pause_phase is not None:
        code, summary = ReasonCode.PAUSING, summary + " until its next checkpoint"
        message += f"; a pause{_asked(workload)} waits for its next checkpoint"
        details |= _by(workload)
    return Reason(code, summary, f"{message}, {workload.progress_percent} % done", details)


def _paused(workload: StoredWorkload) -> Reason:
    seconds = _seconds(workload.paused_at, workload.db_now)
    message = f"paused{_asked(workload)} {seconds:g} s ago, at checkpoint {workload.checkpoint_sequence}"
    details = {"seconds": seconds, "checkpoint_sequence": workload.checkpoint_sequence, **_by(workload)}
    return Reason(ReasonCode.PAUSED, "paused", message, details, "it is resumed")


def _cancelled(workload: StoredWorkload, last: StoredAuditEvent | None) -> Reason:
    details: dict[str, Any] = {"attempts": workload.generation}
    message = "cancelled"
    if last is not None:
        details["by"] = last.actor_id
        message += f" by {last.actor_id}"
        if reason := _facts(last).get("reason"):
            details["reason"] = reason
            message += f": {reason}"
    return Reason(ReasonCode.CANCELLED, "cancelled", message, details)


def _failed(workload: StoredWorkload, last: StoredAuditEvent | None) -> Reason:
    facts = {} if last is None else _facts(last)
    details: dict[str, Any] = {"attempts": workload.generation, "error": workload.error_message}
    why = facts.get("reason")
    if why is not None:
        details["reason"] = why
    said = f" ({why})" if why else ""
    message = f"failed in attempt {workload.generation}{said}: {workload.error_message}"
    return Reason(ReasonCode.FAILED, "failed", message, details, "it is replayed")


def _completed(workload: StoredWorkload) -> Reason:
    details: dict[str, Any] = {"worker_id": workload.worker_id, "attempts": workload.generation}
    message = f"completed in attempt {workload.generation} on worker {workload.worker_id}"
    if workload.started_at is not None and workload.completed_at is not None:
        details["seconds"] = _seconds(workload.started_at, workload.completed_at)
        message += f", {details['seconds']:g} s after its first start"
    return Reason(ReasonCode.COMPLETED, "completed", message, details)


def _asked(workload: StoredWorkload) -> str:
    return f" by {workload.paused_by}" if workload.paused_by else ""


def _by(workload: StoredWorkload) -> dict[str, str]:
    return {"by": workload.paused_by} if workload.paused_by else {}


def _facts(event: StoredAuditEvent) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.json.decode(event.details_json)
    return facts


def _seconds(since: datetime | None, until: datetime) -> float:
    return 0.0 if since is None else round(max(0.0, (until - since).total_seconds()), 3)
