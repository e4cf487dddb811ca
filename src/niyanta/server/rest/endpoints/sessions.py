"""The admin API for who is in: keys, tokens, sign-ins to the console, and subjects of JSON Web Tokens."""

from __future__ import annotations

from starlette.responses import Response

from niyanta.domain.customers import CredentialKind
from niyanta.domain.limits import DEFAULT_PAGE, MAX_SESSIONS_SHOWN, MAX_USED_WITHIN_SECONDS
from niyanta.errors import NotFoundError
from niyanta.server.rest.bodies import sessions as bodies
from niyanta.server.rest.endpoints.paging import note
from niyanta.server.rest.frame.operation import Access, Call, Operation
from niyanta.server.rest.frame.parameters import Choice, Integer, Text
from niyanta.server.rest.frame.responses import json_response, timestamp
from niyanta.server.services.sessions import SessionService
from niyanta.server.store.sessions import LiveSession

__all__ = ["SessionRoutes"]

_TAG = "Admin"
_ALL = "/v1/admin/sessions"

CUSTOMER = Text("customer_id", "Only this customer's.")
KIND = Choice("kind", "Only of this kind.", tuple(CredentialKind))
USED_WITHIN = Integer("used_within_seconds", "Only what was used so lately.", 1, MAX_USED_WITHIN_SECONDS)
LIMIT = Integer("limit", "How many at most, those used last.", 1, MAX_SESSIONS_SHOWN, DEFAULT_PAGE)


class SessionRoutes:
    """For keys with the admin role."""

    def __init__(self, sessions: SessionService) -> None:
        self._sessions = sessions

    @Operation(
        method="GET",
        path=_ALL,
        operation_id="listSessions",
        summary="Who is in: every credential that is good now, those used last first",
        tag=_TAG,
        access=Access.ADMIN,
        query=(CUSTOMER, KIND, USED_WITHIN, LIMIT),
        answer=bodies.SessionsAnswer,
    )
    async def list(self, call: Call) -> Response:
        """With when and from where each was used last."""
        request = call.request
        kind = KIND.read(request)
        found = await self._sessions.live(
            LIMIT.read(request) or DEFAULT_PAGE,
            customer_id=CUSTOMER.read(request),
            kind=None if kind is None else CredentialKind(kind),
            used_within_seconds=USED_WITHIN.read(request),
        )
        return json_response(bodies.SessionsAnswer([_body(session) for session in found]))

    @Operation(
        method="DELETE",
        path=_ALL + "/{session_id}",
        operation_id="revokeSession",
        summary="Send somebody out: end a key with its tokens, a token, or all that a subject was given so far",
        tag=_TAG,
        access=Access.ADMIN,
        status=204,
        errors=(NotFoundError,),
    )
    async def revoke(self, call: Call) -> Response:
        """204, also the second time."""
        session_id = call.path_id("session_id")
        owner = await self._sessions.revoke(session_id)
        note("admin.session_revoked", call, session_id=session_id, customer_id=owner)
        return Response(status_code=204)


def _body(session: LiveSession) -> bodies.SessionBody:
    return bodies.SessionBody(
        session_id=session.session_id,
        customer_id=session.customer_id,
        kind=session.kind,
        name=session.name,
        role=session.role,
        key_id=session.made_of,
        workload_id=session.workload_id,
        began_at=timestamp(session.began_at),
        expires_at=timestamp(session.expires_at),
        last_used_at=timestamp(session.last_used_at),
        last_used_from=session.last_used_from,
    )
