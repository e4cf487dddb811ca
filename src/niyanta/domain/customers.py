"""What a customer, one of its keys, or who calls with one may be."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["CustomerStatus", "KeyStatus", "Role"]


class CustomerStatus(StrEnum):
    """Whether a customer is served."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    """Its calls are refused; what runs finishes."""


class Role(StrEnum):
    """What an API key may do."""

    CUSTOMER = "customer"
    ADMIN = "admin"
    """All, for every customer."""


class KeyStatus(StrEnum):
    """Whether an API key is good."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"
