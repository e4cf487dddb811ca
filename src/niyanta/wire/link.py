"""The client of NATS as we need it: it survives the end of its credential, and trusts no broker that is open."""

from __future__ import annotations

import logging
import ssl
from typing import Any

from nats.aio.client import Client as NatsClient
from nats.aio.client import Srv
from nats.errors import Error as NatsError

from niyanta.errors import ConfigurationError
from niyanta.wire.addresses import Addresses, BrokerTls
from niyanta.wire.login import Login
from niyanta.wire.tls import client_context

__all__ = ["NatsLink", "OpenBrokerError", "PlainBrokerError", "is_busy", "is_refusal"]

log = logging.getLogger(__name__)

_OVER = ("authentication expired", "authentication revoked", "account authentication expired")
_FLUSH_SECONDS = 10
_REFUSED = "authorization violation"
_TOO_LATE = "authentication timeout"


class _WithoutEndOfTls(logging.Filter):
    """Leaves out what asyncio warns of whenever the client's connection by TLS ends: it says nothing to anybody."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("returning true from eof_received()")


_WITHOUT_END_OF_TLS = _WithoutEndOfTls()


class OpenBrokerError(NatsError):
    """The broker lets everybody in."""


class PlainBrokerError(NatsError):
    """TLS was asked for, and the broker speaks plain."""


class NatsLink(NatsClient):
    """One connection, and those that come in its place.

    Args:
        login: What is shown to the broker; None for what stands in its address.
        addresses: Where it is, and whether it is spoken to by TLS only; with which files.
    """

    def __init__(self, login: Login | None = None, addresses: Addresses | None = None) -> None:
        super().__init__()
        self._login = login
        self._addresses = addresses
        self._context: ssl.SSLContext | None = None
        if login is not None and login.public_key:
            self._public_nkey = login.public_key

    def credentials(self) -> dict[str, Any]:  # Any: the client's options are of all kinds
        """What to connect with, by the login."""
        login = self._login
        if login is None:
            return {}
        return {"signature_cb": login.sign} if login.public_key else {"user": login.user, "password": login.password}

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """For the connection that is about to be opened: files that have been replaced meanwhile hold from now on."""
        logging.getLogger("asyncio").addFilter(_WITHOUT_END_OF_TLS)
        files = self._addresses.tls if self._addresses is not None else BrokerTls()
        try:
            self._context = client_context(files.ca, files.cert, files.key)
        except ConfigurationError as error:
            if self._context is None:
                raise
            log.error("broker.certificates_not_reloaded", extra={"error": str(error)})
        return self._context

    async def _connect_to_server(self, s: Srv) -> None:
        # The client itself leaves a connection open on which a server has refused it, or has said nothing.
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]
        await super()._connect_to_server(s)

    def _connect_command(self) -> bytes:
        # The client itself goes on in the clear when somebody on the way says that the broker speaks no TLS.
        if self._addresses is not None and self._addresses.is_secured and not self._server_info.get("tls_required"):
            raise PlainBrokerError("the broker speaks no TLS, and its address begins with tls://")
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


def is_busy(error: Exception) -> bool:
    """Whether a broker is there, and it or this process was too slow for the other.

    A broker gives who connects two seconds to say who it is, and hangs up then.
    """
    lost = isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError)
    return lost or isinstance(error, TimeoutError) or _TOO_LATE in str(error).lower()
