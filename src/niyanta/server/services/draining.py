"""How far drains have come: what each has found, and what became of that."""

from __future__ import annotations

from dataclasses import dataclass

from niyanta.domain.draining import Fate, fate_of_ended, fate_of_held
from niyanta.domain.workers import DrainMode, OrderKind
from niyanta.errors import InvalidInputError, NotFoundError
from niyanta.server.directory import Directory
from niyanta.server.store.database import Database, retried
from niyanta.server.store.drains import DrainedAttempt, DrainStore
from niyanta.server.store.workers import ListedWorker, StandingOrder, WorkerStore

__all__ = ["DrainReport", "DrainReports", "drain_mode"]


@dataclass(frozen=True, slots=True)
class DrainReport:
    """One worker's drain."""

    worker: ListedWorker
    order: StandingOrder
    found: list[tuple[DrainedAttempt, Fate]]
    """What the worker had when it was drained or soon after, by customer and id."""

    @property
    def remaining(self) -> int:
        """How many workloads it has still."""
        return sum(fate.is_there for _, fate in self.found)


class DrainReports:
    """Reads them when they are asked for."""

    def __init__(self, database: Database, directory: Directory) -> None:
        self._database = database
        self._directory = directory
        self._workers = WorkerStore()
        self._store = DrainStore()

    @retried
    async def of(self, worker_id: str) -> DrainReport:
        """The standing drain of a worker's id.

        Raises:
            NotFoundError: No worker with that id is known, or no operator drains it.
        """
        async with self._database.connection() as conn:
            worker = await self._workers.one(conn, worker_id)
            if worker is None:
                raise NotFoundError(f"No worker '{worker_id}' is known")
            order = worker.standing_order
            if order is None or order.kind is not OrderKind.DRAIN:
                raise NotFoundError(f"No operator drains worker '{worker_id}'")
            found = await self._store.found(conn, worker_id)
        mode = order.mode or DrainMode.FINISH
        return DrainReport(worker, order, [(attempt, self._fate(worker_id, mode, attempt)) for attempt in found])

    def _fate(self, worker_id: str, mode: DrainMode, found: DrainedAttempt) -> Fate:
        if not found.is_held:
            return fate_of_ended(found.ended_by, found.reason, found.status, found.unsaved_seconds, found.moved_to)
        elsewhere = self._directory.runs_elsewhere(
            found.customer_id, worker_id, found.workload_type, found.affinity_rules, found.misfits
        )
        return fate_of_held(mode, found.status, has_saved=found.has_saved, fits_elsewhere=elsewhere)


def drain_mode(given: str | None) -> DrainMode:
    """The mode that an operator names; to finish when none is.

    Raises:
        InvalidInputError: There is no such mode.
    """
    allowed = [mode.value for mode in DrainMode]
    if given is not None and given not in allowed:
        raise InvalidInputError(
            f"mode must be one of: {', '.join(allowed)}", details={"field": "mode", "allowed": allowed}
        )
    return DrainMode(given or DrainMode.FINISH)
