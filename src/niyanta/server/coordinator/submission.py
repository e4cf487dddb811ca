"""Submitting workloads: checked, then stored in shared transactions, acknowledged after the commit."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jsonschema
import msgspec

from niyanta.domain.fairness import queue_rank
from niyanta.domain.ids import make_id
from niyanta.domain.limits import MAX_PRIORITY, MAX_TIMEOUT_SECONDS
from niyanta.domain.transitions import Status
from niyanta.errors import ConflictError, InvalidInputError, ServiceUnavailableError
from niyanta.server.coordinator.changes import ChangeFeed
from niyanta.server.coordinator.directory import Directory
from niyanta.server.coordinator.group_commit import GroupCommit
from niyanta.server.store.customers import Identity
from niyanta.server.store.database import Database, OutcomeUnknownError, RetryableConflict
from niyanta.server.store.workloads import NewWorkload, WorkloadStore
from niyanta.wire.messages import WorkloadChange

__all__ = ["Submission", "SubmissionService", "SubmitRequest", "check_idempotency_key"]

log = logging.getLogger(__name__)

_MOST_KEY_LENGTH = 255
_MOST_TAGS = 64
_MOST_TAG_LENGTH = 256
_MOST_SCHEMA_ERRORS = 20
DEFAULT_PRIORITY = 10


class ConstraintRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One side of the affinity rules, as submitted."""

    worker_id: str | None = None
    worker_tags: dict[str, str] | None = None
    workload_types: list[str] | None = None


class AffinityRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    hard_affinity: ConstraintRequest | None = None
    soft_affinity: ConstraintRequest | None = None
    anti_affinity: ConstraintRequest | None = None


class SubmitRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /workloads``."""

    workload_type: str
    input_params: dict[str, Any]
    priority: int | None = None
    affinity_rules: AffinityRequest | None = None
    timeout_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """What a submission created, now or (``replayed``) the first time its idempotency key was used."""

    workload_id: str
    created_at: datetime
    estimated_start_at: datetime | None
    replayed: bool = False


class SubmissionService:
    """Takes submissions of all customers."""

    def __init__(self, database: Database, feed: ChangeFeed, directory: Directory) -> None:
        self._database = database
        self._feed = feed
        self._directory = directory
        self._store = WorkloadStore()
        self._group = GroupCommit[NewWorkload, Submission](self._commit, most=400)
        self._encode = msgspec.json.Encoder(order="deterministic").encode
        self._validators: dict[bytes, Any] = {}

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
        await self._check(identity, request)
        if self._group.is_full:
            raise ServiceUnavailableError("Too many submissions wait to be stored; try again", retry_after_seconds=1)
        now_ms = time.time_ns() // 1_000_000
        input_json = self._encode(request.input_params)
        rules = request.affinity_rules
        affinity_json = self._encode(rules) if rules is not None else None
        priority = DEFAULT_PRIORITY if request.priority is None else request.priority
        body_sha256 = b""
        if idempotency_key is not None:
            body_sha256 = hashlib.sha256(self._encode(request)).digest()
        new = NewWorkload(
            identity.customer_id,
            make_id("wl_", now_ms, secrets.randbits(80)),
            request.workload_type,
            priority,
            input_json.decode(),
            affinity_json.decode() if affinity_json else None,
            request.timeout_seconds,
            placement_key(request.workload_type, affinity_json),
            queue_rank(now_ms / 1000, priority),
            datetime.fromtimestamp(now_ms / 1000, UTC),
            identity.actor_id,
            idempotency_key,
            body_sha256,
        )
        submission = await self._group.submit(new)
        return submission

    async def _check(self, identity: Identity, request: SubmitRequest) -> None:
        supported = await self._directory.schemas(identity.customer_id)
        kind = request.workload_type
        if kind not in supported:
            await self._directory.refresh_if_older(0.2)  # its first worker may have come this instant
            supported = await self._directory.schemas(identity.customer_id)
        if kind not in supported:
            raise InvalidInputError(
                f"Workload type '{kind[:100]}' is not supported",
                details={"field": "workload_type", "supported_types": sorted(supported)},
            )
        if request.priority is not None and not 0 <= request.priority <= MAX_PRIORITY:
            raise InvalidInputError(
                f"priority must be 0 to {MAX_PRIORITY}",
                details={"field": "priority", "minimum": 0, "maximum": MAX_PRIORITY},
            )
        timeout = request.timeout_seconds
        if timeout is not None and not 1 <= timeout <= MAX_TIMEOUT_SECONDS:
            raise InvalidInputError(
                f"timeout_seconds must be 1 to {MAX_TIMEOUT_SECONDS}",
                details={"field": "timeout_seconds", "minimum": 1, "maximum": MAX_TIMEOUT_SECONDS},
            )
        if request.affinity_rules is not None:
            _check_affinity(request.affinity_rules)
        for schema in supported[kind]:
            self._check_input(schema, request.input_params)

    def _check_input(self, schema: Any, input_params: dict[str, Any]) -> None:
        key = self._encode(schema)
        validator = self._validators.get(key)
        if validator is None:
            if len(self._validators) > 1000:
                self._validators.clear()
            validator = self._validators[key] = jsonschema.Draft202012Validator(schema)
        errors = []
        for error in validator.iter_errors(input_params):
            pointer = "".join(f"/{str(p).replace('~', '~0').replace('/', '~1')}" for p in error.absolute_path)
            errors.append({"pointer": "/input_params" + pointer, "message": error.message[:300]})
            if len(errors) == _MOST_SCHEMA_ERRORS:
                break
        if errors:
            raise InvalidInputError(
                f"input_params don't fit the workload type: {errors[0]['pointer']}: {errors[0]['message']}",
                details={"field": "input_params", "errors": errors},
            )

    async def _commit(self, batch: Sequence[NewWorkload]) -> list[Submission | Exception]:
        for _ in range(5):
            try:
                return await self._commit_once(batch)
            except RetryableConflict:
                continue
            except OutcomeUnknownError as unknown:
                return await self._find_out(batch, unknown)
        raise ServiceUnavailableError("The database is too busy; try again", retry_after_seconds=1)

    async def _commit_once(self, batch: Sequence[NewWorkload]) -> list[Submission | Exception]:
        outcomes: dict[str, Submission | Exception] = {}
        first_with_key: dict[tuple[str, str], NewWorkload] = {}
        later: list[NewWorkload] = []  # waits for what an earlier request with the same key created
        async with self._database.transaction("api") as conn:
            depth = await self._store.admit(conn, [new.customer_id for new in batch])
            fresh: list[NewWorkload] = []
            for new in batch:
                key = (new.customer_id, new.idempotency_key or "")
                if new.idempotency_key is not None and key in first_with_key:
                    later.append(new)
                elif self._has_room(new, depth, outcomes):
                    fresh.append(new)
                    if new.idempotency_key is not None:
                        first_with_key[key] = new
                elif new.idempotency_key is not None:
                    later.append(new)  # a full queue doesn't stop a replay
            if first_with_key:
                claimed = await self._store.claim_keys(conn, list(first_with_key.values()))
                taken = [new for key, new in first_with_key.items() if key not in claimed]
                later += taken
                lost = {new.workload_id for new in taken}
                fresh = [new for new in fresh if new.workload_id not in lost]
            if fresh:
                await self._store.insert_batch(conn, fresh)
            if later:
                keys = [(new.customer_id, new.idempotency_key or "") for new in later]
                earlier = await self._store.keyed(conn, sorted(set(keys)))
                for new, key in zip(later, keys, strict=True):
                    if key in earlier:
                        outcomes[new.workload_id] = _replay(new, earlier[key])
        for new in fresh:
            outcomes[new.workload_id] = Submission(new.workload_id, new.created_at, new.estimated_start_at)
        if fresh:
            self._feed.announce([_created(new) for new in fresh])
        return [outcomes[new.workload_id] for new in batch]

    def _has_room(self, new: NewWorkload, depth: dict[str, int], outcomes: dict[str, Submission | Exception]) -> bool:
        customer = self._directory.known_customer(new.customer_id)
        limit = customer.max_queue_depth if customer else 0
        queued = depth.get(new.customer_id, 0)
        if queued >= limit:
            outcomes[new.workload_id] = ServiceUnavailableError(
                f"The queue is full: {queued} of {limit} workloads are waiting",
                details={"current_queue_depth": queued, "max_queue_depth": limit},
                retry_after_seconds=5,
            )
            return False
        depth[new.customer_id] = queued + 1
        return True

    async def _find_out(
        self, batch: Sequence[NewWorkload], unknown: OutcomeUnknownError
    ) -> list[Submission | Exception]:
        """The link broke around the COMMIT: read what is stored, rather than guess or store twice."""
        stored: set[str] | None = None
        for _ in range(20):
            try:
                async with self._database.connection("vital") as conn:
                    stored = await self._store.existing(conn, batch)
                break
            except (ServiceUnavailableError, RetryableConflict):
                await asyncio.sleep(0.1)
        if stored is None:
            raise unknown
        found = [new for new in batch if new.workload_id in stored]
        if found:
            self._feed.announce([_created(new) for new in found])
        return [
            Submission(new.workload_id, new.created_at, new.estimated_start_at)
            if new.workload_id in stored
            else ServiceUnavailableError("Not stored; try again", retry_after_seconds=1)
            for new in batch
        ]


def check_idempotency_key(key: str | None) -> str | None:
    """The key as it is, or None when none was given.

    Raises:
        InvalidInputError: Empty, too long, or not printable ASCII.
    """
    if key is None or (1 <= len(key) <= _MOST_KEY_LENGTH and key.isascii() and key.isprintable()):
        return key
    raise InvalidInputError(
        f"Idempotency-Key must have 1 to {_MOST_KEY_LENGTH} printable ASCII characters",
        details={"field": "Idempotency-Key", "max_length": _MOST_KEY_LENGTH},
    )


def _replay(new: NewWorkload, earlier: dict[str, Any]) -> Submission | Exception:
    if earlier["body_sha256"] != new.body_sha256:
        return ConflictError(
            "This Idempotency-Key was used with another body",
            details={"field": "Idempotency-Key", "workload_id": earlier["workload_id"]},
        )
    return Submission(earlier["workload_id"], earlier["created_at"], earlier["estimated_start_at"], replayed=True)


def _created(new: NewWorkload) -> WorkloadChange:
    return WorkloadChange(
        new.customer_id,
        new.workload_id,
        1,
        Status.PENDING.value,
        0,
        new.workload_type,
        placement_key=new.placement_key,
    )


def placement_key(workload_type: str, affinity_json: bytes | None) -> int:
    """Names a placement class: equal for workloads that fit exactly the same workers. Never 0."""
    text = workload_type.encode() + b"\0" + (affinity_json or b"")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True) or 1


def _check_affinity(rules: AffinityRequest) -> None:
    for name in ("hard_affinity", "soft_affinity", "anti_affinity"):
        side: ConstraintRequest | None = getattr(rules, name)
        if side is None:
            continue
        tags, kinds = side.worker_tags or {}, side.workload_types or []
        texts = [*tags, *tags.values(), *kinds, *([side.worker_id] if side.worker_id is not None else [])]
        if len(tags) > _MOST_TAGS or len(kinds) > _MOST_TAGS:
            raise InvalidInputError(
                f"affinity_rules.{name} has too many entries; {_MOST_TAGS} are allowed",
                details={"field": f"affinity_rules.{name}", "maximum": _MOST_TAGS},
            )
        if any(not text or len(text) > _MOST_TAG_LENGTH for text in texts):
            raise InvalidInputError(
                f"texts in affinity_rules.{name} must have 1 to {_MOST_TAG_LENGTH} characters",
                details={"field": f"affinity_rules.{name}", "max_length": _MOST_TAG_LENGTH},
            )
