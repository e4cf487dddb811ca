"""The leader's lease in PostgreSQL: one row, whose epoch fences every write of the leader (ADR 0003)."""

from __future__ import annotations

import msgspec

from niyanta.server.store.queries import Connection, Queries

__all__ = ["LeaseStore", "StoredLease"]


class StoredLease(msgspec.Struct, frozen=True, kw_only=True):
    """Who leads, or led last."""

    epoch: int
    holder: str
    """A coordinator's id."""
    held: bool
    """False: it has run out, and nobody leads."""
    left_seconds: float
    """Until it runs out; not positive when it has."""


_queries = Queries("lease.sql")
_take = _queries.one("take", int)
_renew = _queries.one("renew", int)
_give_up = _queries.run("give_up")
_current = _queries.sole("current", StoredLease)


class LeaseStore:
    """Queries on the lease."""

    async def take(self, conn: Connection, holder: str, lease_seconds: float) -> int | None:
        """Become the leader; gives the new epoch, or None while another's lease runs."""
        return await _take(conn, holder=holder, lease_seconds=lease_seconds)

    async def renew(self, conn: Connection, epoch: int, lease_seconds: float) -> bool:
        """Stay the leader; False when another epoch has begun."""
        return await _renew(conn, epoch=epoch, lease_seconds=lease_seconds) is not None

    async def give_up(self, conn: Connection, epoch: int) -> None:
        """Let another take over at once."""
        await _give_up(conn, epoch=epoch)

    async def current(self, conn: Connection) -> StoredLease:
        """Who leads."""
        return await _current(conn)
