"""Workloads in PostgreSQL: what stands there, and the one guarded write that every move goes through."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from niyanta.domain.transitions import DEATHS_BEFORE_FAILURE, DEATHS_BEFORE_SUSPICION
from niyanta.domain.workload import Key
from niyanta.server.store.queries import Connection, Queries, Reader, Row, milliseconds, unless_all
from niyanta.server.store.states import Change, Head, Locked, read_head, read_locked, state_columns
from niyanta.server.store.stored_workload import StoredWorkload

__all__ = [
    "MOST_INPUT_BYTES",
    "Assignable",
    "HeldCount",
    "HeldWorkload",
    "Overdue",
    "ReadyLane",
    "Terms",
    "Unanswered",
    "WorkloadStore",
]

_encode = msgspec.json.Encoder().encode

MOST_INPUT_BYTES = 8 << 20
"""Of inputs of several workloads that are read by one query."""


class Terms(NamedTuple):
    """What a workload was submitted with and its customer may change while it waits."""

    priority: int
    queue_rank: float
    affinity_json: str | None
    timeout_seconds: int | None


class Assignable(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs to run a workload that is assigned to it."""

    customer_id: str
    workload_id: str
    generation: int
    workload_type: str
    input_params: str
    config_snapshot: str | None
    """JSON; see `config_from_json`."""
    checkpoint_sequence: int
    progress_percent: int
    timeout_seconds: int | None
    worker_id: str
    incarnation: str
    traceparent: str | None = None
    """The span that it was submitted in."""


class HeldWorkload(msgspec.Struct, frozen=True, kw_only=True):
    """A workload that takes a worker's slot."""

    customer_id: str
    workload_id: str
    generation: int
    workload_type: str
    worker_id: str


class HeldCount(NamedTuple):
    """How many workloads of a type a worker holds."""

    worker_id: str
    workload_type: str
    held: int


class Unanswered(msgspec.Struct, frozen=True, kw_only=True):
    """An assignment that no worker has confirmed."""

    customer_id: str
    workload_id: str
    generation: int
    worker_id: str
    incarnation: str
    age_seconds: float


