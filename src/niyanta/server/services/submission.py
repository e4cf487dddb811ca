"""Submitting workloads: checked, then stored in shared transactions, acknowledged after the commit."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from niyanta.domain.fairness import queue_rank
from niyanta.domain.forms import key_without, with_misfit
from niyanta.domain.ids import make_id
from niyanta.domain.json_schema import Problem, Schema, TooExpensive
from niyanta.domain.transitions import Status
from niyanta.errors import ApiError, ConflictError, InvalidInputError, ServiceUnavailableError
from niyanta.server.directory import Directory, Intake
from niyanta.server.moves.batcher import GroupCommit
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.services.estimator import Estimator
from niyanta.server.services.requests import SubmitRequest, check_idempotency_key, check_values
from niyanta.server.store.customers import Identity
from niyanta.server.store.database import Database, OutcomeUnknownError, TransactionConflictError, retried
from niyanta.server.store.queries import Connection
from niyanta.server.store.submissions import KeyName, KeyUse, NewWorkload, SubmissionStore
from niyanta.wire.messages import WorkloadChange

__all__ = [
    "Answer",
    "Outcome",
    "Submission",
    "SubmissionService",
    "SubmitRequest",
    "check_idempotency_key",
    "placement_key",
]

DEFAULT_PRIORITY = 10
_MOST_IN_A_COMMIT = 1000
_MOST_SCHEMA_ERRORS = 20
_CHECK_ASIDE_BYTES = 16_384
"""Inputs that must fit a JSON Schema are checked in a thread when they are larger, so that other requests go on."""
_LOOK_AGAIN_SECONDS = 0.1
_ORDER_SECONDS = 1e-6
"""Between the ranks of neighbours in a batch, so that they start in the batch's order."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A workload that was created, now or the first time its idempotency key was used."""

    workload_id: str
    created_at: datetime
    estimated_start_at: datetime | None
    replayed: bool = False


