"""Submissions in PostgreSQL: batches of new workloads, with the idempotency keys they came under."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
import msgspec

from niyanta.domain import transitions
from niyanta.domain.workload import Actor, ActorType, Key, Move
from niyanta.server.store.labels import LabelStore
from niyanta.server.store.origins import CheckpointKey, Origin, OriginStore
from niyanta.server.store.queries import Connection, Queries, milliseconds, unless_nulls
from niyanta.server.store.states import Change

__all__ = ["Assigning", "KeyName", "KeyUse", "NewWorkload", "Stored", "SubmissionStore"]


class NewWorkload(msgspec.Struct, frozen=True, kw_only=True):
    """A submission that has been checked and is ready to be stored."""

    customer_id: str
    workload_id: str
    workload_type: str
    priority: int
    input_json: str
    affinity_json: str | None
    timeout_seconds: int | None
    placement_key: int
    queue_rank: float
    created_at: datetime
    actor_id: str
    estimated_start_at: datetime | None = None
    misfits: str | None = None
    """Forms of input that its own doesn't fit, with spaces between."""
    traceparent: str | None = None
    """The span that it was submitted in (`niyanta.domain.traces`); None where nothing is traced."""
    needs_config: bool = False
    """No live worker serves its type: that the customer has a config of it is all that lets it in."""
    origin: Origin | None = None
    """What it is a replay or a fork of."""
    labels: Mapping[str, str] | None = None
    """None rather than without any."""

    @property
    def checkpoint(self) -> CheckpointKey | None:
        """Of another workload, at which it begins."""
        if self.origin is None or self.origin.from_checkpoint is None:
            return None
        return CheckpointKey(self.customer_id, self.origin.workload_id, self.origin.from_checkpoint)

    @property
    def has_more(self) -> bool:
        """Whether something is to be stored beside its row."""
        return self.origin is not None or self.labels is not None

    @property
    def key(self) -> Key:
        """What names it."""
        return self.customer_id, self.workload_id

    @property
    def created(self) -> Move:
        """The move with which it begins."""
        actor = Actor(ActorType.USER, self.actor_id)
        move = transitions.create(self.customer_id, self.workload_id, self.workload_type, self.created_at, actor)
        if self.origin is None or move.event is None:
            return move
        return move._replace(event=move.event._replace(details=move.event.details | self.origin.facts))


@dataclass(frozen=True, slots=True)
class Assigning:
    """What of a batch is to be assigned as it is stored, by the leader of an epoch."""

    epoch: int
    changes: Mapping[Key, Change]
    """From the state as it is created to the one in which it is assigned; by one actor."""


class Stored(NamedTuple):
    """What became of a batch."""

    depth: dict[str, int]
    """How many workloads each customer had queued before."""
    assigned: Mapping[Key, str | None] = {}
    """What was assigned, each with its config snapshot."""
    now: datetime | None = None
    """The database's time: of the assignments."""
    is_refused: bool = False
    """Nothing was stored: it may not be assigned, as another leads or something else waits in its lane."""
    is_fenced: bool = False
    """With ``is_refused``: another leads."""
    is_taken: bool = False
    """Nothing was stored: a key was used before, or there isn't room for all that comes with keys."""
    is_late: bool = False
    """Nothing was stored: it came to its turn after the time until which it might."""


class KeyName(NamedTuple):
    """An idempotency key, which means something to one customer and one operation only."""

    customer_id: str
    operation: str
    """``submit``, ``replay``, ``fork`` and the like."""
    key: str


class KeyUse(msgspec.Struct, frozen=True):
    """What an idempotency key was used for."""

    name: KeyName
    body_sha256: bytes
    answer: str
    """JSON: the outcome of each workload of the submission."""


class _KeptUse(msgspec.Struct, frozen=True, kw_only=True):
    customer_id: str
    operation: str
    key: str
    body_sha256: bytes
    answer: str


class _Configured(NamedTuple):
    customer_id: str
    workload_type: str


class _Depth(NamedTuple):
    customer_id: str
    queued: int


class _Outcome(NamedTuple):
    customer_id: str
    queued: int
    workload_id: str | None
    config_snapshot: str | None
    holds: bool
    leads: bool
    fits: bool
    in_time: bool
    db_now: datetime


_ASSIGNED_FIELDS = ("status", "version", "generation", "event_count", "worker_id", "incarnation", "scheduled_from")
"""What an assignment changes, besides the time at which it is made, in a workload that has just been created."""
_NOT_ASSIGNED: dict[str, None] = dict.fromkeys(_ASSIGNED_FIELDS)
_ASSIGNMENT = (
    *("epoch", "assigned_type", "assigner_type", "assigner_id", "assigned_details"),
    *(f"assigned_{name}" for name in _ASSIGNED_FIELDS),
)

