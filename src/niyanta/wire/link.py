"""The client of NATS as we need it: it survives the end of its credential, and trusts no broker that is open."""

from __future__ import annotations

from typing import Any

from nats.aio.client import Client as NatsClient
from nats.errors import Error as NatsError

from niyanta.wire.login import Login

__all__ = ["NatsLink", "OpenBrokerError", "is_refusal"]

_OVER = ("authentication expired", "authentication revoked", "account authentication expired")
_FLUSH_SECONDS = 10
_REFUSED = "authorization violation"


class OpenBrokerError(NatsError):
    """The broker lets everybody in."""


class NatsLink(NatsClient):
    """One connection, and those that come in its place.

    Args:
        login: What is shown to the broker; None for what stands in its address.
    """

    def __init__(self, login: Login | None = None) -> None:
        super().__init__()
        self._login = login
        if login is not None and login.public_key:
            self._public_nkey = login.public_key

    def credentials(self) -> dict[str, Any]:  # Any: the client's options are of all kinds
        """What to connect with, by the login."""
        login = self._login
        if login is None:
            return {}
        return {"signature_cb": login.sign} if login.public_key else {"user": login.user, "password": login.password}

    def _connect_command(self) -> bytes:
        if self._login is not None and not self._server_info.get("auth_required"):
            raise OpenBrokerError("the broker lets everybody in")
        return bytes(super()._connect_command())

    async def flush(self, timeout: int = _FLUSH_SECONDS) -> None:
        """Wait until the server has what was sent before: the client's own ping overtakes what isn't written yet."""
        await self._flush_pending(force_flush=True)
        await super().flush(timeout)

    async def _process_err(self, err_msg: str) -> None:
        """A credential that has run out is renewed by connecting again; the client itself would close for ever."""
        if any(over in err_msg.lower() for over in _OVER):
            await self._process_op_err(NatsError(f"nats: {err_msg.strip()}"))
            return
        await super()._process_err(err_msg)


def is_refusal(error: Exception) -> bool:
    """Whether the broker has refused what it was shown."""
    return _REFUSED in str(error).lower()
