"""What becomes of submissions, and how an idempotency key keeps it for whoever comes with the key again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from niyanta.errors import ApiError, InvalidInputError, ServiceUnavailableError

__all__ = ["ItemOutcome", "Submission", "SubmissionAnswer", "kept", "recalled"]


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


def recalled(answer: str) -> SubmissionAnswer:
    """What `kept` has kept, as the answer to one who asks again."""
    outcomes: list[ItemOutcome] = [
        _KEPT_ERRORS[entry.code](entry.message, details=entry.details)
        if isinstance(entry, _KeptError)
        else Submission(entry.workload_id, entry.created_at, entry.estimated_start_at)
        for entry in _recall(answer)
    ]
    return SubmissionAnswer(outcomes, replayed=True)