Outcome = Submission | ApiError


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of each workload of a submission, in order."""

    outcomes: list[Outcome]
    replayed: bool = False
    """Whether it is the answer that its idempotency key had the first time."""


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """One call on its way to the database."""

    customer_id: str
    items: list[NewWorkload | ApiError]
    key: KeyName | None
    body_sha256: bytes


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


class SubmissionService:
    """Takes submissions of all customers."""

    def __init__(
        self,
        database: Database,
        feed: ChangeFeed,
        directory: Directory,
        estimator: Estimator,
        *,
        outcome_wait_seconds: float,
    ) -> None:
        self._database = database
        self._feed = feed
        self._directory = directory
        self._estimator = estimator
        self._outcome_wait_seconds = outcome_wait_seconds
        self._store = SubmissionStore()
        self._group = GroupCommit[_Request, Answer](
            self._commit, most=_MOST_IN_A_COMMIT, weigh=lambda request: len(request.items)
        )
        self._encode = msgspec.json.Encoder().encode
        self._encode_sorted = msgspec.json.Encoder(order="deterministic").encode

    async def run(self) -> None:
        """Commit until cancelled."""
        await self._group.run()

    async def submit(
        self, identity: Identity, request: SubmitRequest, idempotency_key: str | None = None
    ) -> Submission:
        """Store one workload.

        Raises:
            InvalidInputError: Says which field is wrong and what is allowed.
            ConflictError: The idempotency key came with another body before.
            ServiceUnavailableError: The customer's queue is full, or the database is away.
        """
        answer = await self._submit(identity, "submit", [request], idempotency_key)
        (outcome,) = answer.outcomes
        if isinstance(outcome, ApiError):
            raise outcome
        return replace(outcome, replayed=True) if answer.replayed else outcome

    async def submit_batch(
        self, identity: Identity, requests: Sequence[SubmitRequest], idempotency_key: str | None = None
    ) -> Answer:
        """Store up to 1000 workloads in one transaction, each accepted or refused by itself.

        The key covers the batch as a whole; its answer is kept when at least one workload was accepted.

        Raises:
            ConflictError: The idempotency key came with another body before.
            ServiceUnavailableError: The database is away.
        """
        return await self._submit(identity, "submit_batch", requests, idempotency_key)

    async def _submit(
        self, identity: Identity, operation: str, requests: Sequence[SubmitRequest], key: str | None
    ) -> Answer:
        items = await self._check(identity, requests)
        if key is None and all(isinstance(item, ApiError) for item in items):
            return Answer([item for item in items if isinstance(item, ApiError)])
        if self._group.is_full:
            raise ServiceUnavailableError("Too many submissions wait to be stored; try again", retry_after_seconds=1)
        name, body_sha256 = None, b""
        if key is not None:
            name = KeyName(identity.customer_id, operation, key)
            body_sha256 = hashlib.sha256(self._encode_sorted(requests)).digest()
        asked = _Request(identity.customer_id, items, name, body_sha256)
        try:
            return await self._group.submit(asked)
        except OutcomeUnknownError:
            return await self._find_out(asked)

    async def _check(self, identity: Identity, requests: Sequence[SubmitRequest]) -> list[NewWorkload | ApiError]:
        supported = await self._directory.supported(identity.customer_id)
        if not all(request.workload_type in supported for request in requests):
            await self._directory.refresh_if_older(0.2)  # its first worker may have come this instant
            supported = await self._directory.supported(identity.customer_id)
        inputs = [self._encode(request.input_params).decode() for request in requests]
        to_fit = sum(
            len(text)
            for request, text in zip(requests, inputs, strict=True)
            if (intake := supported.get(request.workload_type)) is not None and intake.checks
        )
        if to_fit > _CHECK_ASIDE_BYTES:
            return await asyncio.to_thread(self._make, identity, requests, inputs, supported)
        return self._make(identity, requests, inputs, supported)

    def _make(
        self,
        identity: Identity,
        requests: Sequence[SubmitRequest],
        inputs: Sequence[str],
        supported: Mapping[str, Intake],
    ) -> list[NewWorkload | ApiError]:
        now_ms = time.time_ns() // 1_000_000
        created_at = datetime.fromtimestamp(now_ms / 1000, UTC)
        # In one millisecond ids sort by their random part; sorted, the batch is listed in its own order.
        randoms = sorted(secrets.randbits(80) for _ in requests)
        estimated_start_at = self._estimator.start_of_submission(identity.customer_id, created_at)
        items: list[NewWorkload | ApiError] = []
        for number, request in enumerate(requests):
            kind, rules = request.workload_type, request.affinity_rules
            try:
                misfits = _check_type(request, supported)
                check_values(request)
            except InvalidInputError as error:
                items.append(error)
                continue
            affinity_json = self._encode_sorted(rules) if rules is not None else None
            affinity = affinity_json.decode() if affinity_json is not None else None
            place = placement_key(kind, affinity_json)
            for form in misfits.split() if misfits else ():
                place = key_without(place, form)
            can_start = self._directory.is_placeable(place, kind, affinity, misfits)
            priority = DEFAULT_PRIORITY if request.priority is None else request.priority
            items.append(
                NewWorkload(
                    customer_id=identity.customer_id,
                    workload_id=make_id("wl_", now_ms, randoms[number]),
                    workload_type=kind,
                    priority=priority,
                    input_json=inputs[number],
                    affinity_json=affinity,
                    timeout_seconds=request.timeout_seconds,
                    placement_key=place,
                    misfits=misfits,
                    queue_rank=queue_rank(now_ms / 1000, priority) + number * _ORDER_SECONDS,
                    created_at=created_at,
                    actor_id=identity.actor_id,
                    estimated_start_at=estimated_start_at if can_start else None,
                )
            )
        return items

    @retried
    async def _commit(self, requests: Sequence[_Request]) -> list[Answer | Exception]:
        answers: list[Answer | Exception] = []
        fresh: list[NewWorkload] = []
        uses: list[KeyUse] = []
        async with self._database.transaction("api") as conn:
            # Holding the customers' counts, no other transaction can use their keys or their queues' room.
            depth = await self._store.admit(conn, [request.customer_id for request in requests])
            names = sorted({request.key for request in requests if request.key is not None})
            used = await self._store.keyed(conn, names) if names else {}
            for request in requests:
                earlier = used.get(request.key) if request.key is not None else None
                if earlier is not None:
                    answers.append(_replay(request, earlier))
                    continue
                outcomes, accepted = self._admit(request, depth)
                answers.append(Answer(outcomes))
                fresh += accepted
                if request.key is not None and accepted:
                    used[request.key] = KeyUse(request.key, request.body_sha256, _kept(outcomes))
                    uses.append(used[request.key])
            await self._write(conn, fresh, uses)
        if fresh:
            self._feed.announce([_created(new) for new in fresh])
        return answers

    async def _write(self, conn: Connection, fresh: Sequence[NewWorkload], uses: Sequence[KeyUse]) -> None:
        if uses and await self._store.claim_keys(conn, uses) < len(uses):
            raise TransactionConflictError("an idempotency key was used meanwhile")
        if fresh:
            await self._store.insert_batch(conn, fresh)

    def _admit(self, request: _Request, depth: dict[str, int]) -> tuple[list[Outcome], list[NewWorkload]]:
        """The outcomes, and the workloads for which the customer's queue has room."""
        customer = self._directory.known_customer(request.customer_id)
        limit = customer.max_queue_depth if customer else 0
        queued = depth.get(request.customer_id, 0)
        outcomes: list[Outcome] = []
        accepted: list[NewWorkload] = []
        for item in request.items:
            if isinstance(item, ApiError):
                outcomes.append(item)
            elif queued >= limit:
                outcomes.append(_queue_full(queued, limit))
            else:
                queued += 1
                accepted.append(item)
                outcomes.append(Submission(item.workload_id, item.created_at, item.estimated_start_at))
        depth[request.customer_id] = queued
        return outcomes, accepted

    async def _find_out(self, request: _Request) -> Answer:
        """The link broke around the COMMIT: read what is stored, rather than guess or store twice.

        The transaction may be open still, and commit yet. It holds the customer's counts, so whoever gets that lock
        comes after its end, whichever it was.
        """
        sent = [item for item in request.items if isinstance(item, NewWorkload)]
        deadline = time.monotonic() + self._outcome_wait_seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                async with self._database.transaction(lock_seconds=left) as conn:
                    await self._store.admit(conn, [request.customer_id])
                    # In a statement of its own, so that it sees what was committed while this waited for the lock.
                    stored = await self._store.existing(conn, sent)
            except ServiceUnavailableError:
                await asyncio.sleep(min(left, _LOOK_AGAIN_SECONDS))
                continue
            if found := [new for new in sent if new.workload_id in stored]:
                self._feed.announce([_created(new) for new in found])
            return _found(request, stored)
        raise _unknown(request)


