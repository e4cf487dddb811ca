"""Short-lived tokens made of the client's own key: for a browser, a script, or one workload."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from niyanta.client.models import Token
from niyanta.client.transport import Transport, quoted, without_none

__all__ = ["AsyncTokens"]


class _Tokens(msgspec.Struct):
    tokens: list[Token]


class AsyncTokens:
    """Short-lived tokens made of the client's own key: for a browser, a script, or one workload."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(
        self,
        *,
        scopes: Sequence[str] | None = None,
        workload_id: str | None = None,
        expires_in_seconds: int | None = None,
    ) -> Token:
        """Make one; its ``token`` is shown this once, and used as an API key is.

        Args:
            scopes: Some of ``workloads:read``, ``workloads:write``, ``configs:write`` and ``admin``; all that the key
                is for when None.
            workload_id: The only workload that it is to be good for.
            expires_in_seconds: How long it is to be good, up to a day; an hour when None. It ends with its key.
        """
        body = without_none(
            scopes=None if scopes is None else list(scopes),
            workload_id=workload_id,
            expires_in_seconds=expires_in_seconds,
        )
        return msgspec.json.decode(await self._transport.call("POST", "/tokens", body), type=Token)

    async def list(self) -> Sequence[Token]:
        """Those of the key that are good now, the newest first; a thousand at most."""
        answer = await self._transport.call("GET", "/tokens", params={"limit": 1000})
        return msgspec.json.decode(answer, type=_Tokens).tokens

    async def revoke(self, token_id: str) -> None:
        """End one, or the one that the client itself uses."""
        await self._transport.call("DELETE", f"/tokens/{quoted(token_id)}")
