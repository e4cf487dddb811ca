"""Workers in PostgreSQL: their incarnations, heartbeats and ends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from niyanta.domain.forms import form_of
from niyanta.domain.workers import DrainMode, Isolation, OrderKind, WorkerEnd, WorkerStatus
from niyanta.server.store.queries import Connection, Queries, Reader, Row
from niyanta.wire.messages import HandlerInfo, Register

__all__ = ["ListedWorker", "LiveWorker", "RemovedWorker", "StandingOrder", "StoredWorker", "WorkerStore"]


class StoredWorker(msgspec.Struct, frozen=True, kw_only=True):
    """One worker as the database has it."""

    worker_id: str
    incarnation: str
    status: WorkerStatus
    capacity: int
    tags: dict[str, str]
    handlers: list[HandlerInfo]
    version: str
    registered_at: datetime
    last_heartbeat: datetime
    silent_seconds: float
    ended_reason: WorkerEnd | None = None
    """Of a dead worker."""
    has_stopped: bool = False
    """Of one that left: it has said that nothing of it runs any more."""
    customers: list[str] = []
    """The only ones whose workloads it gets, by its join token; empty for everybody's."""

    @property
    def exclusive_types(self) -> list[str]:
        """Those of its workload types of which two attempts must never run at once."""
        return _exclusive(self.handlers)

    @property
    def missing_walls(self) -> list[str]:
        """What doesn't keep its handlers' processes in."""
        boxed = (handler.missing_walls for handler in self.handlers if handler.isolation is Isolation.PROCESS)
        return sorted({wall for walls in boxed for wall in walls})

    @property
    def forms(self) -> dict[str, str]:
        """By workload type the form of input that its handler takes."""
        return {h.workload_type: h.form or form_of(h.input_schema) for h in self.handlers}


class RemovedWorker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that has just been removed."""

    incarnation: str
    handlers: list[HandlerInfo]

    @property
    def exclusive_types(self) -> list[str]:
        """As of a `StoredWorker`."""
        return _exclusive(self.handlers)


class StandingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator has ordered for a worker's id; holds over its restarts until it is taken back."""

    kind: OrderKind
    given_by: str
    given_at: datetime
    mode: DrainMode | None = None
    """Of a drain."""


class ListedWorker(msgspec.Struct, frozen=True, kw_only=True):
    """One worker as operators see it."""

    worker: StoredWorker
    workload_ids: list[str]
    """What it holds, SCHEDULED or RUNNING, by id."""
    standing_order: StandingOrder | None = None


class LiveWorker(NamedTuple):
    """A worker whose beat was recorded."""

    worker_id: str
    incarnation: str
    status: WorkerStatus
    moves: bool
    """An operator drains it, and what it runs is to go on elsewhere."""


class _StatusCount(NamedTuple):
    status: WorkerStatus
    workers: int
    capacity: int


_decode_handlers = msgspec.json.Decoder(list[HandlerInfo]).decode
_read_worker = Reader(
    StoredWorker, {"tags": msgspec.json.Decoder(dict[str, str]).decode, "handlers": _decode_handlers}
)


def _exclusive(handlers: Sequence[HandlerInfo]) -> list[str]:
    return [handler.workload_type for handler in handlers if handler.exclusive]


def _read_order(row: Row) -> StandingOrder | None:
    if row["standing_order"] is None:
        return None
    kind = OrderKind(row["standing_order"])
    mode = DrainMode(row["drain_mode"] or DrainMode.FINISH) if kind is OrderKind.DRAIN else None
    return StandingOrder(kind=kind, given_by=row["ordered_by"], given_at=row["ordered_at"], mode=mode)


def _read_listed(row: Row) -> ListedWorker:
    return ListedWorker(
        worker=_read_worker(row),
        workload_ids=row["workload_ids"],
        standing_order=_read_order(row),
    )


_queries = Queries("workers.sql")
_register = _queries.one("register", str)
_time_now = _queries.sole("time_now", datetime, lambda row: row["time_now"])
_removed_ids = _queries.many("removed_ids", str)
_standing_order = _queries.one("standing_order", StandingOrder, _read_order)
_beat = _queries.many("beat", LiveWorker)
_all_workers = _queries.many("all_workers", StoredWorker, _read_worker)
_workers_page = _queries.many("workers_page", ListedWorker, _read_listed)
_one_worker = _queries.one("one_worker", ListedWorker, _read_listed)
_count_workers = _queries.sole("count_workers", int)
_fleet_summary = _queries.many("fleet_summary", _StatusCount)
_end_worker = _queries.one("end_worker", str)
_drain = _queries.one("drain", str)
_remove_worker = _queries.one("remove_worker", RemovedWorker, Reader(RemovedWorker, {"handlers": _decode_handlers}))
_stopped = _queries.many("stopped", str)
_undrain = _queries.one("undrain", str)
_forget_dead = _queries.run("forget_dead")


