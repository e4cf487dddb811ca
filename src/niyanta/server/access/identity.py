"""Who a request comes from: API keys and JSON Web Tokens, remembered for less than a second.

A credential that was just seen costs a look into a dict. One that wasn't costs a share of one query for all that
arrived meanwhile. Three things keep strangers from turning credentials into work for the database: what can't be a
key is refused by its form and checksum; what was refused once is refused again from memory; and a source address with
too many refusals gets 429 for every credential that wasn't good before, without a look. Credentials that were good
before are always looked up, so that nobody can lock out the customers behind the same proxy.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from niyanta.domain.api_keys import customer_of
from niyanta.domain.customers import CustomerStatus, Role
from niyanta.errors import RateLimitedError, ServiceUnavailableError, UnauthorizedError
from niyanta.server.access.proxies import network_of
from niyanta.server.access.tokens import Claims, TokenVerifier
from niyanta.server.moves.batcher import GroupCommit
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.store.customers import CustomerStore, Identity
from niyanta.server.store.sessions import SessionStore, SignIn, SubjectStanding, session_of
from niyanta.wire.cancels import lasting
from niyanta.wire.changes import Changed

__all__ = ["Authenticator", "Bounds"]

log = logging.getLogger(__name__)

_REMEMBER_SECONDS = 0.8
_REMEMBER_BAD_KEY_SECONDS = 60.0
_REMEMBER_BAD_TOKEN_SECONDS = 5.0
_VERIFIED_SECONDS = 300.0
_MARK_USED_SECONDS = 5.0
_LATEST_END = 253_402_300_799.0
"""The year 9999: a token may claim any."""
_FAILURES_AT_ONCE = 50
_FAILURES_PER_SECOND = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is remembered: entries; what came first goes first."""

    good: int = 50_000
    bad: int = 4_000
    sources: int = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    """A credential that was good at ``checked_at`` (monotonic seconds, when the check began)."""

    identity: Identity
    checked_at: float


@dataclass(frozen=True, slots=True)
class _Verified:
    """A token whose signature and claims were good."""

    claims: Claims
    until: float
    """Monotonic seconds at which it is verified again."""


