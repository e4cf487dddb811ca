"""What operators do: customers, their limits, and API keys."""

from __future__ import annotations

import unicodedata
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from niyanta.domain.customers import SCOPES_OF, CustomerStatus, Role, Scope
from niyanta.domain.ids import CUSTOMER_ID_PATTERN
from niyanta.domain.limits import (
    DEFAULT_KEY_OVERLAP_SECONDS,
    LIMIT_RANGES,
    MAX_KEY_LIFE_DAYS,
    MAX_KEY_OVERLAP_SECONDS,
    MAX_NAME_LENGTH,
    Tier,
)
from niyanta.errors import InvalidInputError
from niyanta.server.store.customers import ApiKey, Customer, CustomerStore

__all__ = ["AdminService", "check_name"]

# Control characters, line separators, and what turns the direction of the text that follows.
_UNSEEN = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


async def _tell_nobody(customer_id: str) -> None:
    """For programs beside the coordinators, which find out by themselves within a second."""


class AdminService:
    """Makes and changes customers and keys; every check of what operators give is here.

    Args:
        customers: Where they are.
        changed: Called after each committed change with the customer's id.
    """

    def __init__(self, customers: CustomerStore, changed: Callable[[str], Awaitable[None]] = _tell_nobody) -> None:
        self._customers = customers
        self._changed = changed

    async def create_customer(
        self,
        name: str,
        customer_id: str | None = None,
        tier: str | None = None,
        limits: Mapping[str, float | None] | None = None,
    ) -> Customer:
        """Add a customer; with a made-up id and the standard tier when none is given.

        Raises:
            InvalidInputError: Says what is allowed.
            ConflictError: The id exists.
        """
        check_name(name)
        if customer_id is not None and not CUSTOMER_ID_PATTERN.fullmatch(customer_id):
            raise InvalidInputError(
                f"customer_id must match {CUSTOMER_ID_PATTERN.pattern}",
                details={"field": "customer_id", "allowed": CUSTOMER_ID_PATTERN.pattern},
            )
        _check_choice("tier", tier, [*Tier])
        _check_limits(limits or {})
        made = await self._customers.create_customer(name, customer_id, tier or Tier.STANDARD.value, limits)
        await self._changed(made.customer_id)
        return made

    async def customers(self, most: int, *, skip: int = 0, after: str | None = None) -> tuple[list[Customer], int]:
        """A page of customers, oldest first, and how many there are."""
        return await self._customers.page(most, skip=skip, after=after)

    async def customer(self, customer_id: str) -> Customer:
        """One customer with its live counts.

        Raises:
            NotFoundError: No such customer.
        """
        return await self._customers.get(customer_id)

    async def update_customer(
        self,
        customer_id: str,
        *,
        name: str | None = None,
        tier: str | None = None,
        status: str | None = None,
        limits: Mapping[str, float | None] | None = None,
    ) -> Customer:
        """Change what is given (not None). A limit that is None is the tier's again; one that is missing stays.

        Raises:
            NotFoundError: No such customer.
            InvalidInputError: Says what is allowed.
        """
        await self._customers.get(customer_id)
        if name is not None:
            check_name(name)
        _check_choice("tier", tier, [*Tier])
        _check_choice("status", status, [*CustomerStatus])
        _check_limits(limits or {})
        await self._customers.update_customer(customer_id, name=name, tier=tier, status=status, **dict(limits or {}))
        await self._changed(customer_id)
        return await self._customers.get(customer_id)

    async def create_key(
        self,
        customer_id: str,
        name: str,
        role: str | None = None,
        expires_at: datetime | None = None,
        scopes: Sequence[str] | None = None,
    ) -> tuple[ApiKey, str]:
        """Make an API key; gives what is stored of it, and the key, which can't be shown again.

        Args:
            customer_id: Whose.
            name: For people.
            role: ``customer`` when None.
            expires_at: None for never.
            scopes: What it is to be for; all that its role may do when None.

        Raises:
            NotFoundError: No such customer.
            InvalidInputError: Says what is allowed.
        """
        await self._customers.get(customer_id)
        check_name(name)
        _check_choice("role", role, [*Role])
        now = datetime.now(UTC)
        if expires_at is not None and not now < expires_at <= now + timedelta(days=MAX_KEY_LIFE_DAYS):
            raise InvalidInputError(
                "expires_at must be in the future, within a hundred years",
                details={"field": "expires_at", "after": now.isoformat(timespec="seconds")},
            )
        found = Role(role or Role.CUSTOMER)
        _check_scopes(found, scopes)
        made = await self._customers.create_key(customer_id, name, found, expires_at, scopes)
        await self._changed(customer_id)
        return made

    async def rotate_key(
        self, customer_id: str, key_id: str, overlap_seconds: int | None = None
    ) -> tuple[ApiKey, str]:
        """Make a key that takes the place of another; gives what `create_key` does.

        Args:
            customer_id: Whose.
            key_id: The other; it ends, with the tokens made of it, when the overlap is over.
            overlap_seconds: A day when None.

        Raises:
            NotFoundError: No such customer, or it has no such key that is active.
            InvalidInputError: Says what is allowed.
        """
        await self._customers.get(customer_id)
        overlap = DEFAULT_KEY_OVERLAP_SECONDS if overlap_seconds is None else overlap_seconds
        if not 0 <= overlap <= MAX_KEY_OVERLAP_SECONDS:
            raise InvalidInputError(
                f"overlap_seconds must be 0 to {MAX_KEY_OVERLAP_SECONDS}",
                details={"field": "overlap_seconds", "minimum": 0, "maximum": MAX_KEY_OVERLAP_SECONDS},
            )
        made = await self._customers.succeed_key(customer_id, key_id, overlap)
        await self._changed(customer_id)
        return made

    async def tokens(self, customer_id: str, most: int) -> list[ApiKey]:
        """A customer's tokens that are good now, of all its keys, the newest first.

        Raises:
            NotFoundError: No such customer.
        """
        await self._customers.get(customer_id)
        return await self._customers.tokens(customer_id, most)

    async def keys(
        self, customer_id: str, most: int, *, skip: int = 0, after: str | None = None
    ) -> tuple[list[ApiKey], int]:
        """A page of a customer's keys, oldest first, and how many there are.

        Raises:
            NotFoundError: No such customer.
        """
        await self._customers.get(customer_id)
        return await self._customers.keys(customer_id, most, skip=skip, after=after)

    async def revoke_key(self, key_id: str, customer_id: str | None = None) -> str:
        """End a key for ever, on all replicas; gives its customer. Twice is once.

        Raises:
            NotFoundError: No such key, or not of the customer that was given.
        """
        owner = await self._customers.revoke_key(key_id, customer_id)
        await self._changed(owner)
        return owner


