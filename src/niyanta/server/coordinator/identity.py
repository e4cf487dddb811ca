"""Who a request comes from: API keys, checked against PostgreSQL and remembered for less than a second."""

from __future__ import annotations

import asyncio
import logging
import re
import time

from niyanta.errors import ServiceUnavailableError, UnauthorizedError
from niyanta.server.store.customers import CustomerStore, Identity, hash_key

__all__ = ["Authenticator"]

log = logging.getLogger(__name__)

_KEY = re.compile(r"nyt_(cust_[A-Za-z0-9_-]{1,59})_([A-Za-z0-9]{32})", re.ASCII)
_REMEMBER_SECONDS = 0.8
_MOST_REMEMBERED = 50_000
_MARK_USED_SECONDS = 15.0


class Authenticator:
    """Turns credentials into an `Identity`."""

    def __init__(self, customers: CustomerStore) -> None:
        self._customers = customers
        self._known: dict[str, tuple[float, Identity]] = {}
        self._used: set[str] = set()

    async def identify(self, authorization: str | None) -> Identity:
        """Check an ``Authorization`` header.

        Raises:
            UnauthorizedError: Missing, malformed, unknown, expired or revoked. Which one is not said.
        """
        if not authorization:
            raise UnauthorizedError("Missing credentials: send 'Authorization: Bearer <api_key>'")
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise UnauthorizedError("The Authorization header must be 'Bearer <api_key>'")
        known = self._known.get(token)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        if not _KEY.fullmatch(token):
            raise UnauthorizedError("The API key is not valid")
        identity = await self._customers.identify(hash_key(token))
        if identity is None:
            self._known.pop(token, None)
            raise UnauthorizedError("The API key is not valid")
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[token] = (time.monotonic() + _REMEMBER_SECONDS, identity)
        self._used.add(identity.actor_id)
        return identity

    async def run(self) -> None:
        """Note the use of keys, now and then, until cancelled."""
        while True:
            await asyncio.sleep(_MARK_USED_SECONDS)
            if not self._used:
                continue
            used, self._used = self._used, set()
            try:
                await self._customers.mark_used(sorted(used))
            except ServiceUnavailableError:
                log.info("authenticator.use_not_noted")