class Overdue(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt past its time-out."""

    customer_id: str
    workload_id: str
    generation: int
    worker_id: str
    incarnation: str


class ReadyLane(NamedTuple):
    """A lane with something ready."""

    customer_id: str
    placement_key: int
    queue_rank: float
    """Of its first workload."""


class _HeldAttempt(NamedTuple):
    worker_id: str
    incarnation: str
    customer_id: str
    workload_id: str
    generation: int
    runs: bool


class _Incarnation(NamedTuple):
    worker_id: str
    incarnation: str


_read_assignable = Reader(Assignable)


def _read_written(row: Row) -> tuple[Key, Assignable | None]:
    comes_along = row["assigned"] and row["input_params"] is not None
    return (row["customer_id"], row["workload_id"]), _read_assignable(row) if comes_along else None


_queries = Queries("workloads.sql")
_lock_states = _queries.many("lock_states", Locked, read_locked)
_states = _queries.many("states", Locked, read_locked)
_lock_held = _queries.many("lock_held", Locked, read_locked)
_apply_changes = _queries.many("apply_changes", tuple[Key, Assignable | None], _read_written)
_lanes = _queries.many("lanes", ReadyLane)
_heads = _queries.many("heads", Head, read_head)
_assignments = _queries.many("assignments", Assignable)
_held = _queries.many("held", HeldWorkload)
_held_by_workers = _queries.many("held_by_workers", HeldWorkload)
_held_counts = _queries.many("held_counts", HeldCount)
_held_by = _queries.many("held_by", _HeldAttempt)
_unanswered = _queries.many("unanswered", Unanswered)
_overdue = _queries.many("overdue", Overdue)
_orphaned = _queries.many("orphaned", _Incarnation)
_promote = _queries.many("promote", ReadyLane)
_next_promotion = _queries.one("next_promotion", float)
_lock_counts = _queries.many("lock_counts", str)
_paused = _queries.sole("paused", int)
_held_up = _queries.many("held_up", str)
_set_terms = _queries.run("set_terms")
_note_pause = _queries.run("note_pause")
_get = _queries.one("get", StoredWorkload)


class WorkloadStore:
    """Queries on workloads. Every method takes the connection, so that the caller owns the transaction."""

    async def lock(self, conn: Connection, refs: Sequence[Key]) -> dict[Key, Locked]:
        """Lock workloads and give their states; those that don't exist are left out."""
        found = await _lock_states(conn, customer_ids=[ref[0] for ref in refs], workload_ids=[ref[1] for ref in refs])
        return {(locked.state.customer_id, locked.state.workload_id): locked for locked in found}

    async def states(self, conn: Connection, refs: Sequence[Key]) -> dict[Key, Locked]:
        """As `lock`, without the lock: what is decided on it may find another version when it is written."""
        found = await _states(conn, customer_ids=[ref[0] for ref in refs], workload_ids=[ref[1] for ref in refs])
        return {(locked.state.customer_id, locked.state.workload_id): locked for locked in found}

    async def lock_held(
        self, conn: Connection, worker_id: str, incarnation: str, but_types: Sequence[str], most: int = 500
    ) -> list[Locked]:
        """Lock what one incarnation of a worker holds, but for some workload types, ``most`` at a time."""
        return await _lock_held(
            conn, worker_id=worker_id, incarnation=incarnation, but_types=list(but_types), most=most
        )

    async def apply(
        self,
        conn: Connection,
        changes: Sequence[Change],
        *,
        epoch: int | None = None,
        lock_seconds: float | None = None,
    ) -> dict[Key, Assignable | None]:
        """Write changes and their audit events; gives what was written, each with what its worker needs.

        What isn't assigned needs nothing: None. Nor does what has a large input come along: `assignments` reads it.
        One that is missing from the answer had another version by then, or the leader's ``epoch`` is no longer the
        newest: nothing of it was written.

        Args:
            conn: Where to write.
            changes: What; empty ones are left out.
            epoch: The leader's; None for anybody else.
            lock_seconds: How long each lock is waited for outside of a transaction; None for what holds for all.
        """
        written = [change for change in changes if not change.is_empty]
        if not written:
            return {}
        states = [change.state for change in written]
        audit = [(c.state.customer_id, c.state.workload_id, e) for c in written for e in c.events]
        return dict(
            await _apply_changes(
                conn,
                epoch=epoch,
                lock_milliseconds=milliseconds(lock_seconds),
                customer_id=[s.customer_id for s in states],
                workload_id=[s.workload_id for s in states],
                expected_version=[c.before.state.version for c in written],
                expected_events=unless_all(0, [c.before.state.event_sequence for c in written]),
                queued_delta=unless_all(
                    0, [c.state.status.is_queued - c.before.state.status.is_queued for c in written]
                ),
                running_delta=unless_all(
                    0, [c.state.status.is_held - c.before.state.status.is_held for c in written]
                ),
                **state_columns(states),
                audit_customer_ids=[a[0] for a in audit],
                audit_workload_ids=[a[1] for a in audit],
                audit_event_ids=[a[2].event_id for a in audit],
                audit_types=[a[2].type for a in audit],
                audit_ats=[a[2].at for a in audit],
                audit_actor_types=[a[2].actor.type for a in audit],
                audit_actor_ids=[a[2].actor.id for a in audit],
                audit_details=[_encode(a[2].details).decode() for a in audit],
            )
        )

    async def lanes(self, conn: Connection, after: tuple[str, int], most: int, most_each: int) -> list[ReadyLane]:
        """Lanes with something ready, in order from the one after (customer, placement key).

        Args:
            conn: The connection.
            after: ``("", 0)`` for the first.
            most: Lanes in all.
            most_each: Lanes of one customer.
        """
        return await _lanes(conn, after_customer=after[0], after_key=after[1], most=most, most_each=most_each)

    async def heads(
        self,
        conn: Connection,
        lanes: Sequence[tuple[str, int, int]],
        *,
        without_suspects: Collection[tuple[str, int]] = (),
    ) -> dict[tuple[str, int], list[Head]]:
        """The first ready workloads of each (customer, placement key, how many), in rank order.

        Lanes with nothing are left out; so are, of those in ``without_suspects``, workloads that lost so many workers
        in a row that they may be the cause.
        """
        heads = await _heads(
            conn,
            customer_ids=[lane[0] for lane in lanes],
            placement_keys=[lane[1] for lane in lanes],
            mosts=[lane[2] for lane in lanes],
            longest_streaks=[
                DEATHS_BEFORE_SUSPICION - 1 if lane[:2] in without_suspects else DEATHS_BEFORE_FAILURE
                for lane in lanes
            ],
        )
        found: dict[tuple[str, int], list[Head]] = {}
        for head in heads:
            found.setdefault((head.locked.state.customer_id, head.locked.state.placement_key), []).append(head)
        return found

    async def assignments(self, conn: Connection, refs: Sequence[Key]) -> list[Assignable]:
        """What a worker needs to run the first of these in order, with some MiB of inputs at the most.

        Those no longer SCHEDULED are left out.
        """
        return await _assignments(
            conn,
            customer_ids=[ref[0] for ref in refs],
            workload_ids=[ref[1] for ref in refs],
            most_bytes=MOST_INPUT_BYTES,
        )

    async def held(self, conn: Connection) -> list[HeldWorkload]:
        """Who holds what, all workers."""
        return await _held(conn)

    async def held_by_workers(self, conn: Connection, worker_ids: Sequence[str]) -> list[HeldWorkload]:
        """Who holds what, of some workers."""
        return await _held_by_workers(conn, worker_ids=worker_ids)

    async def held_counts(self, conn: Connection) -> list[HeldCount]:
        """How many workloads of each type each worker holds."""
        return await _held_counts(conn)

    async def held_by(
        self, conn: Connection, workers: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], dict[tuple[str, str, int], bool]]:
        """(customer, workload, generation) of what each (worker, incarnation) holds, and whether it has begun."""
        held: dict[tuple[str, str], dict[tuple[str, str, int], bool]] = {pair: {} for pair in workers}
        for attempt in await _held_by(
            conn, worker_ids=[pair[0] for pair in workers], incarnations=[pair[1] for pair in workers]
        ):
            ref = (attempt.customer_id, attempt.workload_id, attempt.generation)
            held[attempt.worker_id, attempt.incarnation][ref] = attempt.runs
        return held

    async def unanswered(self, conn: Connection, older_than_seconds: float) -> list[Unanswered]:
        """Assignments that no worker has confirmed."""
        return await _unanswered(conn, older_than_seconds=older_than_seconds)

    async def overdue(self, conn: Connection, grace_seconds: float) -> list[Overdue]:
        """Attempts past their time-out and a grace, on the database's clock."""
        return await _overdue(conn, grace_seconds=grace_seconds)

    async def orphaned(self, conn: Connection) -> Sequence[tuple[str, str]]:
        """(worker, incarnation) pairs that hold workloads but are gone."""
        return await _orphaned(conn)

    async def promote(self, conn: Connection, most: int) -> list[ReadyLane]:
        """Put workloads whose back-off has ended into the queue, no more than ``most``; gives the lane of each."""
        return await _promote(conn, most=most)

    async def seconds_to_next_promotion(self, conn: Connection) -> float | None:
        """When the next back-off ends; None when none is waiting."""
        return await _next_promotion(conn)

    async def paused(self, conn: Connection, customer_id: str, most: int) -> int:
        """How many of a customer are PAUSED or about to be, counted to ``most``; exact until the transaction ends."""
        await self.lock_counts(conn, customer_id)
        # In a statement of its own, so that it sees what was committed while this waited for the lock.
        return await _paused(conn, customer_id=customer_id, most=most)

    async def set_terms(self, conn: Connection, key: Key, terms: Terms) -> None:
        """Change what a workload was submitted with, in the transaction of the move that tells so."""
        await _set_terms(
            conn,
            customer_id=key[0],
            workload_id=key[1],
            priority=terms.priority,
            queue_rank=terms.queue_rank,
            affinity_rules=terms.affinity_json,
            timeout_seconds=terms.timeout_seconds,
        )

    async def lock_counts(self, conn: Connection, customer_id: str) -> None:
        """Keep others from counting a customer's workloads until the transaction ends."""
        await _lock_counts(conn, customer_id=customer_id)

    async def note_pause(self, conn: Connection, key: Key, actor_id: str) -> None:
        """Keep who asks for a pause, in the transaction that marks it."""
        await _note_pause(conn, customer_id=key[0], workload_id=key[1], actor_id=actor_id)

    async def held_up(self, conn: Connection, keys: Sequence[Key]) -> list[str]:
        """Customers of these workloads of whom somebody holds the counts, or one of these, at this moment."""
        return await _held_up(conn, customer_ids=[key[0] for key in keys], workload_ids=[key[1] for key in keys])

    async def get(self, conn: Connection, customer_id: str, workload_id: str) -> StoredWorkload | None:
        """One workload, whole; None when the customer has no such workload."""
        return await _get(conn, customer_id=customer_id, workload_id=workload_id)
