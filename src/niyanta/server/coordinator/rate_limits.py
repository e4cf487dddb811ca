"""Request rates: one token bucket a customer, shared by all replicas.

The bucket lies in PostgreSQL. A replica borrows a small stock of tokens (a quarter of a second's worth, at
least one) and serves requests from it, so that a request costs no query, while all replicas together never give
out more than the bucket has. A stock that isn't used within a second is forgotten rather than kept for a later
burst.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from niyanta.errors import RateLimitedError
from niyanta.server.coordinator.directory import Directory
from niyanta.server.coordinator.group_commit import GroupCommit
from niyanta.server.store.customers import Customer
from niyanta.server.store.database import Database, Queries

__all__ = ["RateLimiter", "RateStatus"]

_queries = Queries("rate_buckets.sql")

_STOCK_SECONDS = 0.25
_KEEP_SECONDS = 1.0
_WINDOW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class RateStatus:
    """What the rate limit headers say."""

    limit: float
    """Requests per second."""
    remaining: int
    reset_at: int
    """Unix second at which the bucket is full again."""

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The three headers of the contract, as ASGI has them."""
        return [
            (
                b"x-ratelimit-limit",
                b"%d" % self.limit if self.limit == int(self.limit) else f"{self.limit:g}".encode(),
            ),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % self.reset_at),
        ]


@dataclass(slots=True)
class _Stock:
    tokens: float = 0.0
    left_in_bucket: float = 0.0
    borrowed_at: float = 0.0


class RateLimiter:
    """Counts requests against their customer's bucket."""

    def __init__(self, database: Database, directory: Directory) -> None:
        self._database = database
        self._directory = directory
        self._stocks: dict[str, _Stock] = {}
        self._group = GroupCommit[Customer, tuple[float, float]](self._borrow, most=200)

    async def run(self) -> None:
        """Borrow until cancelled."""
        await self._group.run()

    async def take(self, customer_id: str) -> tuple[RateStatus, RateLimitedError | None]:
        """Count one request; with the error, which says when to come back, when the bucket is empty."""
        customer = await self._directory.customer(customer_id)
        stock = self._stocks.setdefault(customer_id, _Stock())
        now = time.monotonic()
        if stock.tokens < 1 or now - stock.borrowed_at > _KEEP_SECONDS:
            granted, left = await self._group.submit(customer)
            if now - stock.borrowed_at > _KEEP_SECONDS:
                stock.tokens = 0.0
            stock.tokens += granted
            stock.left_in_bucket = left
            stock.borrowed_at = time.monotonic()
        remaining = stock.tokens + stock.left_in_bucket
        missing = max(0.0, customer.burst - remaining)
        status = RateStatus(
            customer.rate_limit_per_sec,
            max(0, math.floor(remaining) - 1),
            math.ceil(time.time() + missing / customer.rate_limit_per_sec),
        )
        if stock.tokens < 1:
            wait = max(1, math.ceil((1 - stock.left_in_bucket) / customer.rate_limit_per_sec))
            return status, RateLimitedError(
                f"Rate limit exceeded. Retry after {wait} seconds.",
                details={
                    "limit": customer.rate_limit_per_sec,
                    "window_seconds": _WINDOW_SECONDS,
                    "retry_after": wait,
                },
                retry_after_seconds=wait,
            )
        stock.tokens -= 1
        return status, None

    async def _borrow(self, customers: Sequence[Customer]) -> list[tuple[float, float] | Exception]:
        asked: dict[str, Customer] = {customer.customer_id: customer for customer in customers}
        waiting: dict[str, int] = {}
        for customer in customers:
            waiting[customer.customer_id] = waiting.get(customer.customer_id, 0) + 1
        wants = {
            key: max(waiting[key], math.floor(customer.rate_limit_per_sec * _STOCK_SECONDS))
            for key, customer in asked.items()
        }
        keys = sorted(asked)
        arguments = {
            "customer_ids": keys,
            "rates": [asked[key].rate_limit_per_sec for key in keys],
            "bursts": [float(asked[key].burst) for key in keys],
            "wants": [float(wants[key]) for key in keys],
        }
        async with self._database.connection("vital") as conn:
            rows = await _queries.take(conn, **arguments)
            if len(rows) < len(keys):
                await _queries.open_full(conn, customer_ids=keys, bursts=[float(asked[key].burst) for key in keys])
                rows = await _queries.take(conn, **arguments)
        found = {row["customer_id"]: (row["amount"], row["tokens"]) for row in rows}
        # The whole grant goes to the first that waits; the others find it in the stock.
        results: list[tuple[float, float] | Exception] = []
        for customer in customers:
            amount, left = found[customer.customer_id]
            results.append((amount, left))
            found[customer.customer_id] = (0.0, left)
        return results