def _found(request: _Request, stored: set[str]) -> Answer:
    """A request's answer after a COMMIT that broke.

    Raises:
        ServiceUnavailableError: Nothing of it is stored; it may be sent again.
    """
    again = ServiceUnavailableError("Not stored; try again", retry_after_seconds=1)
    outcomes: list[Outcome] = [
        item
        if isinstance(item, ApiError)
        else Submission(item.workload_id, item.created_at, item.estimated_start_at)
        if item.workload_id in stored
        else again
        for item in request.items
    ]
    if not any(isinstance(outcome, Submission) for outcome in outcomes):
        raise again
    return Answer(outcomes)


def _unknown(request: _Request) -> ServiceUnavailableError:
    """Clients repeat by themselves what has ``retry_after_seconds``: only what a key keeps from being done twice."""
    has_key = request.key is not None
    advice = "send it again with the same Idempotency-Key" if has_key else "look at your workloads before you do"
    return ServiceUnavailableError(
        f"The database's answer was lost, and whether this is stored is unknown; {advice}",
        details={"dependency": "database", "outcome": "unknown"},
        retry_after_seconds=1 if has_key else None,
    )


def _kept(outcomes: Sequence[Outcome]) -> str:
    kept = [
        _KeptError(outcome.code, outcome.message, outcome.details)
        if isinstance(outcome, ApiError)
        else _KeptSubmission(outcome.workload_id, outcome.created_at, outcome.estimated_start_at)
        for outcome in outcomes
    ]
    return _keep(kept).decode()


