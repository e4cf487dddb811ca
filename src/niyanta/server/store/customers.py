"""Customers, their API keys and limits in PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg
import msgspec

from niyanta.domain.customers import CustomerStatus
from niyanta.domain.limits import TIERS, Tier
from niyanta.errors import ConflictError, NotFoundError
from niyanta.server.store.api_keys import ApiKey, ApiKeyStore, Identity
from niyanta.server.store.database import Pool, retried
from niyanta.server.store.queries import Queries, Row

__all__ = ["LIMIT_NAMES", "ApiKey", "Customer", "CustomerStore", "CustomerUsage", "Identity", "TierUsage"]

LIMIT_NAMES = ("max_concurrent_workloads", "max_queue_depth", "rate_limit_per_sec", "burst")


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer with the limits that hold for it: its own figures, else its tier's."""

    customer_id: str
    name: str
    tier: Tier
    status: CustomerStatus
    max_concurrent_workloads: int
    max_queue_depth: int
    rate_limit_per_sec: float
    burst: int
    created_at: datetime
    queued: int
    running: int
    assigned: int
    """Assignments ever made of this customer's workloads."""

    @property
    def weight(self) -> int:
        """Its share of the workers, relative to other customers'."""
        return TIERS[self.tier].weight


class TierUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What all customers of one tier have under way."""

    tier: Tier
    queued: int
    running: int


class CustomerUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What one customer has under way."""

    customer_id: str
    queued: int
    running: int
    assigned: int
    """Assignments ever made of its workloads."""


class _ConfiguredType(NamedTuple):
    workload_type: str
    input_schema: str | None


def _read_customer(row: Row) -> Customer:
    tier = Tier(row["tier"])
    limits = {name: getattr(TIERS[tier], name) if row[name] is None else row[name] for name in LIMIT_NAMES}
    return Customer(
        customer_id=row["customer_id"],
        name=row["name"],
        tier=tier,
        status=CustomerStatus(row["status"]),
        created_at=row["created_at"],
        queued=row["queued"],
        running=row["running"],
        assigned=row["assigned"],
        **limits,
    )


_queries = Queries("customers.sql")
_create_customer = _queries.sole("create_customer", Customer, _read_customer)
_update_customer = _queries.one("update_customer", Customer, _read_customer)
_customers_changed = _queries.many("customers_changed", Customer, _read_customer)
_usages = _queries.many("usages", CustomerUsage)
_customers_page = _queries.many("customers_page", Customer, _read_customer)
_count_customers = _queries.sole("count_customers", int)
_usage_by_tier = _queries.many("usage_by_tier", TierUsage)
_busy_customers = _queries.many("busy_customers", Customer, _read_customer)
_customer = _queries.one("customer", Customer, _read_customer)
_configured_types = _queries.many("configured_types", _ConfiguredType)


class CustomerStore(ApiKeyStore):
    """Queries on customers and, inherited, their keys, each a transaction of its own."""

    @retried
    async def create_customer(
        self,
        name: str,
        customer_id: str | None = None,
        tier: str = "standard",
        limits: Mapping[str, float | None] | None = None,
    ) -> Customer:
        """Add a customer.

        Args:
            name: For people.
            customer_id: ``cust_…``; made at random when None.
            tier: One of `Tier`.
            limits: Any of ``max_concurrent_workloads``, ``max_queue_depth``, ``rate_limit_per_sec``,
                ``burst``; what is missing or None is the tier's.

        Raises:
            ConflictError: The id exists.
        """
        customer_id = customer_id or "cust_" + secrets.token_hex(8)
        given = {name: (limits or {}).get(name) for name in LIMIT_NAMES}
        async with self._database.transaction() as conn:
            try:
                return await _create_customer(conn, customer_id=customer_id, name=name, tier=str(tier), **given)
            except asyncpg.UniqueViolationError as exc:
                raise ConflictError(
                    f"Customer '{customer_id}' exists already", details={"customer_id": customer_id}
                ) from exc

    @retried
    async def update_customer(self, customer_id: str, **changes: object) -> Customer:
        """Change ``name``, ``tier``, ``status`` or limits; what isn't given stays, a limit of None is the tier's.

        Raises:
            NotFoundError: No such customer.
        """
        given = {name: changes.get(name) for name in ("name", "tier", "status", *LIMIT_NAMES)}
        to_default = [name for name in LIMIT_NAMES if name in changes and changes[name] is None]
        async with self._database.connection() as conn:
            customer = await _update_customer(conn, customer_id=customer_id, to_default=to_default, **given)
        if customer is None:
            raise NotFoundError(f"There is no customer '{customer_id}'")
        return customer

    @retried
    async def changed(self, within_seconds: float | None = None) -> list[Customer]:
        """The customers that changed not longer ago than this; every one when it is None."""
        async with self._database.connection(Pool.VITAL) as conn:
            return await _customers_changed(conn, within_seconds=within_seconds)

    @retried
    async def usages(self, customer_ids: Sequence[str]) -> list[CustomerUsage]:
        """What these customers have under way."""
        async with self._database.connection() as conn:
            return await _usages(conn, customer_ids=customer_ids)

    @retried
    async def page(self, most: int, *, skip: int = 0, after: str | None = None) -> tuple[list[Customer], int]:
        """At most ``most`` customers, oldest first, from the one after ``after``; and how many there are."""
        async with self._database.connection() as conn:
            page = await _customers_page(conn, after=after, most=most, skip=skip)
            return page, await _count_customers(conn)

    @retried
    async def get(self, customer_id: str) -> Customer:
        """One customer with its live counts.

        Raises:
            NotFoundError: No such customer.
        """
        async with self._database.connection(customer_id=customer_id) as conn:
            customer = await _customer(conn, customer_id=customer_id)
        if customer is None:
            raise NotFoundError(f"There is no customer '{customer_id}'")
        return customer

    @retried
    async def configured_types(self, customer_id: str) -> dict[str, str | None]:
        """Workload types with a config of this customer, each with its input's JSON Schema as text."""
        async with self._database.connection(customer_id=customer_id) as conn:
            return dict(await _configured_types(conn, customer_id=customer_id))

    @retried
    async def usage_by_tier(self) -> list[TierUsage]:
        """What each tier has queued and running."""
        async with self._database.connection(Pool.VITAL) as conn:
            return await _usage_by_tier(conn)

    @retried
    async def busy(self, most: int) -> list[Customer]:
        """Those with something under way, the most first."""
        async with self._database.connection() as conn:
            return await _busy_customers(conn, most=most)
