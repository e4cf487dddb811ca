"""Workloads in PostgreSQL: batched submission, and the one guarded write that every move goes through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from niyanta.domain.limits import DEFAULT_CONFIG, Config
from niyanta.domain.placement import Affinity, Constraint
from niyanta.domain.transitions import (
    DEATHS_BEFORE_FAILURE,
    DEATHS_BEFORE_SUSPICION,
    AuditEvent,
    Move,
    PausePhase,
    Status,
    WorkloadState,
)
from niyanta.server.store.database import Connection, Queries

__all__ = [
    "Change",
    "Head",
    "KeyName",
    "KeyUse",
    "LaneRead",
    "Locked",
    "NewWorkload",
    "WorkloadStore",
    "affinity_from_json",
    "config_from_json",
]

_queries = Queries("workloads.sql")
_encode = msgspec.json.Encoder().encode
_STATUS = {status.value: status for status in Status}
_PHASE: dict[str | None, PausePhase | None] = {None: None, **{phase.value: phase for phase in PausePhase}}
_STATE_COLUMNS = 27
"""The first columns of ``workload_states`` are the fields of `WorkloadState`, in order."""


@dataclass(frozen=True, slots=True)
class NewWorkload:
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


class KeyName(NamedTuple):
    """An idempotency key, which means something to one customer and one operation only."""

    customer_id: str
    operation: str
    """``submit`` or ``submit_batch``."""
    key: str


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What an idempotency key was used for."""

    name: KeyName
    body_sha256: bytes
    answer: str
    """JSON: the outcome of each workload of the submission."""


@dataclass(frozen=True, slots=True)
class Locked:
    """A workload's state as a transaction holds it, with what decisions need besides."""

    state: WorkloadState
    now: datetime
    """The database's time."""
    placement_key: int
    config: Config
    timeout_seconds: int | None


@dataclass(frozen=True, slots=True)
class Head:
    """A ready workload at the head of its lane."""

    locked: Locked
    rank: float
    affinity: Affinity
    checkpoint_percent: int
    """Progress at its newest checkpoint, from which its next attempt goes on; 0 without one."""


class LaneRead(NamedTuple):
    """A lane with something ready."""

    customer_id: str
    placement_key: int
    rank: float
    """Of its first workload."""


@dataclass(slots=True)
class Change:
    """What one transaction does to one workload: from the locked state, through some moves, to the last."""

    before: Locked
    state: WorkloadState
    events: list[AuditEvent]

    @classmethod
    def begin(cls, before: Locked) -> Change:
        return cls(before, before.state, [])

    def then(self, move: Move) -> None:
        """Add a move that was made from this change's present state."""
        self.state = move.state
        if move.event is not None:
            self.events.append(move.event)

    @property
    def is_empty(self) -> bool:
        return self.state is self.before.state


class _ConfigSnapshot(msgspec.Struct):
    config_json: msgspec.Raw = msgspec.Raw(b"{}")
    max_retries: int = DEFAULT_CONFIG.max_retries
    timeout_seconds: int | None = None
    checkpoint_interval_sec: int = DEFAULT_CONFIG.checkpoint_interval_sec
    cpu_cores: float = DEFAULT_CONFIG.cpu_cores
    memory_mb: int = DEFAULT_CONFIG.memory_mb
    disk_mb: int = DEFAULT_CONFIG.disk_mb


def config_from_json(text: str | None) -> Config:
    """The config that a workload keeps; the defaults when its customer had none at the first assignment."""
    if text is None:
        return DEFAULT_CONFIG
    snapshot = msgspec.json.decode(text, type=_ConfigSnapshot)
    return Config(
        config_json=bytes(snapshot.config_json).decode(),
        max_retries=snapshot.max_retries,
        timeout_seconds=snapshot.timeout_seconds,
        checkpoint_interval_sec=snapshot.checkpoint_interval_sec,
        cpu_cores=snapshot.cpu_cores,
        memory_mb=snapshot.memory_mb,
        disk_mb=snapshot.disk_mb,
    )


class _Rules(msgspec.Struct):
    worker_id: str | None = None
    worker_tags: dict[str, str] = {}
    workload_types: tuple[str, ...] = ()

    def constraint(self) -> Constraint:
        return Constraint(self.worker_id, self.worker_tags, self.workload_types)


