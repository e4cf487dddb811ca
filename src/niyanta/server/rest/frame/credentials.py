"""Where a request's credentials stand: in its ``Authorization`` header, or in the console's cookie.

A browser adds cookies to requests that other sites' pages make, too. So the cookie counts only beside a header of the
console's own: a page of another origin may not send one without asking first, and the service allows no origin that.
"""

from __future__ import annotations

from starlette.requests import HTTPConnection

__all__ = ["CONSOLE_HEADER", "SESSION_COOKIE", "authorization_of"]

SESSION_COOKIE = "niyanta_session"
"""Holds the token that was made at sign-in; scripts can't read it."""

CONSOLE_HEADER = "x-niyanta-console"
"""Says that the console's own script sends the request. Any value will do."""


def authorization_of(request: HTTPConnection) -> str | None:
    """The ``Authorization`` header, or what it would be for the console's cookie; None when there is neither."""
    header = request.headers.get("authorization")
    if header is not None or CONSOLE_HEADER not in request.headers:
        return header
    token = request.cookies.get(SESSION_COOKIE)
    return None if token is None else f"Bearer {token}"
