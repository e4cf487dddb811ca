"""The token buckets behind request rates in PostgreSQL, one for each customer."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from niyanta.server.store.queries import Connection, Queries

__all__ = ["Granted", "RateBucketStore", "Wanted"]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a replica wants of one customer's bucket."""

    customer_id: str
    rate: float
    """Tokens that come in each second."""
    burst: int
    """How many tokens the bucket holds."""
    amount: int
    returned: int
    """Tokens taken before and not used, put back first."""


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """What it got."""

    customer_id: str
    amount: int
    """Whole tokens; no more than were wanted."""
    tokens: float
    """What is left in the bucket."""


_queries = Queries("rate_buckets.sql")
_open_full = _queries.run("open_full")
_take = _queries.many("take", Granted)


class RateBucketStore:
    """Queries on buckets."""

    async def take(self, conn: Connection, wanted: Sequence[Wanted]) -> list[Granted]:
        """Take tokens out; customers without a bucket are left out.

        Args:
            conn: In autocommit mode, so that nobody waits longer for a bucket than this takes.
            wanted: In order of customer, each once.
        """
        return await _take(
            conn,
            customer_ids=[w.customer_id for w in wanted],
            rates=[w.rate for w in wanted],
            bursts=[float(w.burst) for w in wanted],
            wants=[float(w.amount) for w in wanted],
            returned=[float(w.returned) for w in wanted],
        )

    async def open_full(self, conn: Connection, wanted: Sequence[Wanted]) -> None:
        """Make full buckets for those that have none."""
        await _open_full(conn, customer_ids=[w.customer_id for w in wanted], bursts=[float(w.burst) for w in wanted])
