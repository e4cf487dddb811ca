"""Customers, their API keys and limits in PostgreSQL."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from niyanta.domain import api_keys
from niyanta.domain.limits import TIERS, Tier
from niyanta.errors import ConflictError, NotFoundError
from niyanta.server.store.database import Database, Queries, retried

__all__ = ["LIMIT_NAMES", "ApiKey", "Customer", "CustomerStore", "Identity", "TierUsage"]

_queries = Queries("customers.sql")
LIMIT_NAMES = ("max_concurrent_workloads", "max_queue_depth", "rate_limit_per_sec", "burst")


def _hash(api_key: str) -> bytes:
    """What is stored of an API key. A plain hash is enough: the key holds 134 random bits."""
    return hashlib.sha256(api_key.encode()).digest()


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer with the limits that hold for it: its own figures, else its tier's."""

    customer_id: str
    name: str
    tier: Tier
    status: str
    """``active`` or ``suspended``."""
    max_concurrent_workloads: int
    max_queue_depth: int
    rate_limit_per_sec: float
    burst: int
    created_at: datetime
    queued: int = 0
    running: int = 0
    assigned: int = 0
    """Assignments ever made of this customer's workloads."""

    @property
    def weight(self) -> int:
        return TIERS[self.tier].weight


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a request comes from."""

    customer_id: str
    actor_id: str
    """The API key's id, or a token's ``sub``."""
    role: str
    """``customer`` or ``admin``."""
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What may be shown of an API key."""

    customer_id: str
    key_id: str
    name: str
    role: str
    """``customer`` or ``admin``."""
    status: str
    """``active``, ``expired`` or ``revoked``."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """Within a minute."""


@dataclass(frozen=True, slots=True)
class TierUsage:
    """What all customers of one tier have under way."""

    tier: str
    queued: int
    running: int


def _customer(row: Any) -> Customer:
    tier = Tier(row["tier"])
    limits = {name: getattr(TIERS[tier], name) if row[name] is None else row[name] for name in LIMIT_NAMES}
    counts = {name: row[name] for name in ("queued", "running", "assigned") if name in row}
    return Customer(
        row["customer_id"], row["name"], tier, row["status"], created_at=row["created_at"], **limits, **counts
    )


class CustomerStore:
    """Queries on customers and keys, each a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
                row = await _queries.create_customer(
                    conn, customer_id=customer_id, name=name, tier=str(tier), **given
                )
            except asyncpg.UniqueViolationError as exc:
                raise ConflictError(
                    f"Customer '{customer_id}' exists already", details={"customer_id": customer_id}
                ) from exc
        return _customer(row)

    @retried
    async def update_customer(self, customer_id: str, **changes: Any) -> Customer:
        """Change ``name``, ``tier``, ``status`` or limits; what isn't given stays, a limit of None is the tier's.

        Raises:
            NotFoundError: No such customer.
        """
        given = {name: changes.get(name) for name in ("name", "tier", "status", *LIMIT_NAMES)}
        to_default = [name for name in LIMIT_NAMES if name in changes and changes[name] is None]
        async with self._database.connection() as conn:
            row = await _queries.update_customer(conn, customer_id=customer_id, to_default=to_default, **given)
        if row is None:
            raise NotFoundError(f"There is no customer '{customer_id}'")
        return _customer(row)

    @retried
    async def all(self) -> list[Customer]:
        """Every customer with its counts, oldest first."""
        async with self._database.connection() as conn:
            return [_customer(row) for row in await _queries.customers(conn)]

    @retried
    async def page(self, most: int, *, skip: int = 0, after: str | None = None) -> tuple[list[Customer], int]:
        """At most ``most`` customers, oldest first, from the one after ``after``; and how many there are."""
        async with self._database.connection() as conn:
            rows = await _queries.customers_page(conn, after=after, most=most, skip=skip)
            total = await _queries.count_customers(conn)
        return [_customer(row) for row in rows], int(total["total"])

    @retried
    async def get(self, customer_id: str) -> Customer:
        """One customer with its live counts.

        Raises:
            NotFoundError: No such customer.
        """
        async with self._database.connection() as conn:
            row = await _queries.customer(conn, customer_id=customer_id)
        if row is None:
            raise NotFoundError(f"There is no customer '{customer_id}'")
        return _customer(row)

    @retried
    async def create_key(
        self, customer_id: str, name: str, role: str = "customer", expires_at: datetime | None = None
    ) -> tuple[ApiKey, str]:
        """Make an API key.

        Returns:
            What is stored of the key, and the key itself, which is stored nowhere and can't be shown again.

        Raises:
            NotFoundError: No such customer.
        """
        random_text = "".join(secrets.choice(api_keys.ALPHABET) for _ in range(api_keys.RANDOM_LENGTH))
        api_key = api_keys.spell_key(customer_id, random_text)
        async with self._database.transaction() as conn:
            try:
                row = await _queries.create_key(
                    conn,
                    customer_id=customer_id,
                    key_id="key_" + secrets.token_hex(10),
                    key_sha256=_hash(api_key),
                    name=name,
                    role=role,
                    expires_at=expires_at,
                )
            except asyncpg.ForeignKeyViolationError as exc:
                raise NotFoundError(f"There is no customer '{customer_id}'") from exc
        return ApiKey(**row), api_key

    @retried
    async def identify(self, candidates: Sequence[str]) -> dict[str, Identity]:
        """Whose keys these are; what is malformed, unknown, expired or revoked is left out."""
        claims = {key: claimed for key in candidates if (claimed := api_keys.customer_of(key)) is not None}
        if not claims:
            return {}
        by_hash = {_hash(key): key for key in claims}
        async with self._database.connection() as conn:
            rows = await _queries.live_keys(conn, hashes=list(by_hash))
        return {
            by_hash[row["key_sha256"]]: Identity(
                row["customer_id"], row["key_id"], row["role"], row["customer_status"] == "suspended"
            )
            for row in rows
            if row["customer_id"] == claims[by_hash[row["key_sha256"]]]
        }

    @retried
    async def standings(self, customer_ids: Sequence[str]) -> dict[str, str]:
        """The status of those of these customers that exist."""
        async with self._database.connection() as conn:
            rows = await _queries.standings(conn, customer_ids=list(customer_ids))
        return {row["customer_id"]: row["status"] for row in rows}

    @retried
    async def keys(
        self, customer_id: str, most: int, *, skip: int = 0, after: str | None = None
    ) -> tuple[list[ApiKey], int]:
        """At most ``most`` of a customer's keys, oldest first, from the one after ``after``; and how many it has."""
        async with self._database.connection() as conn:
            rows = await _queries.keys_page(conn, customer_id=customer_id, after=after, most=most, skip=skip)
            total = await _queries.count_keys(conn, customer_id=customer_id)
        return [ApiKey(**row) for row in rows], int(total["total"])

    @retried
    async def revoke_key(self, key_id: str, customer_id: str | None = None) -> str:
        """End a key for ever; gives its customer. Twice is once.

        Args:
            key_id: Which.
            customer_id: Whose it must be; anybody's when None.

        Raises:
            NotFoundError: No such key.
        """
        async with self._database.connection() as conn:
            row = await _queries.revoke_key(conn, key_id=key_id, customer_id=customer_id)
        if row is None:
            raise NotFoundError(f"There is no key '{key_id}'")
        return str(row["customer_id"])

    @retried
    async def mark_used(self, key_ids: list[str]) -> None:
        """Note that keys were used."""
        async with self._database.connection() as conn:
            await _queries.mark_used(conn, key_ids=key_ids)

    @retried
    async def configured_types(self, customer_id: str) -> dict[str, str | None]:
        """Workload types with a config of this customer, each with its input's JSON Schema as text."""
        async with self._database.connection() as conn:
            rows = await _queries.configured_types(conn, customer_id=customer_id)
        return {row["workload_type"]: row["input_schema"] for row in rows}

    @retried
    async def usage_by_tier(self) -> list[TierUsage]:
        """What each tier has queued and running."""
        async with self._database.connection("vital") as conn:
            return [TierUsage(**row) for row in await _queries.usage_by_tier(conn)]
