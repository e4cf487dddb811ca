"""The admin API for join tokens, by which workers come into the broker."""

from __future__ import annotations

from starlette.responses import Response

from niyanta.errors import ConflictError, NotFoundError
from niyanta.server.rest.bodies import join_tokens as bodies
from niyanta.server.rest.endpoints.paging import PAGE, AdminPage, note
from niyanta.server.rest.frame.operation import Access, Call, Operation
from niyanta.server.rest.frame.responses import json_response, timestamp
from niyanta.server.services.cursors import Cursors
from niyanta.server.services.joining import JoinTokenService
from niyanta.server.store.join_tokens import StoredJoinToken

__all__ = ["JoinTokenRoutes"]

_TAG = "Admin"
_TOKENS = "/v1/admin/join-tokens"


class JoinTokenRoutes:
    """For keys with the admin role."""

    def __init__(self, tokens: JoinTokenService, cursors: Cursors) -> None:
        self._tokens = tokens
        self._cursors = cursors

    @Operation(
        method="POST",
        path=_TOKENS,
        operation_id="createJoinToken",
        summary="Make a join token for workers; it is shown this once",
        tag=_TAG,
        access=Access.ADMIN,
        body=bodies.CreateJoinTokenRequest,
        answer=bodies.JoinTokenAnswer,
        status=201,
        errors=(ConflictError,),
    )
    async def create(self, call: Call) -> Response:
        """201 with the token itself."""
        body: bodies.CreateJoinTokenRequest = call.body
        made, token = await self._tokens.create(
            body.name,
            worker_pattern=body.worker_pattern,
            workload_types=body.workload_types,
            tags=body.tags,
            customers=body.customers,
            expires_at=body.expires_at,
        )
        note("admin.join_token_created", call, token_id=made.token_id)
        answer = bodies.JoinTokenAnswer(
            token_id=made.token_id,
            join_token=token,
            name=made.name,
            worker_pattern=made.worker_pattern,
            workload_types=made.workload_types,
            tags=made.tags,
            customers=made.customers,
            created_at=timestamp(made.created_at),
            expires_at=timestamp(made.expires_at),
        )
        return json_response(answer, 201)

    @Operation(
        method="GET",
        path=_TOKENS,
        operation_id="listJoinTokens",
        summary="List join tokens, oldest first",
        tag=_TAG,
        access=Access.ADMIN,
        query=PAGE,
        answer=bodies.JoinTokensAnswer,
    )
    async def list(self, call: Call) -> Response:
        """A page of them."""
        page = AdminPage.read(call, self._cursors, "join-tokens")
        found, total = await self._tokens.page(page.limit + 1, skip=page.offset, after=page.after)
        pagination = page.pagination([token.token_id for token in found], total)
        return json_response(bodies.JoinTokensAnswer([_row(token) for token in found[: page.limit]], pagination))

    @Operation(
        method="DELETE",
        path=_TOKENS + "/{token_id}",
        operation_id="revokeJoinToken",
        summary="End a join token for ever, and put out the workers that came in with it",
        tag=_TAG,
        access=Access.ADMIN,
        status=204,
        errors=(NotFoundError,),
    )
    async def revoke(self, call: Call) -> Response:
        """204, also the second time."""
        token_id = call.path_id("token_id")
        await self._tokens.revoke(token_id)
        note("admin.join_token_revoked", call, token_id=token_id)
        return Response(status_code=204)


def _row(token: StoredJoinToken) -> bodies.JoinTokenRow:
    return bodies.JoinTokenRow(
        token_id=token.token_id,
        name=token.name,
        worker_pattern=token.worker_pattern,
        workload_types=token.workload_types,
        tags=token.tags,
        customers=token.customers,
        status=token.status,
        created_at=timestamp(token.created_at),
        expires_at=timestamp(token.expires_at),
        revoked_at=timestamp(token.revoked_at),
    )