class _AffinityRules(msgspec.Struct):
    hard_affinity: _Rules | None = None
    soft_affinity: _Rules | None = None
    anti_affinity: _Rules | None = None


_ANYWHERE = Affinity()


def affinity_from_json(text: str | None) -> Affinity:
    """Stored ``affinity_rules`` as the domain has them."""
    if text is None:
        return _ANYWHERE
    rules = msgspec.json.decode(text, type=_AffinityRules)
    return Affinity(
        hard=rules.hard_affinity.constraint() if rules.hard_affinity else Constraint(),
        soft=rules.soft_affinity.constraint() if rules.soft_affinity else Constraint(),
        anti=rules.anti_affinity.constraint() if rules.anti_affinity else Constraint(),
    )


def _locked(row: Any, first: int = 0) -> Locked:
    values = tuple(row)[first : first + _STATE_COLUMNS]
    fields: tuple[Any, ...] = (
        *values[:3],
        _STATUS[values[3]],
        *values[4:9],
        _STATUS[values[9]] if values[9] else None,
        *values[10:17],
        _PHASE[values[17]],
        *values[18:],
    )
    state = WorkloadState(*fields)
    return Locked(
        state,
        row["db_now"],
        row["placement_key"],
        config_from_json(row["config_snapshot"]),
        row["timeout_seconds"],
    )


