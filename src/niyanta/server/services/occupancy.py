"""Which slots are taken, as explanations and estimates need it: counted when asked for, at most once a second."""

from __future__ import annotations

import asyncio
import time

from niyanta.domain.placement import WorkerView
from niyanta.server.directory import Directory
from niyanta.server.store.database import Database, answered_within, retried
from niyanta.server.store.workloads import WorkloadStore

__all__ = ["Occupancy"]

_KEEP_SECONDS = 1.0
_COUNT_SECONDS = 5.0


class Occupancy:
    """The live workers with their load, about a second old. The scheduler has its own, exact picture."""

    def __init__(self, database: Database, directory: Directory) -> None:
        self._database = database
        self._directory = directory
        self._store = WorkloadStore()
        self._views: list[WorkerView] = []
        self._counted_at = float("-inf")
        self._counting = asyncio.Lock()

    async def views(self) -> list[WorkerView]:
        """Not to be changed by the caller."""
        async with answered_within(_COUNT_SECONDS), self._counting:
            if time.monotonic() - self._counted_at > _KEEP_SECONDS:
                self._views = await self._count()
                self._counted_at = time.monotonic()
        return self._views

    @retried
    async def _count(self) -> list[WorkerView]:
        async with self._database.connection() as conn:
            counts = await self._store.held_counts(conn)
        views = {view.worker_id: view for view in self._directory.views()}
        for worker_id, workload_type, count in counts:
            if view := views.get(worker_id):
                view.used += count
                view.running[workload_type] += count
        return list(views.values())