_MOST_REMOVED = 20_000


class WorkerStore:
    """Queries on workers."""

    async def register(self, conn: Connection, worker: Register, lease_seconds: float) -> WorkerStatus | None:
        """Bring an incarnation to life; gives its status, or None while another one or a removal holds the id."""
        status = await _register(
            conn,
            worker_id=worker.worker_id,
            incarnation=worker.incarnation,
            capacity=worker.capacity,
            tags=msgspec.json.encode(worker.tags).decode(),
            handlers=msgspec.json.encode(worker.handlers).decode(),
            version=worker.version,
            lease_seconds=lease_seconds,
            replaces=worker.replaces,
        )
        return None if status is None else WorkerStatus(status)

    async def time_now(self, conn: Connection) -> datetime:
        """The database's clock."""
        return await _time_now(conn)

    async def removed(self, conn: Connection, seconds: float) -> list[str]:
        """Ids that an operator removed longer ago than so many seconds; of very many the newest."""
        return await _removed_ids(conn, seconds=seconds, most=_MOST_REMOVED)

    async def standing_order(self, conn: Connection, worker_id: str) -> StandingOrder | None:
        """What an operator has ordered for an id."""
        return await _standing_order(conn, worker_id=worker_id)

    async def beat(
        self, conn: Connection, beats: Sequence[tuple[str, str, bool]]
    ) -> dict[tuple[str, str], LiveWorker]:
        """Record (worker, incarnation, draining) beats; gives those that are live, by (worker, incarnation)."""
        live = await _beat(
            conn,
            worker_ids=[b[0] for b in beats],
            incarnations=[b[1] for b in beats],
            drainings=[b[2] for b in beats],
        )
        return {(worker.worker_id, worker.incarnation): worker for worker in live}

    async def all(self, conn: Connection) -> list[StoredWorker]:
        """The whole fleet, those that have died within the hour included."""
        return await _all_workers(conn)

    async def page(
        self, conn: Connection, status: str | None, most: int, *, skip: int = 0, after: str | None = None
    ) -> tuple[list[ListedWorker], int]:
        """At most ``most`` workers of one status, or of any, by id from the one after ``after``; and how many."""
        listed = await _workers_page(conn, status=status, after=after, most=most, skip=skip)
        return listed, await _count_workers(conn, status=status)

    async def one(self, conn: Connection, worker_id: str) -> ListedWorker | None:
        """One worker; None when the id isn't known."""
        return await _one_worker(conn, worker_id=worker_id)

    async def summary(self, conn: Connection) -> dict[WorkerStatus, tuple[int, int]]:
        """How many workers there are of each status, and how many slots these have."""
        return {count.status: (count.workers, count.capacity) for count in await _fleet_summary(conn)}

    async def end(
        self,
        conn: Connection,
        worker_id: str,
        reason: WorkerEnd,
        *,
        incarnation: str | None = None,
        silent_for_seconds: float | None = None,
        epoch: int | None = None,
    ) -> str | None:
        """Declare a worker dead; gives the incarnation that ended.

        None when it is dead already, has spoken meanwhile, or the epoch is over.
        """
        return await _end_worker(
            conn,
            worker_id=worker_id,
            incarnation=incarnation,
            reason=reason,
            silent_for_seconds=silent_for_seconds,
            epoch=epoch,
        )

    async def drain(self, conn: Connection, worker_id: str, mode: DrainMode, ordered_by: str) -> str | None:
        """Give this id no new work until `undrain`; gives the live incarnation, None when there is none.

        What it holds is noted for the report on the drain.
        """
        return await _drain(conn, worker_id=worker_id, mode=mode, ordered_by=ordered_by)

    async def remove(self, conn: Connection, worker_id: str, ordered_by: str) -> RemovedWorker | None:
        """Declare a worker dead, and its id barred until `undrain`; gives what ended, None when it isn't live."""
        return await _remove_worker(conn, worker_id=worker_id, ordered_by=ordered_by)

    async def stopped(self, conn: Connection, gone: Sequence[tuple[str, str]]) -> list[str]:
        """Take ended (worker, incarnation) pairs' word that nothing of them runs any more; gives the new ones."""
        return await _stopped(conn, worker_ids=[pair[0] for pair in gone], incarnations=[pair[1] for pair in gone])

    async def undrain(self, conn: Connection, worker_id: str) -> WorkerStatus | None:
        """Take a drain or a removal back; gives the worker's status, or None when the id isn't known."""
        status = await _undrain(conn, worker_id=worker_id)
        return None if status is None else WorkerStatus(status)

    async def forget_dead(self, conn: Connection, older_than_seconds: float) -> None:
        """Drop the rows of workers that ended long ago, but for those under a standing order."""
        await _forget_dead(conn, older_than_seconds=older_than_seconds)