def _replay(request: _Request, earlier: KeyUse) -> Answer | Exception:
    if earlier.body_sha256 != request.body_sha256:
        return ConflictError(
            "This Idempotency-Key was used with another body",
            details={"field": "Idempotency-Key", "allowed": "the same body as the first time, or another key"},
        )
    outcomes: list[Outcome] = [
        _KEPT_ERRORS[kept.code](kept.message, details=kept.details)
        if isinstance(kept, _KeptError)
        else Submission(kept.workload_id, kept.created_at, kept.estimated_start_at)
        for kept in _recall(earlier.answer)
    ]
    return Answer(outcomes, replayed=True)


def _queue_full(queued: int, limit: int) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        f"The queue is full: {queued} of {limit} workloads are waiting",
        details={"current_queue_depth": queued, "max_queue_depth": limit},
        retry_after_seconds=5,
    )


def _created(new: NewWorkload) -> WorkloadChange:
    return WorkloadChange(
        new.customer_id,
        new.workload_id,
        1,
        Status.PENDING.value,
        0,
        new.workload_type,
        placement_key=new.placement_key,
        queue_rank=new.queue_rank,
    )


def placement_key(workload_type: str, affinity_json: bytes | None) -> int:
    """Names a placement class: equal for workloads that fit exactly the same workers. Never 0."""
    text = workload_type.encode() + b"\0" + (affinity_json or b"")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True) or 1


def _check_type(request: SubmitRequest, supported: Mapping[str, Intake]) -> str | None:
    """The forms of the type's input that the submission doesn't fit, with spaces between; None for none.

    Raises:
        InvalidInputError: The type isn't supported; the input fits none of its forms, or not the customer's config.
    """
    intake = supported.get(request.workload_type)
    if intake is None:
        raise InvalidInputError(
            f"Workload type '{request.workload_type[:100]}' is not supported",
            details={"field": "workload_type", "supported_types": sorted(supported)},
        )
    if problems := _problems(request, intake.own):
        raise _unfit(problems)
    found = {form: problems for form, schemas in intake.forms.items() if (problems := _problems(request, schemas))}
    if found and len(found) == len(intake.forms):
        raise _unfit(min(found.values(), key=len), versions=len(found))
    misfits = None
    for form in found:
        misfits = with_misfit(misfits, form)
    return misfits


def _problems(request: SubmitRequest, schemas: Sequence[Schema]) -> list[Problem]:
    """Why the input doesn't fit the first of the schemas that it doesn't fit.

    Raises:
        InvalidInputError: It is too large to be checked.
    """
    for schema in schemas:
        try:
            if problems := schema.problems(request.input_params, _MOST_SCHEMA_ERRORS):
                return problems
        except TooExpensive as exc:
            raise InvalidInputError(
                f"input_params are too large to be checked against the workload type's input schema: {exc}",
                details={"field": "input_params", "allowed": "smaller input, or a simpler schema"},
            ) from exc
    return []


def _unfit(problems: Sequence[Problem], versions: int = 1) -> InvalidInputError:
    """The refusal of an input; of several live versions of the handler, the problems are those with the nearest."""
    errors = [{"pointer": "/input_params" + p.pointer, "message": p.message} for p in problems]
    what = "the workload type" if versions == 1 else f"any of the workload type's {versions} live versions"
    return InvalidInputError(
        f"input_params don't fit {what}: {errors[0]['pointer']}: {errors[0]['message']}",
        details={"field": "input_params", "errors": errors},
    )
