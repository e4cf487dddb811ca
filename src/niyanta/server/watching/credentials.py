"""Whether the credentials behind what stays open for long are still good."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from niyanta.errors import ApiError, ForbiddenError, UnauthorizedError
from niyanta.server.access.identity import Authenticator

__all__ = ["CHECK_AGAIN_SECONDS", "refusals"]

CHECK_AGAIN_SECONDS = 1.0
"""How often they are checked."""
_CHECKED_TOGETHER = 100


async def refusals(authenticator: Authenticator, credentials: Collection[str]) -> dict[str, ApiError]:
    """Why some of these are no longer good; those that are, or of which it can't be found out now, are left out.

    Args:
        authenticator: Knows.
        credentials: ``Authorization`` headers.
    """
    found: dict[str, ApiError] = {}
    every = list(credentials)
    for first in range(0, len(every), _CHECKED_TOGETHER):
        together = every[first : first + _CHECKED_TOGETHER]
        answers = await asyncio.gather(*(_refusal(authenticator, authorization) for authorization in together))
        found |= {
            authorization: refusal
            for authorization, refusal in zip(together, answers, strict=True)
            if refusal is not None
        }
    return found


async def _refusal(authenticator: Authenticator, authorization: str) -> ApiError | None:
    try:
        identity = await authenticator.identify(authorization)
    except UnauthorizedError as exc:
        return exc
    except ApiError:
        return None
    return ForbiddenError("This customer is suspended") if identity.suspended else None
