"""Tokens that are made of the key that a request comes with."""

from __future__ import annotations

import logging
from datetime import datetime

from starlette.responses import Response

from niyanta.domain.limits import DEFAULT_PAGE, MAX_TOKENS_PER_KEY
from niyanta.errors import ForbiddenError, NotFoundError, RateLimitedError
from niyanta.server.rest.bodies import tokens as bodies
from niyanta.server.rest.frame.operation import Access, Call, Operation
from niyanta.server.rest.frame.parameters import Integer
from niyanta.server.rest.frame.responses import json_response, timestamp
from niyanta.server.services.administration import AdminService
from niyanta.server.services.tokens import TokenService
from niyanta.server.store.customers import ApiKey

__all__ = ["TokenRoutes"]

log = logging.getLogger(__name__)

_TAG = "Tokens"
_ALL = "/v1/tokens"

_LIMIT = Integer("limit", "How many at most, the newest.", 1, MAX_TOKENS_PER_KEY, DEFAULT_PAGE)


class TokenRoutes:
    """Make, list and end them."""

    def __init__(self, tokens: TokenService, administration: AdminService) -> None:
        self._tokens = tokens
        self._administration = administration

    async def _exists(self, call: Call) -> None:
        await self._tokens.exists(call.identity, call.path_id("token_id"))

    async def _customer_exists(self, call: Call) -> None:
        await self._administration.customer(call.path_id("customer_id"))

    @Operation(
        method="POST",
        path=_ALL,
        operation_id="createToken",
        summary="Make a short-lived token of the key; it is shown this once",
        tag=_TAG,
        any_scope=True,
        body=bodies.CreateTokenRequest,
        body_required=False,
        answer=bodies.TokenAnswer,
        status=201,
        errors=(ForbiddenError, NotFoundError, RateLimitedError),
    )
    async def create(self, call: Call) -> Response:
        """201 with the token itself."""
        body: bodies.CreateTokenRequest = call.body or bodies.CreateTokenRequest()
        made, token = await self._tokens.create(call.identity, body.scopes, body.workload_id, body.expires_in_seconds)
        log.info("token.created", extra={"actor_id": call.identity.actor_id, "token_id": made.key_id})
        answer = bodies.TokenAnswer(
            token_id=made.key_id,
            token=token,
            scopes=list(made.scopes),
            workload_id=made.workload_id,
            created_at=timestamp(made.created_at),
            expires_at=timestamp(_end_of(made)),
        )
        return json_response(answer, 201)

    @Operation(
        method="GET",
        path=_ALL,
        operation_id="listTokens",
        summary="The key's tokens that are good now, the newest first",
        tag=_TAG,
        any_scope=True,
        query=(_LIMIT,),
        answer=bodies.TokensAnswer,
        errors=(ForbiddenError,),
    )
    async def list(self, call: Call) -> Response:
        """Those of the key that the request came with."""
        found = await self._tokens.tokens(call.identity, _LIMIT.read(call.request) or DEFAULT_PAGE)
        return json_response(bodies.TokensAnswer([_row(token) for token in found]))

    @Operation(
        method="DELETE",
        path=_ALL + "/{token_id}",
        operation_id="revokeToken",
        summary="End a token of the key, or the token that the request comes with",
        tag=_TAG,
        any_scope=True,
        status=204,
        errors=(ForbiddenError, NotFoundError),
        exists=_exists,
    )
    async def revoke(self, call: Call) -> Response:
        """204, also the second time."""
        token_id = call.path_id("token_id")
        await self._tokens.revoke(call.identity, token_id)
        log.info("token.revoked", extra={"actor_id": call.identity.actor_id, "token_id": token_id})
        return Response(status_code=204)

    @Operation(
        method="GET",
        path="/v1/admin/customers/{customer_id}/tokens",
        operation_id="listCustomerTokens",
        summary="A customer's tokens that are good now, of all its keys, the newest first",
        tag="Admin",
        access=Access.ADMIN,
        query=(_LIMIT,),
        answer=bodies.TokensAnswer,
        errors=(NotFoundError,),
        exists=_customer_exists,
    )
    async def list_of_customer(self, call: Call) -> Response:
        """Who is in."""
        most = _LIMIT.read(call.request) or DEFAULT_PAGE
        found = await self._administration.tokens(call.path_id("customer_id"), most)
        return json_response(bodies.TokensAnswer([_row(token) for token in found]))


def _end_of(token: ApiKey) -> datetime:
    """A token always has an end."""
    return token.expires_at or token.created_at


def _row(token: ApiKey) -> bodies.TokenRow:
    """What may be shown of a token."""
    return bodies.TokenRow(
        token_id=token.key_id,
        key_id=token.made_of or "",
        scopes=list(token.scopes),
        workload_id=token.workload_id,
        created_at=timestamp(token.created_at),
        expires_at=timestamp(_end_of(token)),
        last_used_at=timestamp(token.last_used_at),
        last_used_from=token.last_used_from,
    )
