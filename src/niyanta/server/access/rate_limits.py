"""Request rates: one token bucket a customer, shared by all replicas.

The bucket lies in PostgreSQL. A replica takes tokens for the requests that wait, and a small stock besides, so that
most requests of a busy customer cost no query; all that wait together share one. A token is taken out of the bucket
before it is used, so all replicas together never accept more than the bucket gave, and what a replica took before
some window and uses within it is at most its stock: a fiftieth of the burst. A stock is used within a second or put
back.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from niyanta.errors import RateLimitedError, ServiceUnavailableError
from niyanta.server.directory import Directory
from niyanta.server.moves.batcher import GroupCommit
from niyanta.server.store.customers import Customer
from niyanta.server.store.database import Database, Pool, retried
from niyanta.server.store.rate_buckets import Granted, RateBucketStore, Wanted

__all__ = ["KEEP_SECONDS", "STOCK_SECONDS", "RateLimiter", "RateStatus"]

STOCK_SECONDS = 0.25
"""Of a customer's rate: what a replica takes in stock at most."""
_STOCK_OF_BURST = 0.02
KEEP_SECONDS = 1.0
"""What is left of a stock after that is put back."""
_WINDOW_SECONDS = 60


class RateStatus(msgspec.Struct, frozen=True):
    """What the rate limit headers say."""

    limit: float
    """Requests per second."""
    remaining: int
    """Whole tokens left after this request."""
    reset_at: int
    """Unix second at which the bucket is full again."""

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The three headers of the contract, as ASGI has them."""
        return [
            (b"x-ratelimit-limit", f"{self.limit:.15g}".encode()),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % self.reset_at),
        ]


@dataclass(slots=True)
class _Stock:
    """Tokens that this replica has taken and not used yet."""

    tokens: int = 0
    left_in_bucket: float = 0.0
    taken_at: float = 0.0
    """Monotonic seconds."""

    def is_old(self, now: float) -> bool:
        return now - self.taken_at > KEEP_SECONDS


class RateLimiter:
    """Counts requests against their customer's bucket."""

    def __init__(self, database: Database, directory: Directory) -> None:
        self._database = database
        self._directory = directory
        self._store = RateBucketStore()
        self._stocks: dict[str, _Stock] = {}
        self._group = GroupCommit[Customer, tuple[bool, float]](self._take, most=200)

    async def run(self) -> None:
        """Take tokens out of the buckets until cancelled."""
        await self._group.run()

    async def take(self, customer_id: str) -> tuple[RateStatus, RateLimitedError | None]:
        """Count one request; with the error, which says when to come back, when the bucket is empty."""
        customer = await self._directory.customer(customer_id)
        stock = self._stocks.get(customer_id)
        now = time.monotonic()
        if stock is not None and stock.tokens and not stock.is_old(now):
            stock.tokens -= 1
            refilled = stock.left_in_bucket + (now - stock.taken_at) * customer.rate_limit_per_sec
            return _status(customer, min(customer.burst, stock.tokens + refilled)), None
        if self._group.is_full:
            raise ServiceUnavailableError("Too many requests wait to be counted; try again", retry_after_seconds=1)
        granted, left = await self._group.submit(customer)
        return _status(customer, left), None if granted else _refusal(customer, left)

    async def _take(self, customers: Sequence[Customer]) -> list[tuple[bool, float] | Exception]:
        """For each request whether it got a token, and what is left after it."""
        asked = {customer.customer_id: customer for customer in customers}
        waiting = Counter(customer.customer_id for customer in customers)
        keys = sorted(asked)
        returned = self._give_back(keys)
        wanted = [
            Wanted(
                customer_id=key,
                rate=asked[key].rate_limit_per_sec,
                burst=asked[key].burst,
                amount=waiting[key] + _stock_size(asked[key]),
                returned=returned[key],
            )
            for key in keys
        ]
        granted = await self._take_out(wanted)
        if len(granted) < len(wanted):
            known = {grant.customer_id for grant in granted}
            missing = [want for want in wanted if want.customer_id not in known]
            await self._open_full(missing)
            granted += await self._take_out(missing)
        now = time.monotonic()
        for grant in granted:
            surplus = max(0, grant.amount - waiting[grant.customer_id])
            self._stocks[grant.customer_id] = _Stock(surplus, grant.tokens, now)
        amounts = {grant.customer_id: grant.amount for grant in granted}
        tokens = {grant.customer_id: grant.tokens for grant in granted}
        results: list[tuple[bool, float] | Exception] = []
        for customer in customers:
            key = customer.customer_id
            has_one = amounts[key] > 0
            amounts[key] -= has_one
            results.append((has_one, amounts[key] + tokens[key]))
        return results

    @retried
    async def _take_out(self, wanted: Sequence[Wanted]) -> list[Granted]:
        async with self._database.connection(Pool.VITAL) as conn:
            return await self._store.take(conn, wanted)

    @retried
    async def _open_full(self, wanted: Sequence[Wanted]) -> None:
        async with self._database.connection(Pool.VITAL) as conn:
            await self._store.open_full(conn, wanted)

    def _give_back(self, keys: Sequence[str]) -> dict[str, int]:
        """What is left of these customers' stocks, taken out of them."""
        found: dict[str, int] = {}
        for key in keys:
            stock = self._stocks.get(key)
            found[key] = stock.tokens if stock else 0
            if stock:
                stock.tokens = 0
        return found


def _stock_size(customer: Customer) -> int:
    return math.floor(min(customer.rate_limit_per_sec * STOCK_SECONDS, customer.burst * _STOCK_OF_BURST))


def _status(customer: Customer, left: float) -> RateStatus:
    fills_in = max(0.0, customer.burst - left) / customer.rate_limit_per_sec
    return RateStatus(customer.rate_limit_per_sec, math.floor(left), math.ceil(time.time() + fills_in))


def _refusal(customer: Customer, left: float) -> RateLimitedError:
    rate = customer.rate_limit_per_sec
    wait = max(1, math.ceil((1 - left) / rate))
    return RateLimitedError(
        f"Rate limit exceeded. Retry after {wait} seconds.",
        details={
            "limit": int(rate) if rate == int(rate) else rate,
            "window_seconds": _WINDOW_SECONDS,
            "retry_after": wait,
        },
        retry_after_seconds=wait,
    )
