"""Workloads' states as transactions hold and change them: from rows, and to the arrays that `apply_changes` takes.

The fields of `WorkloadState` are the one declaration. They are read by their names, and ``make generate`` writes them
into ``workloads.sql``. So a new one is added there, and to the table and the view ``traced_workload_states`` by a
migration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import itemgetter
from typing import Any

import msgspec

from niyanta.domain.limits import DEFAULT_CONFIG, TypeConfig
from niyanta.domain.placement import Affinity, Constraint
from niyanta.domain.workload import AuditEvent, Cause, Move, WorkloadState
from niyanta.server.store.queries import Reader, Row, unless_all

__all__ = [
    "FIXED_FIELDS",
    "Change",
    "Head",
    "Locked",
    "affinity_from_json",
    "config_from_json",
    "read_head",
    "read_locked",
    "state_columns",
]

FIXED_FIELDS = ("customer_id", "workload_id", "workload_type")
"""Fields of `WorkloadState` that no move changes."""


class Locked(msgspec.Struct, frozen=True):
    """A workload's state as a transaction holds it, with what decisions need besides."""

    state: WorkloadState
    now: datetime
    """The database's time."""
    config: TypeConfig
    timeout_seconds: int | None
    traceparent: str | None = None
    """The span that the workload was submitted in; None where nothing is traced."""


class Head(msgspec.Struct, frozen=True):
    """A ready workload at the head of its lane."""

    locked: Locked
    rank: float
    affinity: Affinity
    checkpoint_percent: int
    """Progress at its newest checkpoint, from which its next attempt goes on; 0 without one."""


@dataclass(slots=True)
class Change:
    """What one transaction does to one workload: from the locked state, through some moves, to the last."""

    before: Locked
    state: WorkloadState
    events: list[AuditEvent]
    cause: Cause | None = None
    """Of the last redistribution among the moves."""

    @classmethod
    def begin(cls, before: Locked) -> Change:
        """A change that moves nothing yet."""
        return cls(before, before.state, [])

    def then(self, move: Move) -> None:
        """Add a move that was made from this change's present state."""
        self.state = move.state
        if move.event is not None:
            self.events.append(move.event)
        self.cause = move.cause or self.cause

    @property
    def key(self) -> tuple[str, str]:
        """(customer, workload)."""
        return self.before.state.customer_id, self.before.state.workload_id

    @property
    def is_empty(self) -> bool:
        """Whether nothing was moved."""
        return self.state is self.before.state


class _ConfigSnapshot(msgspec.Struct):
    config_json: msgspec.Raw = msgspec.Raw(b"{}")
    max_retries: int = DEFAULT_CONFIG.max_retries
    timeout_seconds: int | None = None
    checkpoint_interval_sec: int = DEFAULT_CONFIG.checkpoint_interval_sec
    cpu_cores: float = DEFAULT_CONFIG.cpu_cores
    memory_mb: int = DEFAULT_CONFIG.memory_mb
    disk_mb: int = DEFAULT_CONFIG.disk_mb


def config_from_json(text: str | None) -> TypeConfig:
    """The config that a workload keeps; the defaults when its customer had none at the first assignment."""
    if text is None:
        return DEFAULT_CONFIG
    snapshot = msgspec.json.decode(text, type=_ConfigSnapshot)
    return TypeConfig(
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


def affinity_from_json(text: str | None, misfits: str | None = None) -> Affinity:
    """Stored ``affinity_rules`` and ``misfits`` as the domain has them."""
    unfit = frozenset(misfits.split()) if misfits else frozenset()
    if text is None:
        return Affinity(misfits=unfit) if unfit else _ANYWHERE
    rules = msgspec.json.decode(text, type=_AffinityRules)
    return Affinity(
        hard=rules.hard_affinity.constraint() if rules.hard_affinity else Constraint(),
        soft=rules.soft_affinity.constraint() if rules.soft_affinity else Constraint(),
        anti=rules.anti_affinity.constraint() if rules.anti_affinity else Constraint(),
        misfits=unfit,
    )


_read_state = Reader(WorkloadState, make=WorkloadState.of)
_CHANGING = [
    (field.name, itemgetter(field.name), field.default)
    for field in fields(WorkloadState)
    if field.name not in FIXED_FIELDS
]


def read_locked(row: Row) -> Locked:
    """From a row of ``traced_workload_states`` with the database's time."""
    return Locked(
        _read_state(row),
        row["db_now"],
        config_from_json(row["config_snapshot"]),
        row["timeout_seconds"],
        row["traceparent"],
    )


def read_head(row: Row) -> Head:
    """From the same, with what the scheduler needs besides."""
    return Head(
        read_locked(row),
        row["queue_rank"],
        affinity_from_json(row["affinity_rules"], row["misfits"]),
        row["checkpoint_percent"] or 0,
    )


def state_columns(states: Sequence[WorkloadState]) -> dict[str, list[Any] | None]:
    """Each field that moves change, as the array that `apply_changes` takes under its name.

    None when all states have the field's default, which most have in most fields; the statement fills that in.
    """
    all_fields = [vars(state) for state in states]
    return {name: unless_all(default, list(map(get, all_fields))) for name, get, default in _CHANGING}
