"""The way in: who asks, how often, and whether they may. The same for every protocol.

Refusals come in a fixed order: who (401), how often (429), whether allowed (403).
"""

from __future__ import annotations

import random
import re
import time

import msgspec

from niyanta.domain.customers import Role, Scope
from niyanta.domain.ids import make_id
from niyanta.errors import ApiError, ForbiddenError
from niyanta.server.access.identity import Authenticator
from niyanta.server.access.proxies import Proxies
from niyanta.server.access.rate_limits import RateLimiter, RateStatus
from niyanta.server.observability.metrics import Metrics
from niyanta.server.store.customers import Identity
from niyanta.server.store.database import answered_within

__all__ = ["Admission", "Gate", "check_workload", "request_id"]

_ENTRY_SECONDS = 5.0
"""For the way in; all that a request asks of the database itself is still to come."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)


def request_id(given: str | None) -> str:
    """The id that the caller gave a request when it is sane, else a new one."""
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    return make_id("req_", time.time_ns() // 1_000_000, random.getrandbits(80))


class Admission(msgspec.Struct, frozen=True):
    """Who came in, and what the rate limit says; with ``refusal`` they go no further."""

    identity: Identity
    rate: RateStatus | None
    """None for admin keys, which aren't counted."""
    refusal: ApiError | None = None


class Gate:
    """Authenticates, counts and authorizes one request.

    Attributes:
        proxies: Those whose word on where a request comes from is taken.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        limiter: RateLimiter,
        metrics: Metrics,
        proxies: Proxies = Proxies(""),  # noqa: B008 -- nothing in it changes
    ) -> None:
        self.proxies = proxies
        self._authenticator = authenticator
        self._limiter = limiter
        self._metrics = metrics

    async def enter(self, authorization: str | None, scope: Scope | None, *, source: str = "") -> Admission:
        """Let a request in.

        Args:
            authorization: ``Bearer <API key or token>``.
            scope: What the credential must be for; None when any good one will do.
            source: Address that it comes from; refused credentials are counted by it.

        Raises:
            UnauthorizedError: The credentials are missing or not good.
            RateLimitedError: Too many credentials from the source were refused.
            ServiceUnavailableError: The database doesn't say in time who it is, or how often they came.
        """
        async with answered_within(_ENTRY_SECONDS):
            return await self._enter(authorization, scope, source)

    async def _enter(self, authorization: str | None, scope: Scope | None, source: str) -> Admission:
        identity = await self._authenticator.identify(authorization, source)
        rate: RateStatus | None = None
        if identity.role is not Role.ADMIN:
            rate, limited = await self._limiter.take(identity.customer_id)
            if limited is not None:
                self._metrics.rate_limited(identity.customer_id)
                return Admission(identity, rate, limited)
        if identity.suspended:
            return Admission(identity, rate, ForbiddenError("This customer is suspended"))
        return Admission(identity, rate, _forbidden(identity, scope))


def check_workload(identity: Identity, workload_id: str | None) -> None:
    """A token for one workload is good for calls about that one only.

    Args:
        identity: Who asks.
        workload_id: The one workload that the call is about; None for calls that aren't about one.

    Raises:
        ForbiddenError: It is about another, or about more.
    """
    if identity.workload_id is not None and identity.workload_id != workload_id:
        raise ForbiddenError(
            f"This token is good for the workload '{identity.workload_id}' only",
            details={"workload_id": identity.workload_id},
        )


def _forbidden(identity: Identity, scope: Scope | None) -> ForbiddenError | None:
    """Why a good credential isn't enough."""
    if scope is Scope.ADMIN and identity.role is not Role.ADMIN:
        return ForbiddenError("This needs a key with the admin role")
    if scope is not None and scope not in identity.scopes:
        return ForbiddenError(
            f"This needs a credential for '{scope}'",
            details={"scope": scope, "allowed": [known for known in Scope if known in identity.scopes]},
        )
    return None
