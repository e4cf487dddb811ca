"""Who is in, and with what: keys, tokens made of them, and the subjects of JSON Web Tokens, in PostgreSQL."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from niyanta.domain.customers import CredentialKind, CustomerStatus, Role
from niyanta.domain.limits import MAX_SIGN_INS_PER_CUSTOMER
from niyanta.errors import NotFoundError
from niyanta.server.store.database import Database, retried
from niyanta.server.store.queries import Queries

__all__ = ["LiveSession", "SessionStore", "SignIn", "SubjectStanding", "session_of"]


class LiveSession(msgspec.Struct, frozen=True, kw_only=True):
    """A credential that is good now."""

    session_id: str
    """A key's or a token's id, or what `session_of` gives for a subject."""
    customer_id: str
    kind: CredentialKind
    name: str
    """A key's name, also of a token made of it; or a JSON Web Token's subject."""
    role: Role
    made_of: str | None
    """The key that a token was made of."""
    workload_id: str | None
    """The only workload that it is good for; None for all."""
    began_at: datetime
    """When it was made; of a subject, when it first came."""
    expires_at: datetime | None
    """Of a subject, when the last of its tokens ends that were seen."""
    last_used_at: datetime | None
    """Within a minute."""
    last_used_from: str | None
    """Network address."""


class SubjectStanding(NamedTuple):
    """What the database says of whom a JSON Web Token is for."""

    session_id: str
    status: CustomerStatus
    revoked_at: datetime | None
    """Tokens that were issued before that are good no more."""


class SignIn(NamedTuple):
    """A JSON Web Token was used."""

    customer_id: str
    subject: str
    source: str
    issued_at: datetime | None
    expires_at: datetime


def session_of(customer_id: str, subject: str) -> str:
    """The name of all of a subject's tokens together."""
    return "jwt_" + hashlib.sha256(f"{customer_id}\0{subject}".encode()).hexdigest()[:20]


_queries = Queries("sessions.sql")
_live_sessions = _queries.many("live_sessions", LiveSession)
_standings = _queries.many("standings", SubjectStanding)
_note_sign_ins = _queries.run("note_sign_ins")
_revoke_sign_in = _queries.one("revoke_sign_in", str)
_forget_sign_ins = _queries.many("forget_sign_ins", str)


class SessionStore:
    """Queries on sessions, each a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @retried
    async def live(
        self, most: int, *, customer_id: str | None = None, kind: str | None = None, used_within_seconds: int | None
    ) -> list[LiveSession]:
        """What is good now, those used last first; of one customer, of one kind, used of late, where given."""
        async with self._database.connection() as conn:
            return await _live_sessions(
                conn, customer_id=customer_id, kind=kind, used_within_seconds=used_within_seconds, most=most
            )

    @retried
    async def standings(self, asked: Sequence[tuple[str, str]]) -> dict[str, SubjectStanding]:
        """Of those (customer, subject) whose customers exist, by their session."""
        async with self._database.connection() as conn:
            found = await _standings(
                conn, customer_ids=[who[0] for who in asked], session_ids=[session_of(*who) for who in asked]
            )
        return {standing.session_id: standing for standing in found}

    @retried
    async def note(self, used: Mapping[str, SignIn]) -> None:
        """Note the use of tokens, by their session."""
        async with self._database.connection() as conn:
            await _note_sign_ins(
                conn,
                session_ids=list(used),
                customer_ids=[each.customer_id for each in used.values()],
                subjects=[each.subject for each in used.values()],
                sources=[each.source for each in used.values()],
                issued_ats=[each.issued_at for each in used.values()],
                expires_ats=[each.expires_at for each in used.values()],
                most=MAX_SIGN_INS_PER_CUSTOMER,
            )

    @retried
    async def revoke_sign_in(self, session_id: str) -> str:
        """End all tokens of a subject that were issued so far; gives its customer.

        Raises:
            NotFoundError: Nobody came in so.
        """
        async with self._database.connection() as conn:
            owner = await _revoke_sign_in(conn, session_id=session_id)
        if owner is None:
            raise NotFoundError(f"There is no session '{session_id}'")
        return owner

    @retried
    async def forget(self, most: int) -> int:
        """Delete at most so many that ended a month ago; gives how many went."""
        async with self._database.connection() as conn:
            return len(await _forget_sign_ins(conn, most=most))
