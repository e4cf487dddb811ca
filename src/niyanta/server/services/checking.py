"""What becomes of a submission before it is stored: checked against what is supported, made into a new workload."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from niyanta.domain.fairness import queue_rank
from niyanta.domain.forms import key_without, with_misfit
from niyanta.domain.ids import make_id
from niyanta.domain.json_schema import Mismatch, Schema, TooExpensiveError
from niyanta.domain.limits import DEFAULT_PRIORITY, MAX_SCHEMA_ERRORS
from niyanta.errors import ApiError, ConflictError, InvalidInputError
from niyanta.server.directory import Directory, Intake
from niyanta.server.observability.tracing import current_traceparent
from niyanta.server.services.estimator import Estimator
from niyanta.server.services.requests import SubmitRequest, check_values
from niyanta.server.store.customers import Identity
from niyanta.server.store.origins import CheckpointKey, Origin
from niyanta.server.store.states import affinity_from_json
from niyanta.server.store.submissions import NewWorkload

__all__ = [
    "SubmissionChecks",
    "coming_from",
    "placement_key",
    "refuse_dropped",
    "refuse_unconfigured",
    "unsupported",
]

_CHECK_ASIDE_BYTES = 16_384
"""Inputs that must fit a JSON Schema are checked in a thread when they are larger, so that other requests go on."""
_ORDER_SECONDS = 1e-6
"""Between the ranks of neighbours in a batch, so that they start in the batch's order."""

_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode


class SubmissionChecks:
    """Makes new workloads of requests; looks at nothing but memory, but for types that it doesn't know."""

    def __init__(self, directory: Directory, estimator: Estimator) -> None:
        self._directory = directory
        self._estimator = estimator

    async def check(self, identity: Identity, requests: Sequence[SubmitRequest]) -> list[NewWorkload | ApiError]:
        """What is to be stored of each request, in order, or why it is refused."""
        await self._estimator.know(identity.customer_id)
        supported = await self._directory.supported(identity.customer_id)
        if not all(request.workload_type in supported for request in requests):
            await self._directory.refresh_if_older(0.2)  # its first worker may have come this instant
            supported = await self._directory.supported(identity.customer_id)
        inputs = [_encode(request.input_params).decode() for request in requests]
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
        now_ms = self._directory.clock.now_ms()
        created_at = datetime.fromtimestamp(now_ms / 1000, UTC)
        traceparent = current_traceparent()
        randoms = _rising_randoms(len(requests))
        starts: dict[int, datetime | None] = {}
        items: list[NewWorkload | ApiError] = []
        for number, request in enumerate(requests):
            kind, rules = request.workload_type, request.affinity_rules
            try:
                misfits = _check_type(request, supported)
                check_values(request)
            except InvalidInputError as error:
                items.append(error)
                continue
            affinity_json = None if rules is None else _encode_sorted(rules)
            affinity = None if affinity_json is None else affinity_json.decode()
            place = placement_key(kind, affinity_json)
            for form in misfits.split() if misfits else ():
                place = key_without(place, form)
            if place not in starts:
                starts[place] = self._start(identity, created_at, place, kind, affinity, misfits)
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
                    estimated_start_at=starts[place],
                    traceparent=traceparent,
                    needs_config=not supported[kind].forms,
                    labels=request.labels or None,
                )
            )
        return items

    def _start(
        self, identity: Identity, now: datetime, place: int, kind: str, affinity: str | None, misfits: str | None
    ) -> datetime | None:
        """When it will start, as far as that can be told."""
        if not self._directory.is_placeable(identity.customer_id, place, kind, affinity, misfits):
            return None
        rules = affinity_from_json(affinity, misfits)
        return self._estimator.start_of_submission(identity.customer_id, now, kind, rules)


def coming_from(item: NewWorkload | ApiError, origin: Origin) -> NewWorkload | ApiError:
    """A checked submission that knows what it comes from; of a refusal the details say it."""
    if isinstance(item, NewWorkload):
        return msgspec.structs.replace(item, origin=origin)
    item.details.update(origin.lineage)
    return item


