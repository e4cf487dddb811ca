"""The join tokens that are good, kept in memory: workers come in and go on also while the database is away."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from niyanta.domain.join_tokens import id_of
from niyanta.errors import ServiceUnavailableError
from niyanta.server.store.join_tokens import JoinTokenStore, LiveToken, hash_of

__all__ = ["KnownTokens"]

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.25
"""For a token that isn't known: it may have been made a moment ago. No sooner, however many are shown."""


class KnownTokens:
    """What was good a second ago at the latest, or when the database answered last.

    Args:
        store: Where they are.
        clock: Monotonic seconds.
    """

    def __init__(self, store: JoinTokenStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._live: dict[str, LiveToken] = {}
        self._looked_at = float("-inf")
        """When the last look began that was answered."""
        self._looking = asyncio.Lock()
        self.on_ended: list[Callable[[frozenset[str]], None]] = []
        """Called with the ids of tokens that have just ended."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except ServiceUnavailableError as exc:
                log.info("tokens.not_read", extra={"error": str(exc)})
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Read them anew."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        """One at a time: of two at once the one that ends last needn't be the one that began last."""
        began = self._clock()
        found = {token.token_id: token for token in await self._store.live()}
        ended = frozenset(self._live) - frozenset(found)
        self._live = found
        self._looked_at = began
        if ended:
            log.info("tokens.ended", extra={"tokens": sorted(ended)})
            for told in self.on_ended:
                told(ended)

    async def find(self, token_id: str) -> LiveToken | None:
        """A token by its id, if it is good. One that isn't known is looked for: another replica may know it."""
        if token_id not in self._live:
            await self._look_again()
        token = self._live.get(token_id)
        if token is None or (token.expires_at is not None and token.expires_at <= datetime.now(UTC)):
            return None
        return token

    async def check(self, token: str) -> LiveToken | None:
        """What is known of a token that was shown; None when it isn't good."""
        token_id = id_of(token)
        if token_id is None:
            return None
        found = await self.find(token_id)
        return found if found is not None and hmac.compare_digest(found.token_sha256, hash_of(token)) else None

    async def _look_again(self) -> None:
        asked_at = self._clock()
        async with self._looking:
            if self._looked_at > asked_at:
                return  # somebody else has begun to look since
            await asyncio.sleep(self._looked_at + _LOOK_AGAIN_SECONDS - self._clock())
            try:
                await self._look()
            except ServiceUnavailableError as exc:
                self._looked_at = self._clock()
                log.info("tokens.not_read", extra={"error": str(exc)})