_encode = msgspec.json.Encoder().encode
_queries = Queries("submissions.sql")
_admit = _queries.many("admit", _Depth)
_claim_keys = _queries.many("claim_keys", str)
_keyed = _queries.many("keyed", _KeptUse)
_insert_batch = _queries.many("insert_batch", _Outcome)
_configured = _queries.many("configured", _Configured)
_existing = _queries.many("existing", str)
_is_past = _queries.sole("is_past", bool)


class SubmissionStore:
    """Queries for submissions. Every method takes the connection, so that the caller owns the transaction."""

    def __init__(self) -> None:
        self._origins = OriginStore()
        self._labels = LabelStore()

    async def admit(
        self, conn: Connection, customer_ids: Sequence[str], *, lock_seconds: float | None = None
    ) -> dict[str, int]:
        """Lock the customers' counts and give how many workloads each has queued.

        Args:
            conn: In a transaction.
            customer_ids: Whose.
            lock_seconds: How long each lock is waited for until the end of the transaction; None for the usual.
        """
        return dict(
            await _admit(conn, customer_ids=sorted(set(customer_ids)), lock_milliseconds=milliseconds(lock_seconds))
        )

    async def claim_keys(self, conn: Connection, uses: Sequence[KeyUse]) -> int:
        """Claim idempotency keys (each at most once in a call); gives how many were free."""
        ordered = sorted(uses, key=lambda use: use.name)
        claimed = await _claim_keys(
            conn,
            customer_ids=[use.name.customer_id for use in ordered],
            operations=[use.name.operation for use in ordered],
            keys=[use.name.key for use in ordered],
            hashes=[use.body_sha256 for use in ordered],
            answers=[use.answer for use in ordered],
        )
        return len(claimed)

    async def keyed(self, conn: Connection, names: Sequence[KeyName]) -> dict[KeyName, KeyUse]:
        """What these keys were used for within a day; unused ones are left out."""
        kept = await _keyed(
            conn,
            customer_ids=[name.customer_id for name in names],
            operations=[name.operation for name in names],
            keys=[name.key for name in names],
        )
        uses = [KeyUse(KeyName(k.customer_id, k.operation, k.key), k.body_sha256, k.answer) for k in kept]
        return {use.name: use for use in uses}

    async def insert_batch(
        self,
        conn: Connection,
        batch: Sequence[NewWorkload],
        limits: Mapping[str, int],
        *,
        assigning: Assigning | None = None,
        uses: Sequence[KeyUse] = (),
        lock_seconds: float | None = None,
        until: datetime | None = None,
    ) -> Stored:
        """Store submissions with their first audit events and the customers' counts, as far as the queues have room.

        Each customer's first in the batch are stored. Those to be assigned are stored as SCHEDULED, with the event of
        that; if they may not be, nothing is stored (``is_refused``).

        Args:
            conn: Where to write; one statement does it all.
            batch: What to store.
            limits: The greatest depth of each customer's queue.
            assigning: What to assign at once; None for nothing.
            uses: Idempotency keys to claim, each once; then all of the batch is stored, or nothing (``is_taken``).
            lock_seconds: As for `admit`.
            until: By the database's clock: who gets the counts later stores nothing (``is_late``).
        """
        try:
            found = await _insert_batch(
                conn,
                **_columns(batch, limits, lock_seconds),
                until=until,
                **_claims(uses),
                **_beginnings(batch),
                **_assignments(batch, assigning),
            )
        except asyncpg.UniqueViolationError as exc:
            if exc.constraint_name != "idempotency_keys_pkey":
                raise
            return Stored({}, is_taken=True)  # by who held the counts until now
        depth = {outcome.customer_id: outcome.queued for outcome in found}
        if found and not found[0].in_time:
            return Stored(depth, is_late=True)
        if uses and not (found and found[0].fits):
            return Stored(depth, is_taken=True)
        if not found or assigning is None:
            return Stored(depth)
        assigned = {(o.customer_id, o.workload_id): o.config_snapshot for o in found if o.workload_id is not None}
        first = found[0]
        return Stored(depth, assigned, first.db_now, is_refused=not first.holds, is_fenced=not first.leads)

    async def add_more(self, conn: Connection, batch: Sequence[NewWorkload]) -> None:
        """What is stored beside the rows of a batch, in the transaction that stores these."""
        if origins := [(w.key, w.origin) for w in batch if w.origin is not None]:
            await self._origins.add(conn, origins)
        if labelled := [(w.key, w.labels) for w in batch if w.labels is not None]:
            await self._labels.add(conn, labelled)

    async def hold_checkpoints(self, conn: Connection, wanted: Sequence[CheckpointKey]) -> set[CheckpointKey]:
        """Which of these are there for what begins at them, and stay until the transaction ends."""
        return await self._origins.hold(conn, wanted)

    async def configured(self, conn: Connection, customer_ids: Sequence[str]) -> set[tuple[str, str]]:
        """(customer, workload type) of all configs of these customers; they stay while `admit` holds the counts."""
        return set(await _configured(conn, customer_ids=customer_ids))

    async def is_past(self, conn: Connection, until: datetime) -> bool:
        """Whether that time is over: what gets the counts after this transaction is too late, then."""
        return await _is_past(conn, until=until)

    async def existing(self, conn: Connection, batch: Sequence[NewWorkload]) -> set[str]:
        """Which of these are stored; for resolving a COMMIT whose outcome is unknown."""
        return set(
            await _existing(
                conn,
                customer_ids=[w.customer_id for w in batch],
                workload_ids=[w.workload_id for w in batch],
            )
        )