class WorkloadStore:
    """Queries on workloads. Every method takes the connection, so that the caller owns the transaction."""

    async def admit(self, conn: Connection, customer_ids: Sequence[str]) -> dict[str, int]:
        """Lock the customers' counts and give how many workloads each has queued."""
        rows = await _queries.admit(conn, customer_ids=sorted(set(customer_ids)))
        return {row["customer_id"]: row["queued"] for row in rows}

    async def claim_keys(self, conn: Connection, uses: Sequence[KeyUse]) -> int:
        """Claim idempotency keys (each at most once in a call); gives how many were free."""
        ordered = sorted(uses, key=lambda use: use.name)
        rows = await _queries.claim_keys(
            conn,
            customer_ids=[use.name.customer_id for use in ordered],
            operations=[use.name.operation for use in ordered],
            keys=[use.name.key for use in ordered],
            hashes=[use.body_sha256 for use in ordered],
            answers=[use.answer for use in ordered],
        )
        return len(rows)

    async def keyed(self, conn: Connection, names: Sequence[KeyName]) -> dict[KeyName, KeyUse]:
        """What these keys were used for within a day; unused ones are left out."""
        rows = await _queries.keyed(
            conn,
            customer_ids=[name.customer_id for name in names],
            operations=[name.operation for name in names],
            keys=[name.key for name in names],
        )
        uses = [KeyUse(KeyName(*tuple(row)[:3]), row["body_sha256"], row["answer"]) for row in rows]
        return {use.name: use for use in uses}

    async def insert_batch(self, conn: Connection, batch: Sequence[NewWorkload]) -> None:
        """Store submissions with their first audit event and the customers' counts."""
        counts: dict[str, int] = {}
        for w in batch:
            counts[w.customer_id] = counts.get(w.customer_id, 0) + 1
        await _queries.insert_batch(
            conn,
            customer_ids=[w.customer_id for w in batch],
            workload_ids=[w.workload_id for w in batch],
            workload_types=[w.workload_type for w in batch],
            priorities=[w.priority for w in batch],
            inputs=[w.input_json for w in batch],
            affinities=[w.affinity_json for w in batch],
            timeouts=[w.timeout_seconds for w in batch],
            placement_keys=[w.placement_key for w in batch],
            ranks=[w.queue_rank for w in batch],
            created_ats=[w.created_at for w in batch],
            actor_ids=[w.actor_id for w in batch],
            queued_customers=list(counts),
            queued_counts=list(counts.values()),
        )

    async def existing(self, conn: Connection, batch: Sequence[NewWorkload]) -> set[str]:
        """Which of these are stored; for resolving a COMMIT whose outcome is unknown."""
        rows = await _queries.existing(
            conn,
            customer_ids=[w.customer_id for w in batch],
            workload_ids=[w.workload_id for w in batch],
        )
        return {row["workload_id"] for row in rows}

    async def lock(self, conn: Connection, refs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Locked]:
        """Lock (customer, workload) pairs and give their states; those that don't exist are left out."""
        rows = await _queries.lock_states(
            conn, customer_ids=[ref[0] for ref in refs], workload_ids=[ref[1] for ref in refs]
        )
        return {(row["customer_id"], row["workload_id"]): _locked(row) for row in rows}

    async def states(self, conn: Connection, refs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Locked]:
        """As `lock`, without the lock: what is decided on it may find another version when it is written."""
        rows = await _queries.states(
            conn, customer_ids=[ref[0] for ref in refs], workload_ids=[ref[1] for ref in refs]
        )
        return {(row["customer_id"], row["workload_id"]): _locked(row) for row in rows}

    async def lock_held(self, conn: Connection, worker_id: str, incarnation: str, most: int = 500) -> list[Locked]:
        """Lock what one incarnation of a worker holds, ``most`` at a time."""
        return [
            _locked(row)
            for row in await _queries.lock_held(conn, worker_id=worker_id, incarnation=incarnation, most=most)
        ]

    async def apply(
        self, conn: Connection, changes: Sequence[Change], *, epoch: int | None = None
    ) -> dict[tuple[str, str], Any]:
        """Write changes and their audit events; gives the rows that were written by (customer, workload).

        One that is missing from the answer had another version by then, or the leader's ``epoch`` is no
        longer the newest: nothing of it was written. The row of one that was assigned has all that its
        worker needs, as `assignments` gives it.
        """
        written = [change for change in changes if not change.is_empty]
        if not written:
            return {}
        states = [change.state for change in written]
        audit = [(c.state.customer_id, c.state.workload_id, e) for c in written for e in c.events]
        rows = await _queries.apply_changes(
            conn,
            epoch=epoch,
            customer_ids=[s.customer_id for s in states],
            workload_ids=[s.workload_id for s in states],
            expected_versions=[c.before.state.version for c in written],
            statuses=[s.status.value for s in states],
            versions=[s.version for s in states],
            generations=[s.generation for s in states],
            event_counts=[s.event_count for s in states],
            worker_ids=[s.worker_id for s in states],
            incarnations=[s.incarnation for s in states],
            scheduled_froms=[s.scheduled_from and s.scheduled_from.value for s in states],
            event_sequences=[s.event_sequence for s in states],
            progress=[s.progress_percent for s in states],
            progress_messages=[s.progress_message for s in states],
            retry_counts=[s.retry_count for s in states],
            failure_counts=[s.failure_count for s in states],
            death_streaks=[s.death_streak for s in states],
            checkpoint_sequences=[s.checkpoint_sequence for s in states],
            pause_phases=[s.pause_phase and s.pause_phase.value for s in states],
            readies=[s.ready for s in states],
            available_ats=[s.available_at for s in states],
            scheduled_ats=[s.scheduled_at for s in states],
            started_ats=[s.started_at for s in states],
            attempt_started_ats=[s.attempt_started_at for s in states],
            paused_ats=[s.paused_at for s in states],
            completed_ats=[s.completed_at for s in states],
            error_messages=[s.error_message for s in states],
            results=[s.result_json for s in states],
            queued_deltas=[c.state.status.is_queued - c.before.state.status.is_queued for c in written],
            running_deltas=[c.state.status.is_held - c.before.state.status.is_held for c in written],
            audit_customer_ids=[a[0] for a in audit],
            audit_workload_ids=[a[1] for a in audit],
            audit_event_ids=[a[2].event_id for a in audit],
            audit_types=[a[2].type.value for a in audit],
            audit_ats=[a[2].at for a in audit],
            audit_actor_types=[a[2].actor.type for a in audit],
            audit_actor_ids=[a[2].actor.id for a in audit],
            audit_details=[_encode(a[2].details).decode() for a in audit],
        )
        return {(row["customer_id"], row["workload_id"]): row for row in rows}

    async def lanes(self, conn: Connection, after: tuple[str, int], most: int, most_each: int) -> list[LaneRead]:
        """Lanes with something ready, in order from the one after (customer, placement key).

        Args:
            conn: The connection.
            after: ``("", 0)`` for the first.
            most: Lanes in all.
            most_each: Lanes of one customer.
        """
        rows = await _queries.lanes(conn, after_customer=after[0], after_key=after[1], most=most, most_each=most_each)
        return [LaneRead(*row) for row in rows]

    async def heads(
        self, conn: Connection, lanes: Sequence[tuple[str, int, int]], *, with_suspects: bool = True
    ) -> dict[tuple[str, int], list[Head]]:
        """The first ready workloads of each (customer, placement key, how many), in rank order.

        Lanes with nothing are left out; so are, unless ``with_suspects``, workloads that lost so many workers in a
        row that they may be the cause.
        """
        rows = await _queries.heads(
            conn,
            customer_ids=[lane[0] for lane in lanes],
            placement_keys=[lane[1] for lane in lanes],
            mosts=[lane[2] for lane in lanes],
            longest_streak=(DEATHS_BEFORE_FAILURE if with_suspects else DEATHS_BEFORE_SUSPICION - 1),
        )
        found: dict[tuple[str, int], list[Head]] = {}
        for row in rows:
            locked = _locked(row, first=1)
            affinity = affinity_from_json(row["affinity_rules"])
            head = Head(locked, row["queue_rank"], affinity, row["checkpoint_percent"] or 0)
            found.setdefault((locked.state.customer_id, locked.placement_key), []).append(head)
        return found

    async def assignments(self, conn: Connection, refs: Sequence[tuple[str, str]]) -> list[Any]:
        """What a worker needs to run these, as rows; those no longer SCHEDULED are left out."""
        rows = await _queries.assignments(conn, customer_ids=[r[0] for r in refs], workload_ids=[r[1] for r in refs])
        return list(rows)

    async def held(self, conn: Connection) -> list[Any]:
        """Who holds what, all workers."""
        return list(await _queries.held(conn))

    async def held_by_workers(self, conn: Connection, worker_ids: Sequence[str]) -> list[Any]:
        """Who holds what, of some workers."""
        return list(await _queries.held_by_workers(conn, worker_ids=worker_ids))

    async def held_counts(self, conn: Connection) -> list[tuple[str, str, int]]:
        """(worker, workload type, count) of what workers hold."""
        return [tuple(row) for row in await _queries.held_counts(conn)]

    async def held_by(self, conn: Connection, worker_id: str, incarnation: str) -> set[tuple[str, str, int]]:
        """(customer, workload, generation) of what one incarnation should be running."""
        rows = await _queries.held_by(conn, worker_id=worker_id, incarnation=incarnation)
        return {(row["customer_id"], row["workload_id"], row["generation"]) for row in rows}

    async def unanswered(self, conn: Connection, older_than_seconds: float) -> list[Any]:
        """Assignments that no worker has confirmed."""
        return list(await _queries.unanswered(conn, older_than_seconds=older_than_seconds))

    async def overdue(self, conn: Connection, grace_seconds: float) -> list[Any]:
        """Attempts past their time-out and a grace, on the database's clock."""
        return list(await _queries.overdue(conn, grace_seconds=grace_seconds))

    async def orphaned(self, conn: Connection) -> list[tuple[str, str]]:
        """(worker, incarnation) pairs that hold workloads but are gone."""
        return [(row["worker_id"], row["incarnation"]) for row in await _queries.orphaned(conn)]

    async def promote(self, conn: Connection) -> set[tuple[str, int]]:
        """Put workloads whose back-off has ended into the queue; gives their lanes."""
        rows = await _queries.promote(conn)
        return {(row["customer_id"], row["placement_key"]) for row in rows}

    async def seconds_to_next_promotion(self, conn: Connection) -> float | None:
        """When the next back-off ends; None when none is waiting."""
        row = await _queries.next_promotion(conn)
        return None if row is None else row["seconds"]

    async def get(self, conn: Connection, customer_id: str, workload_id: str) -> Any | None:
        """One workload's row; None when the customer has no such workload."""
        return await _queries.get(conn, customer_id=customer_id, workload_id=workload_id)
