"""Who is in at the moment, and the way to send them out: for operators, when something is wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from niyanta.domain.customers import CredentialKind
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.sessions import LiveSession, SessionStore

__all__ = ["SessionService"]


async def _nobody_told(customer_id: str) -> None:
    """Replicas see it by themselves within a second."""


class SessionService:
    """Lists and ends sessions of all customers.

    Args:
        sessions: Where they are.
        customers: Where keys and tokens are ended.
        changed: Called after one was ended, with the customer's id.
    """

    def __init__(
        self,
        sessions: SessionStore,
        customers: CustomerStore,
        changed: Callable[[str], Awaitable[None]] = _nobody_told,
    ) -> None:
        self._sessions = sessions
        self._customers = customers
        self._changed = changed

    async def live(
        self,
        most: int,
        *,
        customer_id: str | None = None,
        kind: CredentialKind | None = None,
        used_within_seconds: int | None = None,
    ) -> Sequence[LiveSession]:
        """What is good now, those used last first; of one customer, of one kind, used of late, where given."""
        return await self._sessions.live(
            most, customer_id=customer_id, kind=kind, used_within_seconds=used_within_seconds
        )

    async def revoke(self, session_id: str) -> str:
        """End a key for ever with its tokens, a token, or all tokens that a subject was given so far.

        On all replicas, within a second, open streams included. Twice is once.

        Returns:
            Whose it was.

        Raises:
            NotFoundError: There is no such session.
        """
        is_jwt = session_id.startswith("jwt_")
        end = self._sessions.revoke_sign_in if is_jwt else self._customers.revoke_key
        owner = await end(session_id)
        await self._changed(owner)
        return owner
