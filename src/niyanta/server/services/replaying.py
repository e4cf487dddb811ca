"""Replays and forks: what was submitted once more, as a new workload that knows where it comes from.

A replay is of what has ended, and begins at the start or a checkpoint; a fork is of anything that has a checkpoint,
and begins there, whatever the original does. Each is a submission like any other: the same checks, limits and
idempotency keys, and the same transaction. Many replays at once are found by a filter, in order of their ids, and
stored by one transaction; a cursor leads to the next. So a call that is lost with its coordinator has done all of its
part or nothing, and with its key it is sent again at no risk. Whether a checkpoint is there is decided by that
transaction alone, which holds it until it is copied.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from niyanta.domain.limits import (
    MAX_BATCH,
    MAX_CHECKPOINT_SEQUENCE,
    MAX_CURSOR_LENGTH,
    MAX_FINGERPRINT_LENGTH,
    MAX_PRIORITY,
    MAX_TYPE_LENGTH,
)
from niyanta.domain.workload import TERMINAL, Status
from niyanta.errors import ApiError, ConflictError, InvalidInputError, InvalidStateError, ServiceUnavailableError
from niyanta.server.access.gate import check_workload
from niyanta.server.services.cursors import Cursors
from niyanta.server.services.matching import narrowed
from niyanta.server.services.outcomes import ItemOutcome, Submission
from niyanta.server.services.requests import Labels, SubmitRequest, check_labels
from niyanta.server.services.submission import SubmissionService
from niyanta.server.services.workloads import WorkloadService
from niyanta.server.store.customers import Identity
from niyanta.server.store.database import Database, retried
from niyanta.server.store.list_query import ListQuery
from niyanta.server.store.listing import ListingStore
from niyanta.server.store.origins import Origin, OriginStore, Replayable
from niyanta.server.store.stored_workload import StoredWorkload

__all__ = ["ForkRequest", "ReplayBatchRequest", "ReplayFilter", "ReplayRequest", "ReplayService", "Replays"]

_MOST_INPUT_BYTES = 8 << 20
"""Of the inputs that one call submits again."""
_MOST_LOOKS = 50
"""By labels one call looks at so many times `REACH` workloads, and then leaves the rest to the next."""
_ASIDE_BYTES = 64 * 1024
"""From here on they are decoded in a thread, so that other requests go on."""
_ENDS = sorted(status.value for status in TERMINAL)
_Priority = Annotated[
    int,
    Meta(
        description="In place of the one it had.",
        extra_json_schema={"minimum": 0, "maximum": MAX_PRIORITY},
    ),
]


class ReplayRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What the replay has differently; the rest is as it was."""

    input_params: Annotated[dict[str, Any], Meta(description="In place of the input it had.")] | None = None
    priority: _Priority | None = None
    from_checkpoint: (
        Annotated[
            int,
            Meta(
                description="Begin at the original's checkpoint with this sequence; at the start when left out.",
                extra_json_schema={"minimum": 1, "maximum": MAX_CHECKPOINT_SEQUENCE},
            ),
        ]
        | None
    ) = None


class ForkRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Where the fork begins, and what it has differently; the rest is as it was."""

    input_params: Annotated[dict[str, Any], Meta(description="In place of the input it had.")] | None = None
    priority: _Priority | None = None
    from_checkpoint: (
        Annotated[
            int,
            Meta(
                description="The sequence of the original's checkpoint at which it begins; the newest when left out.",
                extra_json_schema={"minimum": 1, "maximum": MAX_CHECKPOINT_SEQUENCE},
            ),
        ]
        | None
    ) = None


class ReplayFilter(msgspec.Struct, forbid_unknown_fields=True):
    """Which workloads to replay; all that is given must hold."""

    status: Annotated[str, Meta(extra_json_schema={"enum": _ENDS, "default": Status.FAILED.value})] | None = None
    workload_type: Annotated[str, Meta(min_length=1, max_length=MAX_TYPE_LENGTH)] | None = None
    created_before: datetime | None = None
    created_after: datetime | None = None
    labels: Labels | UnsetType = UNSET
    fingerprint: (
        Annotated[
            str, Meta(description="As GET /v1/failures has it.", min_length=1, max_length=MAX_FINGERPRINT_LENGTH)
        ]
        | UnsetType
    ) = UNSET


class ReplayBatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which workloads to replay, the oldest first."""

    filter: ReplayFilter
    priority: _Priority | None = None
    limit: Annotated[int, Meta(description="No more than these with one call.", ge=1, le=MAX_BATCH)] = MAX_BATCH
    cursor: (
        Annotated[str, Meta(description="next_cursor of the call before.", max_length=MAX_CURSOR_LENGTH)] | None
    ) = None


