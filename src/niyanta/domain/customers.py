"""What a customer, one of its keys, or who calls with one may be."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["SCOPES_OF", "CustomerStatus", "KeyStatus", "Role", "Scope"]


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


class Scope(StrEnum):
    """What a call needs of the credential that it comes with."""

    WORKLOADS_READ = "workloads:read"
    """To read everything of the customer: workloads, logs, configurations, statistics, the account."""
    WORKLOADS_WRITE = "workloads:write"
    """To submit, pause, resume and cancel."""
    CONFIGS_WRITE = "configs:write"
    """To make, change and delete configurations."""
    ADMIN = "admin"
    """The calls of operators."""


SCOPES_OF = {
    Role.CUSTOMER: frozenset({Scope.WORKLOADS_READ, Scope.WORKLOADS_WRITE, Scope.CONFIGS_WRITE}),
    Role.ADMIN: frozenset(Scope),
}
"""What a key of a role may do unless it was made for less."""


class CredentialKind(StrEnum):
    """What somebody came in with."""

    API_KEY = "api_key"
    API_TOKEN = "api_token"  # noqa: S105 -- a word
    """Made of a key; also what a browser holds that is signed in to the console."""
    JSON_WEB_TOKEN = "json_web_token"  # noqa: S105 -- a word
    """A JSON Web Token of an issuer: all of one subject are one session."""


class KeyStatus(StrEnum):
    """Whether an API key is good."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"
