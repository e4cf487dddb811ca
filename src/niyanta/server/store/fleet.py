"""Workers and the leader's lease in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from niyanta.server.store.database import Connection, Queries
from niyanta.wire.messages import HandlerInfo, Register

__all__ = ["LeaseStore", "ListedWorker", "StandingOrder", "WorkerRow", "WorkerStore"]

_workers = Queries("workers.sql")
_lease = Queries("lease.sql")


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One worker as the database has it."""

    worker_id: str
    incarnation: str
    status: str
    """``HEALTHY``, ``DRAINING`` or ``DEAD``."""
    capacity: int
    tags: dict[str, str]
    handlers: list[HandlerInfo]
    version: str
    last_heartbeat: datetime
    silent_seconds: float
    ended_reason: str | None = None
    """``lost``, ``removed`` or ``stopped`` for a dead worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingOrder:
    """What an operator has ordered for a worker's id; holds over its restarts until it is taken back."""

    kind: Literal["drain", "remove"]
    given_by: str
    given_at: datetime


@dataclass(frozen=True, slots=True)
class ListedWorker:
    """One worker as operators see it."""

    worker: WorkerRow
    registered_at: datetime
    workload_ids: list[str]
    """What it holds, SCHEDULED or RUNNING, by id."""
    standing_order: StandingOrder | None = None


def _row(row: Any) -> WorkerRow:
    return WorkerRow(
        row["worker_id"],
        row["incarnation"],
        row["status"],
        row["capacity"],
        msgspec.json.decode(row["tags"], type=dict[str, str]),
        msgspec.json.decode(row["handlers"], type=list[HandlerInfo]),
        row["version"],
        row["last_heartbeat"],
        row["silent_seconds"],
        row["ended_reason"],
    )


def _order(row: Any) -> StandingOrder | None:
    if row is None or row["standing_order"] is None:
        return None
    return StandingOrder(kind=row["standing_order"], given_by=row["ordered_by"], given_at=row["ordered_at"])


class WorkerStore:
    """Queries on workers."""

    async def register(self, conn: Connection, worker: Register, lease_seconds: float) -> str | None:
        """Bring an incarnation to life; gives its status, or None while another one or a removal holds the id."""
        row = await _workers.register(
            conn,
            worker_id=worker.worker_id,
            incarnation=worker.incarnation,
            capacity=worker.capacity,
            tags=msgspec.json.encode(worker.tags).decode(),
            handlers=msgspec.json.encode(worker.handlers).decode(),
            version=worker.version,
            lease_seconds=lease_seconds,
        )
        return None if row is None else str(row["status"])

    async def standing_order(self, conn: Connection, worker_id: str) -> StandingOrder | None:
        """What an operator has ordered for an id."""
        return _order(await _workers.standing_order(conn, worker_id=worker_id))

    async def beat(self, conn: Connection, beats: Sequence[tuple[str, str, bool]]) -> dict[tuple[str, str], str]:
        """Record (worker, incarnation, draining) beats; gives the status of those that are live."""
        rows = await _workers.beat(
            conn,
            worker_ids=[b[0] for b in beats],
            incarnations=[b[1] for b in beats],
            drainings=[b[2] for b in beats],
        )
        return {(row["worker_id"], row["incarnation"]): row["status"] for row in rows}

    async def all(self, conn: Connection) -> list[WorkerRow]:
        """The whole fleet, those that have died within the hour included."""
        return [_row(row) for row in await _workers.all_workers(conn)]

    async def page(
        self, conn: Connection, status: str | None, most: int, *, skip: int = 0, after: str | None = None
    ) -> tuple[list[ListedWorker], int]:
        """At most ``most`` workers of one status, or of any, by id from the one after ``after``; and how many."""
        rows = await _workers.workers_page(conn, status=status, after=after, most=most, skip=skip)
        total = await _workers.count_workers(conn, status=status)
        listed = [ListedWorker(_row(row), row["registered_at"], row["workload_ids"], _order(row)) for row in rows]
        return listed, total["total"]

    async def summary(self, conn: Connection) -> dict[str, tuple[int, int]]:
        """How many workers there are of each status, and how many slots these have."""
        return {row["status"]: (row["workers"], row["capacity"]) for row in await _workers.fleet_summary(conn)}

    async def end(
        self,
        conn: Connection,
        worker_id: str,
        reason: str,
        *,
        incarnation: str | None = None,
        silent_for_seconds: float | None = None,
        epoch: int | None = None,
    ) -> str | None:
        """Declare a worker dead; gives the incarnation that ended.

        None when it is dead already, has spoken meanwhile, or the epoch is over.
        """
        row = await _workers.end_worker(
            conn,
            worker_id=worker_id,
            incarnation=incarnation,
            reason=reason,
            silent_for_seconds=silent_for_seconds,
            epoch=epoch,
        )
        return None if row is None else str(row["incarnation"])

    async def drain(self, conn: Connection, worker_id: str, ordered_by: str) -> bool:
        """Give this id no new work until `undrain`; False when it isn't live."""
        return await _workers.drain(conn, worker_id=worker_id, ordered_by=ordered_by) is not None

    async def remove(self, conn: Connection, worker_id: str, ordered_by: str) -> str | None:
        """Declare a worker dead, and its id barred until `undrain`; gives the incarnation that ended.

        None when it isn't live.
        """
        row = await _workers.remove_worker(conn, worker_id=worker_id, ordered_by=ordered_by)
        return None if row is None else str(row["incarnation"])

    async def undrain(self, conn: Connection, worker_id: str) -> str | None:
        """Take a drain or a removal back; gives the worker's status, or None when the id isn't known."""
        row = await _workers.undrain(conn, worker_id=worker_id)
        return None if row is None else str(row["status"])

    async def forget_dead(self, conn: Connection, older_than_seconds: float) -> None:
        """Drop the rows of workers that ended long ago, but for those under a standing order."""
        await _workers.forget_dead(conn, older_than_seconds=older_than_seconds)


class LeaseStore:
    """The leader's lease: one row, whose epoch fences every write of the leader (ADR 0003)."""

    async def take(self, conn: Connection, holder: str, lease_seconds: float) -> int | None:
        """Become the leader; gives the new epoch, or None while another's lease runs."""
        row = await _lease.take(conn, holder=holder, lease_seconds=lease_seconds)
        return None if row is None else int(row["epoch"])

    async def renew(self, conn: Connection, epoch: int, lease_seconds: float) -> bool:
        """Stay the leader; False when another epoch has begun."""
        return await _lease.renew(conn, epoch=epoch, lease_seconds=lease_seconds) is not None

    async def give_up(self, conn: Connection, epoch: int) -> None:
        """Let another take over at once."""
        await _lease.give_up(conn, epoch=epoch)

    async def current(self, conn: Connection) -> Any:
        """Who leads: ``epoch``, ``holder``, ``held``."""
        return await _lease.current(conn)