@dataclass(frozen=True, slots=True)
class Replays:
    """What became of each workload that a call came to, and where the next call goes on."""

    outcomes: list[tuple[str, ItemOutcome]]
    """The original's id with what became of its replay, in order."""
    next_cursor: str | None
    """None when the filter means no more."""
    replayed: bool
    """Whether it is the answer that the idempotency key had the first time."""


class ReplayService:
    """Replays one customer's workloads."""

    def __init__(
        self, database: Database, workloads: WorkloadService, submissions: SubmissionService, cursors: Cursors
    ) -> None:
        self._database = database
        self._workloads = workloads
        self._submissions = submissions
        self._cursors = cursors
        self._store = OriginStore()
        self._listing = ListingStore()

    async def replay(
        self, identity: Identity, workload_id: str, request: ReplayRequest, idempotency_key: str | None = None
    ) -> Submission:
        """Submit a workload that has ended again.

        Raises:
            ForbiddenError: The credential is good for one workload only.
            NotFoundError: The customer has no such workload.
            InvalidStateError: It hasn't ended.
            InvalidInputError: Something is wrong with what is new, or its type isn't supported any more.
            ConflictError: The idempotency key came with another body before.
            ServiceUnavailableError: The customer's queue is full, or the database is away.
        """
        original = await self._workloads.get(identity, workload_id)
        check_workload(identity, None)
        if not original.status.is_terminal:
            raise InvalidStateError(
                f"Cannot replay a workload that is {original.status.value}; replay takes one that has ended",
                details={"current_status": original.status.value},
            )
        origin = Origin(workload_id, request.from_checkpoint)
        return await self._store_again(identity, "replay", original, request, origin, idempotency_key)

    async def fork(
        self, identity: Identity, workload_id: str, request: ForkRequest, idempotency_key: str | None = None
    ) -> Submission:
        """Submit a workload again, ended or not, to begin at one of its checkpoints.

        Raises:
            ForbiddenError: The credential is good for one workload only.
            NotFoundError: The customer has no such workload.
            InvalidInputError: It has no such checkpoint, or none; else as `replay`.
            ConflictError: As `replay`, or what was its newest checkpoint was dropped this moment.
            ServiceUnavailableError: As `replay`.
        """
        original = await self._workloads.get(identity, workload_id)
        check_workload(identity, None)
        sequence = request.from_checkpoint
        if sequence is None:
            kept = await self._kept(identity, workload_id)
            if not kept:
                raise _no_checkpoint("", "fork", kept)
            sequence = kept[0]
        origin = Origin(workload_id, sequence, is_fork=True)
        return await self._store_again(identity, "fork", original, request, origin, idempotency_key)

    async def _store_again(
        self,
        identity: Identity,
        operation: str,
        original: StoredWorkload,
        request: ReplayRequest | ForkRequest,
        origin: Origin,
        idempotency_key: str | None,
    ) -> Submission:
        asked = request.from_checkpoint
        if asked is not None and not 1 <= asked <= MAX_CHECKPOINT_SEQUENCE:
            raise _no_checkpoint(f" {asked}", operation, await self._kept(identity, original.workload_id))
        found = Replayable(
            workload_id=original.workload_id,
            workload_type=original.workload_type,
            priority=original.priority,
            input_params=original.input_params,
            affinity_rules=original.affinity_rules,
            timeout_seconds=original.timeout_seconds,
            labels=original.labels,
        )
        (again,) = await _submissions([found], request.priority, request.input_params)
        answer = await self._submissions.store(
            identity,
            operation,
            [again],
            idempotency_key,
            origins=[origin],
            named_by=[original.workload_id, request],
        )
        (outcome,) = answer.outcomes
        if isinstance(outcome, ConflictError) and request.from_checkpoint is not None:
            kept = await self._kept(identity, original.workload_id)
            if request.from_checkpoint not in kept:
                raise _no_checkpoint(f" {request.from_checkpoint}", operation, kept)
        if isinstance(outcome, ApiError):
            raise outcome
        return msgspec.structs.replace(outcome, replayed=answer.replayed)

    async def replay_batch(
        self, identity: Identity, request: ReplayBatchRequest, idempotency_key: str | None = None
    ) -> Replays:
        """Submit those again that a filter means, the oldest first; each has its own outcome.

        Ends early where the customer's queue is full, before inputs get too large for one transaction, and by labels
        when it has looked far enough; then it may have none, and a cursor all the same.

        Raises:
            InvalidInputError: The filter or the cursor is wrong.
            ConflictError: The idempotency key came with another body before.
            ServiceUnavailableError: The queue has no room for the first, or the database is away.
        """
        listed = ("replay", identity.customer_id, msgspec.json.encode(request.filter).decode())
        after = None if request.cursor is None else self._cursors.read_id(request.cursor, *listed)
        originals, reached = await self._matching(identity, request.filter, after, request.limit)
        answer = await self._submissions.store(
            identity,
            "replay_batch",
            await _submissions(originals, request.priority),
            idempotency_key,
            origins=[Origin(original.workload_id) for original in originals],
            named_by=request,
        )
        outcomes = await self._by_original(identity, answer.outcomes)
        if outcomes:
            last, _ = outcomes[-1]
            found, further = await self._matching(identity, request.filter, last, 1)
            reached = last if found or further is not None else None
        cursor = None if reached is None else self._cursors.after_id(reached, *listed)
        return Replays(outcomes, cursor, answer.replayed)

    async def _by_original(
        self, identity: Identity, outcomes: Sequence[ItemOutcome]
    ) -> list[tuple[str, ItemOutcome]]:
        """Each outcome with its original, up to where the queue was full; of an answer that was kept, too."""
        made = [outcome.workload_id for outcome in outcomes if isinstance(outcome, Submission)]
        async with self._database.connection(customer_id=identity.customer_id) as conn:
            origins = await self._store.of(conn, identity.customer_id, made)
        found: list[tuple[str, ItemOutcome]] = []
        for outcome in outcomes:
            if isinstance(outcome, ServiceUnavailableError):
                if not found:
                    raise outcome
                break
            if isinstance(outcome, ApiError):
                found.append((outcome.details["replayed_from"], outcome))
            elif outcome.workload_id in origins:  # else retention has taken it meanwhile
                found.append((origins[outcome.workload_id], outcome))
        return found

    @retried
    async def _kept(self, identity: Identity, workload_id: str) -> list[int]:
        """The checkpoints of a workload that another can begin at, the newest first."""
        async with self._database.connection(customer_id=identity.customer_id) as conn:
            return await self._store.copyable(conn, identity.customer_id, workload_id)

    @retried
    async def _matching(
        self, identity: Identity, wanted: ReplayFilter, after: str | None, most: int
    ) -> tuple[list[Replayable], str | None]:
        """What the filter means after an id, in order of ids; and behind which id more of it may be.

        By labels there may be few or none, and more behind.
        """
        status = wanted.status or Status.FAILED.value
        if status not in _ENDS:
            raise InvalidInputError(
                f"filter.status must be one of: {', '.join(_ENDS)}",
                details={"field": "filter.status", "allowed": _ENDS},
            )
        labels = wanted.labels or {}
        check_labels("filter.labels", labels)
        query = narrowed(
            ListQuery(identity.customer_id, status, wanted.workload_type, descending=False, limit=most),
            labels=labels.items(),
            fingerprint=wanted.fingerprint or None,
            created_after=wanted.created_after,
            created_before=wanted.created_before,
        )
        if after is not None:
            query = replace(query, after=("", after))
        async with self._database.connection(customer_id=identity.customer_id) as conn:
            ids, place = await self._listing.first_ids(conn, query, _MOST_LOOKS)
            reached = None if place is None else place[1]
            if not ids:
                return [], reached
            return await self._store.replayable(conn, identity.customer_id, ids, _MOST_INPUT_BYTES), reached


