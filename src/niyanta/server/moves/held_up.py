"""Customers of whom another transaction holds something for long, and whose work must not hold up everybody else's.

Commits are shared between customers, so one transaction that hangs (its coordinator froze, its link is half open)
with a customer's counts or workloads locked would stall all who share a commit with that customer, until PostgreSQL
ends it. So a shared commit waits for locks only shortly. When one isn't free in time, this finds out whose it is,
without waiting, and the others are committed without them. From then on their work is set aside at once; now and
then somebody looks whether they are free again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from niyanta.domain.workload import Key
from niyanta.server.store.database import Database, Pool, retried
from niyanta.server.store.workloads import WorkloadStore

__all__ = ["SHARED_LOCK_SECONDS", "HeldUp"]

SHARED_LOCK_SECONDS = 0.25
"""How long a commit that customers share waits for each lock."""
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 2.0
"""Between two looks at the same customer, doubling from the first."""


class HeldUp:
    """Remembers them, for one kind of commit."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._store = WorkloadStore()
        self._pauses: dict[str, tuple[float, float]] = {}
        """Until when each is left alone, and how long that is in all."""

    async def among(self, keys: Iterable[Key]) -> frozenset[str]:
        """Whose work is to be set aside now, of those whose workloads are named. Costs nothing when all goes well."""
        if not self._pauses:
            return frozenset()
        known = [key for key in keys if key[0] in self._pauses]
        now = self._clock()
        if due := [key for key in known if now >= self._pauses[key[0]][0]]:
            await self.look(due)
        return frozenset(customer_id for customer_id, _ in known if customer_id in self._pauses)

    async def look(self, keys: Iterable[Key]) -> frozenset[str]:
        """Find out whose workloads or counts are locked at this moment; theirs are set aside for a while."""
        keys = list(keys)
        held_up = await self._read(keys)
        for customer_id in {key[0] for key in keys}:
            _, pause = self._pauses.pop(customer_id, (0.0, _FIRST_PAUSE_SECONDS / 2))
            if customer_id in held_up:
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                self._pauses[customer_id] = self._clock() + pause, pause
        return held_up

    @retried
    async def _read(self, keys: list[Key]) -> frozenset[str]:
        async with self._database.connection(Pool.VITAL) as conn:
            return frozenset(await self._store.held_up(conn, keys))
