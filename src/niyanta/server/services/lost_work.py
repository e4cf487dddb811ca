"""How much running time a redistribution costs: what ran since the last checkpoint runs again."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from niyanta.domain.workload import Key
from niyanta.errors import ServiceUnavailableError
from niyanta.server.observability.metrics import Metrics
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.vitals import VitalsStore
from niyanta.wire.changes import Changed

__all__ = ["LostWork"]

log = logging.getLogger(__name__)

_MOST_WAITING = 10_000
_MOST_AT_ONCE = 500


class _Loss(NamedTuple):
    key: Key
    cause: str
    held_seconds: float


class LostWork:
    """Looks the last checkpoints up, beside everything else, for what this coordinator took from workers.

    What it can't look up in time isn't counted: a metric holds nobody up.
    """

    def __init__(self, database: Database, metrics: Metrics, coordinator_id: str) -> None:
        self._database = database
        self._metrics = metrics
        self._origin = coordinator_id
        self._store = VitalsStore()
        self._waiting: asyncio.Queue[_Loss] = asyncio.Queue(_MOST_WAITING)

    def note(self, changed: Changed) -> None:
        """Take up what is told of redistributions; listens to the feed."""
        if changed.origin != self._origin:
            return
        for change in changed.changes:
            if change.held_seconds is not None and change.cause is not None and not self._waiting.full():
                key = (change.customer_id, change.workload_id)
                self._waiting.put_nowait(_Loss(key, change.cause, change.held_seconds))

    async def run(self) -> None:
        """Count until cancelled."""
        while True:
            losses = [await self._waiting.get()]
            while len(losses) < _MOST_AT_ONCE and not self._waiting.empty():
                losses.append(self._waiting.get_nowait())
            try:
                async with self._database.connection(Pool.VITAL) as conn:
                    since = await self._store.since_checkpoint(conn, [loss.key for loss in losses])
            except ServiceUnavailableError as exc:
                log.info("lost_work.not_counted", extra={"error": str(exc), "workloads": len(losses)})
                continue
            for loss in losses:
                seconds = since.get(loss.key, loss.held_seconds)
                self._metrics.work_lost(loss.cause, min(seconds, loss.held_seconds))