def _no_checkpoint(named: str, operation: str, kept: Sequence[int]) -> InvalidInputError:
    return InvalidInputError(
        f"There is no checkpoint{named} of this workload that a {operation} can begin at",
        details={"field": "from_checkpoint", "allowed": list(kept)},
    )


async def _submissions(
    originals: Sequence[Replayable], priority: int | None, input_params: dict[str, Any] | None = None
) -> list[SubmitRequest]:
    size = 0 if input_params is not None else sum(len(original.input_params) for original in originals)
    if size > _ASIDE_BYTES:
        return await asyncio.to_thread(_submitted_again, originals, priority, input_params)
    return _submitted_again(originals, priority, input_params)


def _submitted_again(
    originals: Sequence[Replayable], priority: int | None, input_params: dict[str, Any] | None
) -> list[SubmitRequest]:
    return [
        msgspec.convert(
            {
                "workload_type": original.workload_type,
                "input_params": (
                    msgspec.json.decode(original.input_params) if input_params is None else input_params
                ),
                "priority": original.priority if priority is None else priority,
                "affinity_rules": (
                    None if original.affinity_rules is None else msgspec.json.decode(original.affinity_rules)
                ),
                "timeout_seconds": original.timeout_seconds,
                "labels": {} if original.labels is None else msgspec.json.decode(original.labels),
            },
            SubmitRequest,
        )
        for original in originals
    ]
