"""The JSON bodies of tokens that are made of keys."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from niyanta.domain.customers import Scope
from niyanta.domain.limits import DEFAULT_TOKEN_SECONDS, MAX_TOKEN_SECONDS
from niyanta.server.rest.bodies.workloads import Timestamp, one_of

__all__ = ["CreateTokenRequest", "Scopes", "TokenAnswer", "TokenRow", "TokensAnswer"]

Scopes = Annotated[list[Annotated[str, one_of(Scope)]], Meta(description="What it may be used for.")]


class CreateTokenRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /tokens``."""

    scopes: (
        Annotated[
            list[Annotated[str, one_of(Scope)]],
            Meta(
                description="What it is to be for; all that the key is for when missing.",
                extra_json_schema={"minItems": 1},
            ),
        ]
        | None
    ) = None
    workload_id: Annotated[str, Meta(description="The only workload that it is to be good for.")] | None = None
    expires_in_seconds: (
        Annotated[
            int,
            Meta(
                description="How long it is to be good, but no longer than the key.",
                extra_json_schema={"minimum": 1, "maximum": MAX_TOKEN_SECONDS, "default": DEFAULT_TOKEN_SECONDS},
            ),
        ]
        | None
    ) = None


class TokenAnswer(msgspec.Struct):
    """A new token. ``token`` is shown this once, and stored nowhere. It is sent as an API key is."""

    token_id: str
    token: str
    scopes: Scopes
    workload_id: str | None
    created_at: Timestamp
    expires_at: Timestamp


class TokenRow(msgspec.Struct):
    """What may be shown of a token."""

    token_id: str
    key_id: Annotated[str, Meta(description="The key that it was made of.")]
    scopes: Scopes
    workload_id: str | None
    created_at: Timestamp
    expires_at: Timestamp
    last_used_at: Timestamp | None
    last_used_from: Annotated[str | None, Meta(description="Network address.")]


class TokensAnswer(msgspec.Struct):
    """Tokens that are good now, the newest first."""

    tokens: list[TokenRow]
