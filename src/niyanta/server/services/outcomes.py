"""What becomes of submissions, and how an idempotency key keeps it for whoever comes with the key again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec

from niyanta.errors import ApiError, ConflictError, InvalidInputError, ServiceUnavailableError
from niyanta.server.store.submissions import KeyUse, NewWorkload

__all__ = [
    "ItemOutcome",
    "Submission",
    "SubmissionAnswer",
    "answered_before",
    "found",
    "held_up",
    "kept",
    "queue_full",
    "unknown",
]


class Submission(msgspec.Struct, frozen=True):
    """A workload that was created, now or the first time its idempotency key was used."""

    workload_id: str
    created_at: datetime
    estimated_start_at: datetime | None
    replayed: bool = False


ItemOutcome = Submission | ApiError


class SubmissionAnswer(msgspec.Struct, frozen=True):
    """What became of each workload of a submission, in order."""

    outcomes: list[ItemOutcome]
    replayed: bool = False
    """Whether it is the answer that its idempotency key had the first time."""


class _KeptSubmission(msgspec.Struct, array_like=True, tag="created"):
    workload_id: str
    created_at: datetime
    estimated_start_at: datetime | None


class _KeptError(msgspec.Struct, array_like=True, tag="refused"):
    code: str
    message: str
    details: dict[str, Any]


_keep = msgspec.json.Encoder().encode
_recall = msgspec.json.Decoder(list[_KeptSubmission | _KeptError]).decode
_KEPT_ERRORS: dict[str, type[ApiError]] = {kind.code: kind for kind in (InvalidInputError, ServiceUnavailableError)}


def kept(outcomes: Sequence[ItemOutcome]) -> str:
    """The outcomes of one call as JSON, to be stored with its key."""
    entries = [
        _KeptError(outcome.code, outcome.message, outcome.details)
        if isinstance(outcome, ApiError)
        else _KeptSubmission(outcome.workload_id, outcome.created_at, outcome.estimated_start_at)
        for outcome in outcomes
    ]
    return _keep(entries).decode()


def answered_before(body_sha256: bytes, earlier: KeyUse) -> SubmissionAnswer | ConflictError:
    """What one gets who comes with an idempotency key that was used before."""
    if earlier.body_sha256 != body_sha256:
        return ConflictError(
            "This Idempotency-Key was used with another body",
            details={"field": "Idempotency-Key", "allowed": "the same body as the first time, or another key"},
        )
    return _recalled(earlier.answer)


def _recalled(answer: str) -> SubmissionAnswer:
    """What `kept` has kept, as the answer to one who asks again."""
    outcomes: list[ItemOutcome] = [
        _KEPT_ERRORS[entry.code](entry.message, details=entry.details)
        if isinstance(entry, _KeptError)
        else Submission(entry.workload_id, entry.created_at, entry.estimated_start_at)
        for entry in _recall(answer)
    ]
    return SubmissionAnswer(outcomes, replayed=True)


def held_up() -> ServiceUnavailableError:
    """The refusal while somebody holds the customer's counts for long."""
    return ServiceUnavailableError(
        "Another change of yours is under way and doesn't come to an end; try again",
        details={"dependency": "database"},
        retry_after_seconds=1,
    )


def queue_full(queued: int, limit: int) -> ServiceUnavailableError:
    """The refusal of what a queue has no room for."""
    return ServiceUnavailableError(
        f"The queue is full: {queued} of {limit} workloads are waiting",
        details={"current_queue_depth": queued, "max_queue_depth": limit},
        retry_after_seconds=5,
    )


def unknown(*, has_key: bool) -> ServiceUnavailableError:
    """Clients repeat by themselves what has ``retry_after_seconds``: only what a key keeps from being done twice."""
    advice = "send it again with the same Idempotency-Key" if has_key else "look at your workloads before you do"
    return ServiceUnavailableError(
        f"The database's answer was lost, and whether this is stored is unknown; {advice}",
        details={"dependency": "database", "outcome": "unknown"},
        retry_after_seconds=1 if has_key else None,
    )


def found(items: Sequence[NewWorkload | ApiError], stored: Collection[str]) -> SubmissionAnswer:
    """A submission's answer after a COMMIT that broke.

    Args:
        items: What was to be stored, or why it was refused before that.
        stored: Ids of those that are.

    Raises:
        ServiceUnavailableError: Nothing of it is stored; it may be sent again.
    """
    again = ServiceUnavailableError("Not stored; try again", retry_after_seconds=1)
    outcomes: list[ItemOutcome] = [
        item
        if isinstance(item, ApiError)
        else Submission(item.workload_id, item.created_at, item.estimated_start_at)
        if item.workload_id in stored
        else again
        for item in items
    ]
    if not any(isinstance(outcome, Submission) for outcome in outcomes):
        raise again
    return SubmissionAnswer(outcomes)
