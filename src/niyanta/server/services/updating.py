"""Changing what a workload was submitted with, while it waits: priority, time-out, labels, where it may run."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from niyanta.domain.changes import CHANGEABLE, update
from niyanta.domain.fairness import rank_with_priority
from niyanta.domain.forms import key_without
from niyanta.domain.limits import MAX_PRIORITY, MAX_TIMEOUT_SECONDS, MAX_VERSION
from niyanta.domain.workload import Actor, ActorType, Move
from niyanta.errors import ConflictError, InvalidInputError, ServiceUnavailableError
from niyanta.server.moves.mover import Mover
from niyanta.server.services.checking import placement_key
from niyanta.server.services.moving import Verb, move_one, wrong_state
from niyanta.server.services.requests import AffinityRequest, Labels, SubmitRequest, check_values
from niyanta.server.services.workloads import WorkloadService
from niyanta.server.store.customers import Identity
from niyanta.server.store.labels import LabelStore
from niyanta.server.store.queries import Connection
from niyanta.server.store.states import Change
from niyanta.server.store.stored_workload import StoredWorkload
from niyanta.server.store.workloads import Terms, WorkloadStore

__all__ = ["TERMS", "UpdateRequest", "UpdateService"]

TERMS = ("priority", "timeout_seconds", "affinity_rules", "labels")
"""What can be changed; a request has one of them at least."""

_MOST_TRIES = 20
"""Where others change it at the same time, and no version was given."""

_encode_sorted = msgspec.json.Encoder(order="deterministic").encode


class UpdateRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be different; what is left out stays as it is."""

    priority: (
        Annotated[
            int, Meta(description="Higher goes first.", extra_json_schema={"minimum": 0, "maximum": MAX_PRIORITY})
        ]
        | UnsetType
    ) = UNSET
    timeout_seconds: (
        Annotated[
            int,
            Meta(
                description="Bounds one attempt's running time; null: what the type's config says.",
                extra_json_schema={"minimum": 1, "maximum": MAX_TIMEOUT_SECONDS},
            ),
        ]
        | UnsetType
        | None
    ) = UNSET
    affinity_rules: Annotated[AffinityRequest | None, Meta(description="null: none.")] | UnsetType = UNSET
    labels: Labels | UnsetType | None = UNSET
    """In place of all that it has; null: none."""
    version: (
        Annotated[
            int,
            Meta(
                description="Change it only if this is its version still.",
                extra_json_schema={"minimum": 1, "maximum": MAX_VERSION},
            ),
        ]
        | UnsetType
    ) = UNSET


class _ChangedMeanwhileError(Exception):
    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


class UpdateService:
    """Changes one customer's workloads."""

    def __init__(self, mover: Mover, workloads: WorkloadService) -> None:
        self._mover = mover
        self._workloads = workloads
        self._store = WorkloadStore()
        self._labels = LabelStore()

    async def update(self, identity: Identity, workload_id: str, request: UpdateRequest) -> StoredWorkload:
        """Change a workload that waits or is paused; the history says what was and who did it.

        Raises:
            NotFoundError: The customer has no such workload.
            InvalidInputError: Something is wrong with what is new.
            InvalidStateError: A worker has it, or it has ended.
            ConflictError: It is not of the version that was given any more.
            ServiceUnavailableError: The database is away, or it was changed by others again and again.
        """
        for _ in range(_MOST_TRIES):
            try:
                return await self._update(identity, workload_id, request)
            except _ChangedMeanwhileError as error:
                if request.version is not UNSET:
                    raise _other_version(error.version, request.version) from error
        raise ServiceUnavailableError("Others change the workload all the time; try again", retry_after_seconds=1)

    async def _update(self, identity: Identity, workload_id: str, request: UpdateRequest) -> StoredWorkload:
        before = await self._workloads.get(identity, workload_id)
        if all(getattr(request, name) is UNSET for name in TERMS):
            raise InvalidInputError(
                f"Give at least one of: {', '.join(TERMS)}", details={"field": TERMS[0], "allowed": list(TERMS)}
            )
        if request.version is not UNSET and before.version != request.version:
            raise _other_version(before.version, request.version)
        if before.status not in CHANGEABLE:
            raise wrong_state(Verb.CHANGE, before.status)
        terms, labels, differences = _changed(before, request)
        if not differences:
            return before
        actor, place = Actor(ActorType.USER, identity.actor_id), _place(before, terms)

        def move(change: Change) -> Move:
            moved = update(change.state, change.before.now, actor, differences, place)
            if change.state.version != before.version:
                raise _ChangedMeanwhileError(change.state.version)
            return moved

        async def write(conn: Connection) -> None:
            await self._store.set_terms(conn, (identity.customer_id, workload_id), terms)
            if "labels" in differences:
                await self._labels.replace(conn, (identity.customer_id, workload_id), labels)

        await move_one(self._mover, identity, workload_id, Verb.CHANGE, move, besides=write)
        return await self._workloads.get(identity, workload_id)


def _changed(before: StoredWorkload, request: UpdateRequest) -> tuple[Terms, dict[str, str], dict[str, Any]]:
    """All terms and labels as they are to be, and of each that differs what it was and what it is to be.

    Raises:
        InvalidInputError: Says which is wrong and what is allowed.
    """
    given = {name: value for name in TERMS if (value := getattr(request, name)) is not UNSET}
    check_values(SubmitRequest(before.workload_type, {}, **given))
    rules = before.affinity_rules
    if request.affinity_rules is not UNSET:
        rules = None if request.affinity_rules is None else _encode_sorted(request.affinity_rules).decode()
    priority = before.priority if request.priority is UNSET else request.priority
    timeout = before.timeout_seconds if request.timeout_seconds is UNSET else request.timeout_seconds
    labelled = {} if before.labels is None else msgspec.json.decode(before.labels)
    labels = labelled if request.labels is UNSET else request.labels or {}
    rank = rank_with_priority(before.queue_rank, before.priority, priority)
    pairs = {
        "priority": (before.priority, priority),
        "timeout_seconds": (before.timeout_seconds, timeout),
        "affinity_rules": (_value(before.affinity_rules), _value(rules)),
        "labels": (labelled, labels),
    }
    differences = {name: {"from": old, "to": new} for name, (old, new) in pairs.items() if old != new}
    return Terms(priority, rank, rules, timeout), labels, differences


def _value(rules: str | None) -> object:
    return None if rules is None else msgspec.json.decode(rules)


def _place(before: StoredWorkload, terms: Terms) -> int:
    """The placement class under the new terms; versions of the handler that won't do stay excluded."""
    rules = terms.affinity_json
    place = placement_key(before.workload_type, None if rules is None else rules.encode())
    for form in before.misfits.split() if before.misfits else ():
        place = key_without(place, form)
    return place


def _other_version(current: int, wanted: int) -> ConflictError:
    return ConflictError(
        f"The workload has changed meanwhile: its version is {current}, not {wanted}",
        details={"field": "version", "current_version": current},
    )