def _columns(batch: Sequence[NewWorkload], limits: Mapping[str, int], lock_seconds: float | None) -> dict[str, Any]:
    places: Counter[str] = Counter()
    return {
        "customer_ids": [w.customer_id for w in batch],
        "workload_ids": [w.workload_id for w in batch],
        "workload_types": [w.workload_type for w in batch],
        "priorities": [w.priority for w in batch],
        "inputs": [w.input_json for w in batch],
        "affinities": unless_nulls([w.affinity_json for w in batch]),
        "timeouts": unless_nulls([w.timeout_seconds for w in batch]),
        "placement_keys": [w.placement_key for w in batch],
        "misfits": unless_nulls([w.misfits for w in batch]),
        "traceparents": unless_nulls([w.traceparent for w in batch]),
        "ranks": [w.queue_rank for w in batch],
        "created_ats": [w.created_at for w in batch],
        "actor_ids": [w.actor_id for w in batch],
        "places": [_next_place(places, w.customer_id) for w in batch],
        "limited_customers": list(limits),
        "limits": list(limits.values()),
        "lock_milliseconds": milliseconds(lock_seconds),
    }


def _claims(uses: Sequence[KeyUse]) -> dict[str, Any]:
    """Idempotency keys in order, as columns; None without any."""
    if not uses:
        return dict.fromkeys(("key_customers", "key_operations", "keys", "key_hashes", "key_answers"))
    ordered = sorted(uses, key=lambda use: use.name)
    return {
        "key_customers": [use.name.customer_id for use in ordered],
        "key_operations": [use.name.operation for use in ordered],
        "keys": [use.name.key for use in ordered],
        "key_hashes": [use.body_sha256 for use in ordered],
        "key_answers": [use.answer for use in ordered],
    }


def _beginnings(batch: Sequence[NewWorkload]) -> dict[str, Any]:
    """How the workloads of a batch begin; all alike, but for who and when."""
    first = batch[0].created
    event = first.event
    if event is None:
        raise ValueError("a workload begins with an audit event")
    own = None
    if any(w.origin is not None for w in batch):
        own = [_encode(w.created.event.details).decode() for w in batch if w.created.event is not None]
    return {
        "created_details": own,
        "status": first.state.status,
        "event_type": event.type,
        "actor_type": event.actor.type,
        "details": _encode(event.details).decode(),
    }


def _assignments(batch: Sequence[NewWorkload], assigning: Assigning | None) -> dict[str, Any]:
    """What is set in those that are assigned as they are stored, as arrays with NULLs for the others."""
    if assigning is None:
        return dict.fromkeys(_ASSIGNMENT)
    changes = [assigning.changes.get(w.key) for w in batch]
    events = [None if change is None else change.events[-1] for change in changes]
    by = next(event for event in events if event is not None)
    rows = [_NOT_ASSIGNED if c is None else vars(c.state) for c in changes]
    return {
        "epoch": assigning.epoch,
        "assigned_type": by.type,
        "assigner_type": by.actor.type,
        "assigner_id": by.actor.id,
        "assigned_details": [None if event is None else _encode(event.details).decode() for event in events],
        **{f"assigned_{name}": [row[name] for row in rows] for name in _ASSIGNED_FIELDS},
    }


def _next_place(places: Counter[str], customer_id: str) -> int:
    places[customer_id] += 1
    return places[customer_id]