def check_name(name: str) -> None:
    """Refuse what is no name for people.

    Raises:
        InvalidInputError: Says what is allowed.
    """
    unseen = any(unicodedata.category(letter) == "Cc" or letter in _UNSEEN for letter in name)
    if unseen or not name.strip() or len(name) > MAX_NAME_LENGTH:
        raise InvalidInputError(
            f"name must have 1 to {MAX_NAME_LENGTH} characters, not only spaces and no control characters",
            details={"field": "name", "min_length": 1, "max_length": MAX_NAME_LENGTH},
        )


def _check_choice(field: str, value: str | None, allowed: Collection[str]) -> None:
    if value is not None and value not in allowed:
        raise InvalidInputError(
            f"{field} must be one of: {', '.join(allowed)}", details={"field": field, "allowed": list(allowed)}
        )


def _check_scopes(role: Role, scopes: Sequence[str] | None) -> None:
    allowed = [scope for scope in Scope if scope in SCOPES_OF[role]]
    if scopes is not None and (not scopes or not set(scopes) <= set(allowed)):
        raise InvalidInputError(
            f"scopes of a key with the role {role} must be some of: {', '.join(allowed)}",
            details={"field": "scopes", "allowed": allowed},
        )


def _check_limits(limits: Mapping[str, float | None]) -> None:
    for name, value in limits.items():
        least, most = LIMIT_RANGES[name]
        if value is not None and not least <= value <= most:
            raise InvalidInputError(
                f"limits.{name} must be {least:g} to {most:,.15g}, or null for what the tier gives",
                details={"field": f"limits.{name}", "minimum": least, "maximum": most},
            )
