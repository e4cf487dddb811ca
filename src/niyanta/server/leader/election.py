"""Who leads: one lease in PostgreSQL, with an epoch that grows at each election.

**Identity.** A leadership is named by its epoch, and never comes back: a coordinator that loses the lease and gets
it again leads under the next one. Which coordinator holds an epoch matters to nobody but people who read logs.

**Authority.** The row of the lease. Its epoch is a fencing token: every write of the leader (assignments, burials,
time-outs) takes the row with its own epoch in the same transaction and writes nothing when another has begun, and
workers ignore commands of an epoch older than the one that the service tells them. So two coordinators that both
believe to lead do no harm; the lease only decides who tries. Nothing here is needed for safety, and nothing here
may be trusted for it.

**States.** Not leading → leading, by taking a lease that has run out, which adds one to the epoch. Leading →
leading, by renewing. Leading → not leading: the trust has run out unrenewed (`epoch` says None; the loops of the
leader look at it before each round); a renewal found another epoch, or a write was fenced (`step_down`, at once);
or this coordinator stops, gives the lease up and says so, and another takes it without waiting (`resign`). The epoch
changes a key, which waits for the leader's writes under way: they hold the row FOR KEY SHARE. So when an election is
won, nothing of the old leader is still about to be committed.

**Clocks.** When the lease runs out is decided on the database's clock alone. The holder's trust is measured on its
own monotonic clock, from the moment it *sent* the last renewal that succeeded, and ends (3.5 s) before the lease
does (5 s): a slow answer shortens the trust and never lengthens it, and clocks that run apart by less than the
difference change nothing. A process that was stopped and wakes finds its trust over, before it does anything.

The others look each second, and once more at the moment when the lease that they saw would run out: nobody leads for
longer than a lease.

**Failures.** The database is away, or slower than the trust is long: no renewal, so the trust ends, and with it
scheduling and watching; somebody leads again within seconds of its return, and begins its observation of the
workers anew (the brake, see `niyanta.server.leader.monitor`). The leader is killed or stopped: another takes the
lease when it has run out. A restore from a backup sets the epoch back: workers learn the older one with their next
answered beat.

**In this module.** `run` takes or renews the lease once in `leader_renew_seconds`; `epoch` is what the leader's loops
look at before each round and what they write under; `wait_elected` is where they wait for a term of theirs. The
statements are `niyanta.server.store.lease`.
"""

from __future__ import annotations

import asyncio
import logging
import time

from niyanta.errors import ServiceUnavailableError
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.lease import LeaseStore
from niyanta.wire.changes import Changed

__all__ = ["Election"]

log = logging.getLogger(__name__)

_LEAST_PAUSE_SECONDS = 0.02


class Election:
    """Takes part in the election, and says whether this coordinator leads."""

    def __init__(self, database: Database, feed: ChangeFeed, settings: CoordinatorSettings) -> None:
        self._database = database
        self._feed = feed
        self._settings = settings
        self._store = LeaseStore()
        self._epoch: int | None = None
        self._trusted_until = 0.0
        self._elected = asyncio.Event()
        self._look = asyncio.Event()
        self._is_leaving = False
        self._has_left = asyncio.Event()
        self._has_left.set()
        self.someone_leads = False
        feed.listeners.append(self._on_change)

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

    async def resign(self) -> None:
        """Take no more part; another has the lease by now, or may take it. Idempotent."""
        self._is_leaving = True
        self._look.set()
        await self._has_left.wait()

    def _on_change(self, changed: Changed) -> None:
        if changed.lease_is_free:
            self._look.set()

    async def run(self) -> None:
        """Take or renew the lease until cancelled or resigned, then give it up so that another takes over at once."""
        self._has_left.clear()
        try:
            while not self._is_leaving:
                pause = self._settings.leader_renew_seconds
                self._look.clear()
                try:
                    async with asyncio.timeout(self._settings.leader_trust_seconds):
                        pause = min(pause, await self._tick())
                except (ServiceUnavailableError, TimeoutError):
                    self.someone_leads = False
                await self._sleep(pause)
        finally:
            try:
                await self._give_up()
            finally:
                self._has_left.set()

    async def _sleep(self, seconds: float) -> None:
        if self._is_leaving:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._look.wait()
        except TimeoutError:
            pass

    async def _give_up(self) -> None:
        if self._epoch is None:
            return
        epoch, self._epoch = self._epoch, None
        try:
            async with asyncio.timeout(2), self._database.connection(Pool.LEASE) as conn:
                await self._store.give_up(conn, epoch)
        except (ServiceUnavailableError, TimeoutError):
            log.info("election.lease_left_to_expire")
        else:
            self._feed.announce(lease_is_free=True)

    async def _tick(self) -> float:
        """Take or renew the lease; gives the seconds in which the next try is due at the latest."""
        sent = time.monotonic()
        lease = self._settings.leader_lease_seconds
        async with self._database.connection(Pool.LEASE) as conn:
            if self._epoch is not None:
                if await self._store.renew(conn, self._epoch, lease):
                    self._trusted_until = sent + self._settings.leader_trust_seconds
                    self._elected.set()
                    return lease
                self.step_down()
            epoch = await self._store.take(conn, self._settings.coordinator_id, lease)
            if epoch is None:
                current = await self._store.current(conn)
                self.someone_leads = current.held
                return max(_LEAST_PAUSE_SECONDS, current.left_seconds + _LEAST_PAUSE_SECONDS)
        self._epoch = epoch
        self._trusted_until = sent + self._settings.leader_trust_seconds
        self.someone_leads = True
        self._elected.set()
        log.info("election.won", extra={"epoch": epoch})
        return lease
