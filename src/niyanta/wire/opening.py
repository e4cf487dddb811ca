"""How a link to the broker is opened: tried before it is kept for ever, and with which credentials."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

from nats.errors import Error as NatsError

from niyanta.errors import BrokerRefusedError
from niyanta.wire.addresses import Addresses
from niyanta.wire.link import NatsLink, OpenBrokerError, is_busy, is_refusal
from niyanta.wire.login import Login

__all__ = ["CONNECT_SECONDS", "OPEN_BROKER", "UNTRUSTED_BROKER", "credentials", "failed", "try_first"]

log = logging.getLogger(__name__)

CONNECT_SECONDS = 2
"""For one server to answer."""
_PATIENCE_SECONDS = 20.0
_PAUSE_SECONDS = 0.1


OPEN_BROKER = (
    "the broker lets everybody in: give it the configuration that niyanta admin broker-config prints, or, for a "
    "trial on this machine only, set NIYANTA_BROKER_AUTH=none for coordinators and workers"
)
UNTRUSTED_BROKER = (
    "the broker's certificate isn't trusted ({why}): is NIYANTA_NATS_TLS_CA the file with its authority, and does "
    "the certificate name the host of NIYANTA_NATS_URL?"
)
_CLOSE_SECONDS = 0.5
_AT_ONCE_SECONDS = 1.0
"""A broker whose coordinators are away refuses later than this: see ``timeout`` in its configuration."""


async def try_first(addresses: Addresses, login: Login | None = None) -> None:
    """Fail soon when no server is there; a link that has been opened once is kept for ever.

    A server that is there but slow to answer, or hangs up, is asked again for a while: a machine may only be busy.

    Raises:
        NatsError, OSError: No server is there.
        BrokerRefusedError: One is, and refuses the credentials.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            await _try_each(addresses, login)
        except (NatsError, OSError) as exc:  # a time-out is one of the latter
            if not is_busy(exc) or time.monotonic() >= deadline:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return


async def _try_each(addresses: Addresses, login: Login | None) -> None:
    failure: Exception | None = None
    for server in addresses.servers:
        attempt = NatsLink(login, addresses)
        began = time.monotonic()
        try:
            await attempt.connect(
                servers=[server],
                allow_reconnect=False,
                # The first connection is counted by these all the same.
                max_reconnect_attempts=1,
                reconnect_time_wait=0.1,  # type: ignore[arg-type]  # takes fractions all the same
                connect_timeout=CONNECT_SECONDS,
                error_cb=failed,
                **(attempt.credentials() or credentials(addresses)),
            )
        except OpenBrokerError:
            raise
        except (NatsError, OSError, TimeoutError) as exc:
            if failure is not None and is_busy(failure):
                continue  # what another says doesn't count before this one has said something
            failure = exc
            if is_refusal(exc):
                at_once = time.monotonic() - began < _AT_ONCE_SECONDS
                failure = BrokerRefusedError("the broker refuses the credentials", at_once=at_once)
        else:
            return
        finally:
            # After a handshake that failed the client waits for an end of which nobody tells it.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await attempt.close()
    raise failure or NatsError


def credentials(addresses: Addresses) -> dict[str, Any]:
    """As the client's options, which hold for servers that it learns of, too."""
    if addresses.token:
        return {"token": addresses.token}
    return {"user": addresses.user, "password": addresses.password} if addresses.user else {}


async def failed(error: Exception) -> None:
    """What goes wrong on a link, for whoever looks for it."""
    log.debug("broker.error", extra={"error": str(error)})