class Authenticator:
    """Turns credentials into an `Identity`.

    Args:
        customers: Where the keys are.
        sessions: Where it is noted who came in by JSON Web Tokens.
        tokens: Checks what is no API key.
        feed: Tells whose keys or status changed.
        clock: Monotonic seconds.
        bounds: How much is remembered.
    """

    def __init__(
        self,
        customers: CustomerStore,
        sessions: SessionStore,
        tokens: TokenVerifier,
        feed: ChangeFeed,
        clock: Callable[[], float] = time.monotonic,
        bounds: Bounds = Bounds(),  # frozen
    ) -> None:
        self._bounds = bounds
        self._customers = customers
        self._sessions = sessions
        self._tokens = tokens
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._verified: dict[str, _Verified] = {}
        self._bad: dict[str, float] = {}
        self._changed_at: dict[str, float] = {}
        self._failures = _Failures(clock, bounds.sources)
        self._keys = GroupCommit[tuple[str, str], Identity | None](self._look_up, most=200)
        self._standings = GroupCommit[tuple[str, str], SubjectStanding | None](self._read_standings, most=200)
        self._used: dict[str, str] = {}
        self._signed_in: dict[str, SignIn] = {}
        self._anybody_came = asyncio.Event()
        feed.listeners.append(self._on_change)

    def remembered(self) -> dict[str, int]:
        """How much of each kind is remembered at the moment: what the bounds are for."""
        return {
            "good": len(self._known),
            "bad": len(self._bad),
            "sources": len(self._failures),
            "changes": len(self._changed_at),
        }

    def _on_change(self, changed: Changed) -> None:
        if changed.customers:
            if len(self._changed_at) > self._bounds.sources:
                # Whatever was checked before these changes has been forgotten by now.
                old = self._clock() - 2 * _REMEMBER_SECONDS
                self._changed_at = {who: at for who, at in self._changed_at.items() if at > old}
            self._changed_at.update(dict.fromkeys(changed.customers, self._clock()))

    async def identify(self, authorization: str | None, source: str = "") -> Identity:
        """Check an ``Authorization`` header.

        Args:
            authorization: ``Bearer <API key or JWT>``.
            source: Address that it came from.

        Raises:
            UnauthorizedError: Missing, malformed, unknown, expired or revoked. Which one is not said.
            RateLimitedError: The source was refused too often, and this credential is new.
            ServiceUnavailableError: It can't be checked at the moment.
        """
        if not authorization:
            raise UnauthorizedError("Missing credentials: send 'Authorization: Bearer <api_key>'")
        scheme, _, credential = authorization.partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            raise UnauthorizedError("The Authorization header must be 'Bearer <api_key>'")
        now = self._clock()
        known = self._known.get(credential)
        if known is not None and known.checked_at + _REMEMBER_SECONDS > now:
            changed_at = self._changed_at.get(known.identity.customer_id)
            if changed_at is None or changed_at < known.checked_at:
                return known.identity
        if self._bad.get(credential, now) > now:
            raise UnauthorizedError("The credentials are not valid")
        identity = await self._check(credential, source)
        _remember(self._known, credential, _Known(identity, now), self._bounds.good)
        return identity

    async def _check(self, credential: str, source: str) -> Identity:
        is_key = credential.startswith("nyt_")
        if (customer_of(credential) is None) if is_key else not self._tokens.is_on:
            raise UnauthorizedError("The credentials are not valid")
        try:
            return await (self._check_key if is_key else self._check_token)(credential, source)
        except UnauthorizedError:
            seconds = _REMEMBER_BAD_KEY_SECONDS if is_key else _REMEMBER_BAD_TOKEN_SECONDS
            _remember(self._bad, credential, self._clock() + seconds, self._bounds.bad)
            self._known.pop(credential, None)
            self._verified.pop(credential, None)
            raise

    async def _check_key(self, api_key: str, source: str) -> Identity:
        identity = await self._keys.submit((api_key, source))
        if identity is None:
            raise UnauthorizedError("The credentials are not valid")
        self._used[identity.key_id or ""] = source
        self._anybody_came.set()
        return identity

    async def _look_up(self, asked: Sequence[tuple[str, str]]) -> list[Identity | Exception | None]:
        refused: dict[str, RateLimitedError] = {}
        for api_key, source in asked:
            if api_key not in self._known and (error := self._failures.refusal(source)):
                refused[api_key] = error
        wanted = {api_key for api_key, _ in asked} - refused.keys()
        found = await self._customers.identify(sorted(wanted)) if wanted else {}
        for api_key, source in asked:
            if api_key in wanted and api_key not in found:
                self._failures.count(source)
        return [refused.get(api_key, found.get(api_key)) for api_key, _ in asked]

    async def _check_token(self, token: str, source: str) -> Identity:
        claims = await self._claims(token, source)
        standing = await self._standings.submit((claims.customer_id, claims.subject))
        if standing is None or _was_ended(claims, standing.revoked_at):
            raise UnauthorizedError("The credentials are not valid")
        issued_at = None if claims.issued_at is None else _moment(claims.issued_at)
        self._signed_in[standing.session_id] = SignIn(
            claims.customer_id, claims.subject, source, issued_at, _moment(claims.expires_at)
        )
        self._anybody_came.set()
        suspended = standing.status is CustomerStatus.SUSPENDED
        return Identity(claims.customer_id, claims.subject, Role.CUSTOMER, suspended)

    async def _claims(self, token: str, source: str) -> Claims:
        verified = self._verified.get(token)
        if verified is not None and verified.until > self._clock() and verified.claims.expires_at > time.time():
            return verified.claims
        if verified is None and (error := self._failures.refusal(source)):
            raise error
        try:
            claims = await self._tokens.verify(token)
        except UnauthorizedError:
            self._failures.count(source)
            raise
        _remember(self._verified, token, _Verified(claims, self._clock() + _VERIFIED_SECONDS), self._bounds.good)
        return claims

    async def _read_standings(self, asked: Sequence[tuple[str, str]]) -> list[SubjectStanding | Exception | None]:
        found = await self._sessions.standings(sorted(set(asked)))
        return [found.get(session_of(*who)) for who in asked]

    async def run(self) -> None:
        """Look up, and note the use of keys, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keys.run())
            group.create_task(self._standings.run())
            group.create_task(lasting(self._tokens.run))
            group.create_task(lasting(self._note_use))

    async def _note_use(self) -> None:
        while True:
            await self._anybody_came.wait()
            self._anybody_came.clear()
            used, self._used = self._used, {}
            signed_in, self._signed_in = self._signed_in, {}
            try:
                if used:
                    await self._customers.mark_used(dict(sorted(used.items())))
                if signed_in:
                    await self._sessions.note(signed_in)
            except ServiceUnavailableError:
                self._used, self._signed_in = used | self._used, signed_in | self._signed_in
                self._anybody_came.set()
                log.info("authenticator.use_not_noted")
            await asyncio.sleep(_MARK_USED_SECONDS)


class _Failures:
    """Refused credentials, by the address they came from: a bucket each that empties with time."""

    def __init__(self, clock: Callable[[], float], most_sources: int) -> None:
        self._clock = clock
        self._most_sources = most_sources
        self._counts: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def _level(self, network: str) -> float:
        level, at = self._counts.get(network, (0.0, 0.0))
        return max(0.0, level - (self._clock() - at) * _FAILURES_PER_SECOND)

    def refusal(self, source: str) -> RateLimitedError | None:
        """The error for a source that was refused too often of late."""
        level = self._level(network_of(source))
        if level + 1 <= _FAILURES_AT_ONCE:
            return None
        wait = max(1, math.ceil((level + 1 - _FAILURES_AT_ONCE) / _FAILURES_PER_SECOND))
        return RateLimitedError(
            "Too many credentials from your address were refused; try again later",
            details={"retry_after": wait},
            retry_after_seconds=wait,
        )

    def count(self, source: str) -> None:
        network = network_of(source)
        level = min(_FAILURES_AT_ONCE, self._level(network) + 1)
        _remember(self._counts, network, (level, self._clock()), self._most_sources)


def _moment(unix_seconds: float) -> datetime:
    return datetime.fromtimestamp(min(unix_seconds, _LATEST_END), UTC)


def _was_ended(claims: Claims, revoked_at: datetime | None) -> bool:
    """Whether an operator has ended this token; one that doesn't say when it was issued may be any."""
    if revoked_at is None:
        return False
    return claims.issued_at is None or claims.issued_at <= revoked_at.timestamp()


Value = TypeVar("Value")


def _remember(entries: dict[str, Value], key: str, value: Value, most: int) -> None:
    """Keep an entry, and drop the oldest one when there are too many."""
    entries.pop(key, None)
    if len(entries) >= most:
        del entries[next(iter(entries))]
    entries[key] = value
