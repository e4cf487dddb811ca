"""Join tokens, as operators see them."""

from __future__ import annotations

from datetime import datetime

import msgspec

from niyanta.client.status import Status

__all__ = ["JoinToken"]


class JoinToken(msgspec.Struct, kw_only=True):
    """One join token of workers; ``join_token`` itself comes only with its creation."""

    token_id: str
    name: str | None = None
    join_token: str | None = None
    worker_pattern: str = "*"
    workload_types: list[str] = []
    """All that its workers may serve; empty for every type."""
    tags: dict[str, str] = {}
    """All that its workers may have; empty for any."""
    customers: list[str] = []
    """The only ones whose workloads its workers get; empty for everybody's."""
    status: Status | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def __repr__(self) -> str:
        return f"JoinToken(token_id={self.token_id!r}, name={self.name!r}, status={self.status!r})"
