"""How a link to the broker is opened: tried before it is kept for ever, and with which credentials."""

from __future__ import annotations

import logging
import time
from typing import Any

from nats.aio.client import Client as NatsClient
from nats.errors import Error as NatsError

from niyanta.wire.addresses import Addresses

__all__ = ["CONNECT_SECONDS", "credentials", "failed", "try_first"]

log = logging.getLogger(__name__)

CONNECT_SECONDS = 2
"""For one server to answer."""
_PATIENCE_SECONDS = 20.0


async def try_first(addresses: Addresses) -> None:
    """Fail soon when no server is there; a link that has been opened once is kept for ever.

    A server that is there but slow to answer is asked again for a while: its machine may only be busy.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            await _try_each(addresses)
        except TimeoutError:
            if time.monotonic() >= deadline:
                raise
        else:
            return


async def _try_each(addresses: Addresses) -> None:
    failure: Exception | None = None
    for server in addresses.servers:
        attempt = NatsClient()
        try:
            await attempt.connect(
                servers=[server],
                allow_reconnect=False,
                # The first connection is counted by these all the same.
                max_reconnect_attempts=1,
                reconnect_time_wait=0.1,  # type: ignore[arg-type]  # takes fractions all the same
                connect_timeout=CONNECT_SECONDS,
                error_cb=failed,
                **credentials(addresses),
            )
        except (NatsError, OSError, TimeoutError) as exc:
            failure = exc
        else:
            await attempt.close()
            return
    raise failure or NatsError


def credentials(addresses: Addresses) -> dict[str, Any]:
    """As the client's options, which hold for servers that it learns of, too."""
    if addresses.token:
        return {"token": addresses.token}
    return {"user": addresses.user, "password": addresses.password} if addresses.user else {}


async def failed(error: Exception) -> None:
    """What goes wrong on a link, for whoever looks for it."""
    log.debug("broker.error", extra={"error": str(error)})