def refuse_unconfigured(
    items: list[NewWorkload | ApiError], configured: Collection[tuple[str, str]], served: Collection[str]
) -> None:
    """Refuse what only a config let in that was deleted between the check and the transaction that stores it.

    Args:
        items: Of one customer; refusals take the places of what is refused.
        configured: (customer, workload type) of the configs that there are.
        served: Workload types that live workers serve.
    """
    for number, item in enumerate(items):
        if isinstance(item, NewWorkload) and item.needs_config:
            own = {kind for customer_id, kind in configured if customer_id == item.customer_id}
            if item.workload_type not in own:
                items[number] = unsupported(item.workload_type, own.union(served))


def refuse_dropped(items: list[NewWorkload | ApiError], there: Collection[CheckpointKey]) -> None:
    """Refuse what begins at a checkpoint that isn't there, or was dropped before the storing transaction held it."""
    for number, item in enumerate(items):
        if isinstance(item, NewWorkload) and item.checkpoint is not None and item.checkpoint not in there:
            items[number] = ConflictError(
                f"Checkpoint {item.checkpoint.sequence} of the original isn't kept any more",
                details={"field": "from_checkpoint"},
            )


def placement_key(workload_type: str, affinity_json: bytes | None) -> int:
    """Names a placement class: equal for workloads that fit exactly the same workers. Never 0."""
    text = workload_type.encode() + b"\0" + (affinity_json or b"")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True) or 1


def unsupported(workload_type: str, supported: Iterable[str]) -> InvalidInputError:
    """The refusal of a workload type that the customer has no config of, and no live worker serves."""
    return InvalidInputError(
        f"Workload type '{workload_type[:100]}' is not supported",
        details={"field": "workload_type", "supported_types": sorted(supported)},
    )


def _rising_randoms(count: int) -> list[int]:
    """In one millisecond ids sort by their random part; sorted, a batch is listed in its own order."""
    return sorted([int.from_bytes(secrets.token_bytes(10)) for _ in range(count)])


def _check_type(request: SubmitRequest, supported: Mapping[str, Intake]) -> str | None:
    """The forms of the type's input that the submission doesn't fit, with spaces between; None for none.

    Raises:
        InvalidInputError: The type isn't supported; the input fits none of its forms, or not the customer's config.
    """
    intake = supported.get(request.workload_type)
    if intake is None:
        raise unsupported(request.workload_type, supported)
    if problems := _problems(request, intake.own):
        raise _unfit(problems)
    found = {form: problems for form, schemas in intake.forms.items() if (problems := _problems(request, schemas))}
    if found and len(found) == len(intake.forms):
        raise _unfit(min(found.values(), key=len), versions=len(found))
    misfits = None
    for form in found:
        misfits = with_misfit(misfits, form)
    return misfits


def _problems(request: SubmitRequest, schemas: Sequence[Schema]) -> list[Mismatch]:
    """Why the input doesn't fit the first of the schemas that it doesn't fit.

    Raises:
        InvalidInputError: It is too large to be checked.
    """
    for schema in schemas:
        try:
            if problems := schema.problems(request.input_params, MAX_SCHEMA_ERRORS):
                return problems
        except TooExpensiveError as exc:
            raise InvalidInputError(
                f"input_params are too large to be checked against the workload type's input schema: {exc}",
                details={"field": "input_params", "allowed": "smaller input, or a simpler schema"},
            ) from exc
    return []


def _unfit(problems: Sequence[Mismatch], versions: int = 1) -> InvalidInputError:
    """The refusal of an input; of several live versions of the handler, the problems are those with the nearest."""
    errors = [{"pointer": "/input_params" + p.pointer, "message": p.message} for p in problems]
    what = "the workload type" if versions == 1 else f"any of the workload type's {versions} live versions"
    return InvalidInputError(
        f"input_params don't fit {what}: {errors[0]['pointer']}: {errors[0]['message']}",
        details={"field": "input_params", "errors": errors},
    )
