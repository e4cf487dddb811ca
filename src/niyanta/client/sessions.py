"""Who is in, as operators see it."""

from __future__ import annotations

from datetime import datetime

import msgspec

__all__ = ["Session"]


class Session(msgspec.Struct, kw_only=True):
    """A credential that is good now, as operators see it."""

    session_id: str
    """By which it is ended: a key's or a token's id, or a subject's."""
    customer_id: str
    kind: str
    """``api_key``, ``api_token`` or ``json_web_token``."""
    name: str
    """A key's name, or a JSON Web Token's subject."""
    role: str | None = None
    key_id: str | None = None
    """The key that a token was made of."""
    workload_id: str | None = None
    """The only workload that it is good for; None for all."""
    began_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    last_used_from: str | None = None
    """Network address."""
