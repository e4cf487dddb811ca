"""The JSON bodies of who is in."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from niyanta.domain.customers import CredentialKind
from niyanta.server.rest.bodies.workloads import Timestamp, one_of

__all__ = ["SessionBody", "SessionsAnswer"]


class SessionBody(msgspec.Struct):
    """A credential that is good now."""

    session_id: Annotated[str, Meta(description="By which it is ended: a key's or a token's id, or a subject's.")]
    customer_id: str
    kind: Annotated[
        str,
        one_of(
            CredentialKind,
            "`api_token`: made of a key, also what a browser holds that is signed in to the console. "
            "`json_web_token`: all of one subject.",
        ),
    ]
    name: Annotated[str, Meta(description="A key's name, or a JSON Web Token's subject.")]
    role: str
    key_id: Annotated[str | None, Meta(description="The key that a token was made of.")]
    workload_id: Annotated[str | None, Meta(description="The only workload that it is good for; null for all.")]
    began_at: Annotated[Timestamp, Meta(description="When it was made; a subject, when it first came.")]
    expires_at: Timestamp | None
    last_used_at: Annotated[Timestamp | None, Meta(description="Within a minute.")]
    last_used_from: Annotated[str | None, Meta(description="Network address.")]


class SessionsAnswer(msgspec.Struct):
    """Credentials that are good now, those used last first."""

    sessions: list[SessionBody]
