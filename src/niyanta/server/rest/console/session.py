"""Signing in to the console: a key is exchanged for a short-lived token, kept in a cookie that no script can read.

The key itself is forgotten at once. Signing out ends the token. What the cookie is good for, and beside what, is told
in `niyanta.server.rest.frame.credentials`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from niyanta.domain.customers import Scope
from niyanta.domain.limits import MAX_CONSOLE_TOKEN_LENGTH, MAX_SIGN_IN_BYTES, MAX_TOKEN_LENGTH
from niyanta.errors import (
    ApiError,
    ForbiddenError,
    InvalidInputError,
    PayloadTooLargeError,
    RequestTimeoutError,
    UnauthorizedError,
)
from niyanta.server.access.gate import Gate
from niyanta.server.rest.frame.credentials import CONSOLE_HEADER, SESSION_COOKIE, authorization_of
from niyanta.server.rest.frame.frame import request_id_of, source_of, standard_headers
from niyanta.server.rest.frame.responses import error_response, json_response
from niyanta.server.rest.uvicorn.strangers import WELCOME
from niyanta.server.services.tokens import TokenService
from niyanta.server.store.customers import Identity
from niyanta.wire.strict_json import StrictDecoder

__all__ = ["ConsoleSessions"]

log = logging.getLogger(__name__)

_PATH = "/console/session"
_SESSION_SECONDS = 12 * 3600
"""A long day's work; then it is signed in anew."""
_BODY_SECONDS = 10.0


class _SignIn(msgspec.Struct, forbid_unknown_fields=True):
    credential: Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN_LENGTH)]


class _Session(msgspec.Struct):
    """Who is signed in, and for what."""

    customer_id: str
    role: str
    scopes: list[str]
    workload_id: str | None
    """The only workload that it is good for; null for all."""


_Serve = Callable[[Request], Awaitable[Response]]


class ConsoleSessions:
    """``POST``, ``GET`` and ``DELETE /console/session``. All of them need the console's own header."""

    def __init__(self, gate: Gate, tokens: TokenService) -> None:
        self._gate = gate
        self._tokens = tokens
        self._decoder = StrictDecoder(_SignIn)

    def routes(self) -> list[Route]:
        """What the application serves."""
        verbs: dict[str, _Serve] = {"POST": self.sign_in, "GET": self.session, "DELETE": self.sign_out}
        return [
            Route(_PATH, _guarded(serve), methods=[method], name=f"console.session.{method}")
            for method, serve in verbs.items()
        ]

    async def sign_in(self, request: Request) -> Response:
        """200 with a cookie, when the credential is good."""
        credential = self._decoder.decode(await _body(request)).credential.strip()
        identity = await self._enter(request, f"Bearer {credential}")
        token, seconds = await self._token_for(identity, credential)
        log.info("console.signed_in", extra={"actor_id": identity.actor_id})
        response = json_response(_session(identity))
        _set_cookie(response, request, token, seconds)
        return response

    async def session(self, request: Request) -> Response:
        """200 with who is signed in, 204 when nobody is, 401 when that has ended."""
        if authorization_of(request) is None:
            return Response(status_code=204)
        return json_response(_session(await self._enter(request, authorization_of(request))))

    async def sign_out(self, request: Request) -> Response:
        """204; the token is ended and the cookie gone, also when neither was there."""
        try:
            identity = await self._enter(request, authorization_of(request))
            if identity.is_token and identity.key_id is not None:
                await self._tokens.revoke(identity, identity.key_id)
        except (UnauthorizedError, ForbiddenError):
            pass  # it was ended elsewhere
        response = Response(status_code=204)
        _set_cookie(response, request, "", 0)
        return response

    async def _enter(self, request: Request, authorization: str | None) -> Identity:
        source = source_of(request, self._gate.proxies)
        entry = await self._gate.enter(authorization, None, source=source)
        if (welcome := request.scope.get(WELCOME)) is not None:
            welcome()
        if entry.refusal is not None:
            raise entry.refusal
        return entry.identity

    async def _token_for(self, identity: Identity, credential: str) -> tuple[str, int | None]:
        """What the cookie is to hold, and for how many seconds; None: until the browser is closed."""
        if identity.key_id is not None and not identity.is_token:
            _, token = await self._tokens.create(identity, expires_in_seconds=_SESSION_SECONDS)
            return token, _SESSION_SECONDS
        if len(credential) > MAX_CONSOLE_TOKEN_LENGTH:
            raise InvalidInputError(
                f"A token of more than {MAX_CONSOLE_TOKEN_LENGTH} characters doesn't fit into a cookie; "
                "sign in with an API key",
                details={"field": "credential", "max_length": MAX_CONSOLE_TOKEN_LENGTH},
            )
        return credential, None


async def _body(request: Request) -> bytes:
    body = b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MAX_SIGN_IN_BYTES:
                    raise PayloadTooLargeError(
                        f"The body is larger than {MAX_SIGN_IN_BYTES} bytes",
                        details={"field": "body", "max_bytes": MAX_SIGN_IN_BYTES},
                    )
    except TimeoutError as exc:
        raise RequestTimeoutError(
            "The body took too long to arrive", details={"field": "body", "allowed": f"{_BODY_SECONDS:g} s"}
        ) from exc
    return body


def _session(identity: Identity) -> _Session:
    scopes = [scope.value for scope in Scope if scope in identity.scopes]
    return _Session(identity.customer_id, identity.role.value, scopes, identity.workload_id)


def _set_cookie(response: Response, request: Request, token: str, seconds: int | None) -> None:
    # Behind a proxy that ends TLS only the browser knows that it speaks HTTPS; it says so with each such request.
    secure = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=seconds,
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )


def _guarded(serve: _Serve) -> _Serve:
    """With the envelope around errors, and for the console's own script only."""

    async def guarded(request: Request) -> Response:
        request_id = request_id_of(request)
        try:
            if CONSOLE_HEADER not in request.headers:
                raise ForbiddenError("Only the console itself may ask this", details={"field": CONSOLE_HEADER})
            response = await serve(request)
        except ApiError as error:
            response = error_response(error, request_id)
        except ClientDisconnect:
            response = Response(status_code=400)
        standard_headers(response, request_id)
        return response

    return guarded
