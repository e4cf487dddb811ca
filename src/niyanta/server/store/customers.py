"""Customers, their API keys and limits in PostgreSQL."""

from __future__ import annotations

import hashlib
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from niyanta.domain.ids import CUSTOMER_ID_PATTERN
from niyanta.domain.limits import TIERS, Tier
from niyanta.errors import ConflictError, InvalidInputError, NotFoundError
from niyanta.server.store.database import Database, Queries

__all__ = ["Customer", "CustomerStore", "Identity", "hash_key"]

_queries = Queries("customers.sql")
_KEY_ALPHABET = string.ascii_lowercase + string.digits
LIMIT_NAMES = ("max_concurrent_workloads", "max_queue_depth", "rate_limit_per_sec", "burst")


def hash_key(api_key: str) -> bytes:
    """What is stored of an API key. A plain hash is enough: the key holds 165 random bits."""
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
            InvalidInputError: The id or the tier isn't well formed.
            ConflictError: The id exists.
        """
        customer_id = customer_id or "cust_" + secrets.token_hex(8)
        if not CUSTOMER_ID_PATTERN.fullmatch(customer_id):
            raise InvalidInputError(
                "The customer id is not well formed",
                details={"field": "customer_id", "allowed": CUSTOMER_ID_PATTERN.pattern},
            )
        if tier not in list(Tier):
            raise InvalidInputError(
                f"There is no tier '{tier}'", details={"field": "tier", "allowed": [t.value for t in Tier]}
            )
        given = {name: (limits or {}).get(name) for name in LIMIT_NAMES}
        async with self._database.connection() as conn:
            try:
                row = await _queries.create_customer(
                    conn, customer_id=customer_id, name=name, tier=str(tier), **given
                )
            except asyncpg.UniqueViolationError as exc:
                raise ConflictError(
                    f"Customer '{customer_id}' exists already", details={"customer_id": customer_id}
                ) from exc
        return _customer(row)

    async def update_customer(self, customer_id: str, **changes: Any) -> Customer:
        """Change ``name``, ``tier``, ``status`` or limits; what isn't given stays.

        Raises:
            NotFoundError: No such customer.
        """
        given = {name: changes.get(name) for name in ("name", "tier", "status", *LIMIT_NAMES)}
        async with self._database.connection() as conn:
            row = await _queries.update_customer(conn, customer_id=customer_id, **given)
        if row is None:
            raise NotFoundError(f"There is no customer '{customer_id}'")
        return _customer(row)

    async def all(self) -> list[Customer]:
        """Every customer with its counts, oldest first."""
        async with self._database.connection() as conn:
            return [_customer(row) for row in await _queries.customers(conn)]

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

    async def create_key(
        self, customer_id: str, name: str, role: str = "customer", expires_at: datetime | None = None
    ) -> tuple[str, str]:
        """Make an API key.

        Returns:
            The key's id and the key itself, which is stored nowhere and can't be shown again.

        Raises:
            NotFoundError: No such customer.
        """
        api_key = f"nyt_{customer_id}_" + "".join(secrets.choice(_KEY_ALPHABET) for _ in range(32))
        key_id = "key_" + secrets.token_hex(10)
        async with self._database.connection() as conn:
            try:
                await _queries.create_key(
                    conn,
                    customer_id=customer_id,
                    key_id=key_id,
                    key_sha256=hash_key(api_key),
                    name=name,
                    role=role,
                    expires_at=expires_at,
                )
            except asyncpg.ForeignKeyViolationError as exc:
                raise NotFoundError(f"There is no customer '{customer_id}'") from exc
        return key_id, api_key

    async def identify(self, key_sha256: bytes) -> Identity | None:
        """Who holds the key with this hash; None when it is unknown, expired or revoked."""
        async with self._database.connection() as conn:
            row = await _queries.key_by_hash(conn, key_sha256=key_sha256)
        if row is None or row["revoked_at"] is not None or row["expired"]:
            return None
        return Identity(row["customer_id"], row["key_id"], row["role"], row["status"] == "suspended")

    async def keys(self, customer_id: str) -> list[dict[str, Any]]:
        """A customer's keys, oldest first, without anything that could be used."""
        async with self._database.connection() as conn:
            return [dict(row) for row in await _queries.keys(conn, customer_id=customer_id)]

    async def revoke_key(self, key_id: str) -> str:
        """End a key for ever; gives its customer. Twice is once.

        Raises:
            NotFoundError: No such key.
        """
        async with self._database.connection() as conn:
            row = await _queries.revoke_key(conn, key_id=key_id)
        if row is None:
            raise NotFoundError(f"There is no key '{key_id}'")
        return str(row["customer_id"])

    async def mark_used(self, key_ids: list[str]) -> None:
        """Note that keys were used."""
        async with self._database.connection() as conn:
            await _queries.mark_used(conn, key_ids=key_ids)

    async def configured_types(self, customer_id: str) -> dict[str, str | None]:
        """Workload types with a config of this customer, each with its input's JSON Schema as text."""
        async with self._database.connection() as conn:
            rows = await _queries.configured_types(conn, customer_id=customer_id)
        return {row["workload_type"]: row["input_schema"] for row in rows}
