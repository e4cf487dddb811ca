"""Who leads: one lease in PostgreSQL with an epoch that grows at each election.

Safety comes from the epoch, which every write of the leader checks in its own transaction; the lease only decides
who tries. A leader stops trusting its lease before the lease ends, on its monotonic clock, counted from the moment it
sent the last renewal that succeeded.
"""

from __future__ import annotations

import asyncio
import logging
import time

from niyanta.errors import ServiceUnavailableError
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.database import Database
from niyanta.server.store.lease import LeaseStore

__all__ = ["Election"]

log = logging.getLogger(__name__)


class Election:
    """Takes part in the election, and says whether this coordinator leads."""

    def __init__(self, database: Database, settings: CoordinatorSettings) -> None:
        self._database = database
        self._settings = settings
        self._store = LeaseStore()
        self._epoch: int | None = None
        self._trusted_until = 0.0
        self._elected = asyncio.Event()
        self.someone_leads = False

    @property
    def epoch(self) -> int | None:
        """This coordinator's epoch while it leads and trusts its lease; None otherwise."""
        return self._epoch if time.monotonic() < self._trusted_until else None

    async def wait_elected(self) -> int:
        """Return the epoch once this coordinator leads."""
        while (epoch := self.epoch) is None:
            self._elected.clear()
            await self._elected.wait()
        return epoch

    def step_down(self) -> None:
        """Stop leading at once: a write was fenced."""
        if self._epoch is not None:
            log.warning("election.stepped_down", extra={"epoch": self._epoch})
        self._epoch = None

    async def run(self) -> None:
        """Take or renew the lease until cancelled, then give it up so that another takes over at once."""
        try:
            while True:
                try:
                    async with asyncio.timeout(self._settings.leader_trust_seconds):
                        await self._tick()
                except (ServiceUnavailableError, TimeoutError):
                    self.someone_leads = False
                await asyncio.sleep(self._settings.leader_renew_seconds)
        finally:
            if self._epoch is not None:
                epoch, self._epoch = self._epoch, None
                try:
                    async with asyncio.timeout(2), self._database.connection("lease") as conn:
                        await self._store.give_up(conn, epoch)
                except (ServiceUnavailableError, TimeoutError):
                    log.info("election.lease_left_to_expire")

    async def _tick(self) -> None:
        sent = time.monotonic()
        lease = self._settings.leader_lease_seconds
        async with self._database.connection("lease") as conn:
            if self._epoch is not None:
                if await self._store.renew(conn, self._epoch, lease):
                    self._trusted_until = sent + self._settings.leader_trust_seconds
                    self._elected.set()
                    return
                self.step_down()
            epoch = await self._store.take(conn, self._settings.coordinator_id, lease)
            if epoch is None:
                self.someone_leads = (await self._store.current(conn)).held
                return
        self._epoch = epoch
        self._trusted_until = sent + self._settings.leader_trust_seconds
        self.someone_leads = True
        self._elected.set()
        log.info("election.won", extra={"epoch": epoch})
