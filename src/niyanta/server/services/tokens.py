"""Tokens that a key's owner makes of it: short-lived, for less than the key, for a browser, a script or one workload.

A token is a row beside the keys, and looked up as they are. So it can be listed and ended, and ends with its key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from niyanta.domain.customers import Scope
from niyanta.domain.limits import DEFAULT_TOKEN_SECONDS, MAX_TOKEN_SECONDS, MAX_TOKENS_PER_KEY
from niyanta.errors import ForbiddenError, InvalidInputError, NotFoundError, RateLimitedError
from niyanta.server.services.workloads import WorkloadService
from niyanta.server.store.customers import ApiKey, CustomerStore, Identity

__all__ = ["TokenService"]

_RETRY_SECONDS = 60


class TokenService:
    """Makes, lists and ends them.

    Args:
        customers: Where they are.
        workloads: Where the workload is that a token is made for.
        changed: Called after a token has been ended, with the customer's id.
    """

    def __init__(
        self, customers: CustomerStore, workloads: WorkloadService, changed: Callable[[str], Awaitable[None]]
    ) -> None:
        self._customers = customers
        self._workloads = workloads
        self._changed = changed

    async def create(
        self,
        identity: Identity,
        scopes: Sequence[str] | None = None,
        workload_id: str | None = None,
        expires_in_seconds: int | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a token of the key that the request came with.

        Args:
            identity: Who asks.
            scopes: What it is to be for; all that the key is for when None.
            workload_id: The only workload that it is to be good for.
            expires_in_seconds: How long it is to be good; an hour when None.

        Returns:
            What is stored of it, and the token, which can't be shown again.

        Raises:
            InvalidInputError: Says what is allowed.
            ForbiddenError: The credential is no key, or the key isn't for so much.
            NotFoundError: There is no such workload.
            RateLimitedError: As many tokens of this key are good as may be.
        """
        key_id = _key_of(identity)
        wanted = _wanted(identity, scopes)
        seconds = DEFAULT_TOKEN_SECONDS if expires_in_seconds is None else expires_in_seconds
        if not 1 <= seconds <= MAX_TOKEN_SECONDS:
            raise InvalidInputError(
                f"expires_in_seconds must be 1 to {MAX_TOKEN_SECONDS}",
                details={"field": "expires_in_seconds", "minimum": 1, "maximum": MAX_TOKEN_SECONDS},
            )
        if workload_id is not None:
            await self._workloads.get(identity, workload_id)
        made = await self._customers.create_token(identity.customer_id, key_id, wanted, workload_id, seconds)
        if made is None:
            raise RateLimitedError(
                f"{MAX_TOKENS_PER_KEY} tokens of this key are good already; end some, or let some expire",
                details={"max_tokens": MAX_TOKENS_PER_KEY, "retry_after": _RETRY_SECONDS},
                retry_after_seconds=_RETRY_SECONDS,
            )
        return made

    async def tokens(self, identity: Identity, most: int) -> list[ApiKey]:
        """Those of the key that the request came with that are good now, the newest first.

        Raises:
            ForbiddenError: The credential is no key.
        """
        return await self._customers.tokens(identity.customer_id, most, _key_of(identity))

    async def revoke(self, identity: Identity, token_id: str) -> None:
        """End a token of the key that the request came with, or the one that it came with. Twice is once.

        Raises:
            ForbiddenError: The credential is neither.
            NotFoundError: There is no such token of this key.
        """
        await self._customers.revoke_token(token_id, _maker_of(identity, token_id))
        await self._changed(identity.customer_id)

    async def exists(self, identity: Identity, token_id: str) -> None:
        """Raise what `revoke` would, of a token that isn't there or isn't the caller's."""
        if not await self._customers.token_is_there(token_id, _maker_of(identity, token_id)):
            raise NotFoundError("There is no such token")


def _maker_of(identity: Identity, token_id: str) -> str:
    """The key that a token must have been made of for this caller to end it: its own, or that of itself."""
    itself = identity.is_token and identity.key_id == token_id
    return identity.actor_id if itself else _key_of(identity)


def _key_of(identity: Identity) -> str:
    if identity.key_id is None or identity.is_token:
        raise ForbiddenError("This needs an API key: tokens don't make, list or end tokens")
    return identity.key_id


def _wanted(identity: Identity, scopes: Sequence[str] | None) -> list[Scope]:
    may = [scope for scope in Scope if scope in identity.scopes]
    if scopes is None:
        return may
    if not scopes or any(scope not in [*Scope] for scope in scopes):
        raise InvalidInputError(
            f"scopes must be some of: {', '.join(Scope)}", details={"field": "scopes", "allowed": [*Scope]}
        )
    wanted = [scope for scope in Scope if scope in scopes]
    if not set(wanted) <= set(may):
        raise ForbiddenError("The key isn't for so much", details={"field": "scopes", "allowed": may})
    return wanted
